#!/usr/bin/env python3
"""Speaks a language model's answer while the model writes it.

    pip install websockets
    python examples/llm_chat.py "Why is the sky blue?"                       # a built-in fake model
    python examples/llm_chat.py --llm http://localhost:11434/v1/chat/completions --model qwen2.5 \
        "Why is the sky blue?"

Any endpoint that streams like OpenAI's chat completions will do; a key is read from OPENAI_API_KEY.
To try that without a model or a key, start fake_llm.py and give its address to --llm.
Needs a running server: mynah serve
"""

import argparse
import asyncio
import json
import os
import sys
import threading
import urllib.request

import bistream

FAKE_ANSWER = (
    "That is a good question. Sunlight holds all the colors. The air scatters the blue part much "
    "more than the red, so blue light comes to us from every side of the sky."
)


async def fake_tokens():
    """Pieces of four characters, thirty a second: cut anywhere, like a real model's tokens."""
    for start in range(0, len(FAKE_ANSWER), 4):
        yield FAKE_ANSWER[start : start + 4]
        await asyncio.sleep(1 / 30)


def request(url, model, question):
    body = {
        "model": model,
        "stream": True,
        "messages": [
            {"role": "system", "content": "Your answer is read aloud. Three short plain sentences."},
            {"role": "user", "content": question},
        ],
    }
    headers = {"Content-Type": "application/json", "Accept": "text/event-stream"}
    if key := os.environ.get("OPENAI_API_KEY"):
        headers["Authorization"] = f"Bearer {key}"
    return urllib.request.Request(url, json.dumps(body).encode(), headers)


def events(response):
    """The `delta.content` of each server-sent event."""
    for line in response:
        line = line.decode("utf-8").strip()
        if not line.startswith("data:"):
            continue
        data = line.removeprefix("data:").strip()
        if data == "[DONE]":
            return
        for choice in json.loads(data).get("choices", []):
            if content := choice.get("delta", {}).get("content"):
                yield content


async def model_tokens(url, model, question):
    loop, queue = asyncio.get_running_loop(), asyncio.Queue()

    def read():
        try:
            with urllib.request.urlopen(request(url, model, question), timeout=60) as response:
                for content in events(response):
                    loop.call_soon_threadsafe(queue.put_nowait, content)
        except (OSError, ValueError) as error:
            failure = RuntimeError(f"the language model: {error}")
            loop.call_soon_threadsafe(queue.put_nowait, failure)
        loop.call_soon_threadsafe(queue.put_nowait, None)

    threading.Thread(target=read, daemon=True).start()
    while (content := await queue.get()) is not None:
        if isinstance(content, RuntimeError):
            raise content
        yield content


async def shown(tokens):
    async for token in tokens:
        print(token, end="", flush=True)
        yield token
    print()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Speak a language model's answer as it is written.")
    parser.add_argument("question")
    parser.add_argument("--llm", help="address of a chat completions endpoint [default: a fake model]")
    parser.add_argument("--model", default="gpt-4o-mini", help="the model's name there [%(default)s]")
    bistream.add_arguments(parser)
    args = parser.parse_args()
    tokens = model_tokens(args.llm, args.model, args.question) if args.llm else fake_tokens()
    sys.exit(bistream.run(args, shown(tokens)))
