#!/usr/bin/env python3
"""A language model to try things with: streams one fixed answer, like OpenAI's chat completions.

    python examples/fake_llm.py                       # http://localhost:8090/v1/chat/completions
    python examples/llm_chat.py --llm http://localhost:8090/v1/chat/completions "Why is the sky blue?"

Needs no package and no key.
"""

import argparse
import json
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ANSWER = (
    "Sunlight holds all the colors. The air scatters the blue part much more than the red. "
    "So blue light comes to us from every side of the sky."
)


class Model(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    rate = 30.0

    def do_POST(self):
        try:
            asked = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
            question = asked["messages"][-1]["content"]
            model = asked.get("model", "fake")
            streams = bool(asked.get("stream"))
        except (ValueError, LookupError, TypeError, AttributeError):
            return self.answer(400, {"error": {"message": "no chat completion", "type": "invalid"}})
        if self.path.rstrip("/") != "/v1/chat/completions":
            return self.answer(404, {"error": {"message": "no such path", "type": "not_found"}})
        text = f"You asked: {question} {ANSWER}"
        if not streams:
            message = {"role": "assistant", "content": text}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            return self.answer(200, self.completion(model, "chat.completion", choice))
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        # Pieces of four characters: cut anywhere, like a real model's tokens.
        pieces = [text[at : at + 4] for at in range(0, len(text), 4)]
        deltas = [{"role": "assistant"}, *({"content": piece} for piece in pieces), {}]
        for delta in deltas:
            choice = {"index": 0, "delta": delta, "finish_reason": None if delta else "stop"}
            self.event(json.dumps(self.completion(model, "chat.completion.chunk", choice)))
            time.sleep(1 / self.rate)
        self.event("[DONE]")
        self.close_connection = True

    def completion(self, model, kind, choice):
        return {
            "id": "chatcmpl-fake",
            "object": kind,
            "created": int(time.time()),
            "model": model,
            "choices": [choice],
        }

    def event(self, data):
        self.wfile.write(f"data: {data}\n\n".encode())
        self.wfile.flush()

    def answer(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def handle(self):
        try:
            super().handle()
        except (BrokenPipeError, ConnectionResetError):
            pass  # The listener had enough.

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A language model to try things with.")
    parser.add_argument(
        "--port", type=int, default=8090, help="0: the system chooses [%(default)s]"
    )
    parser.add_argument("--rate", type=float, default=30.0, help="tokens per second [%(default)s]")
    args = parser.parse_args()
    Model.rate = args.rate
    server = ThreadingHTTPServer(("127.0.0.1", args.port), Model)
    print(
        f"listening on http://127.0.0.1:{server.server_address[1]}/v1/chat/completions", flush=True
    )
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
