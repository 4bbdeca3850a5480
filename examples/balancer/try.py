"""What try.sh does once the balancer runs: starts two replicas, asks through the balancer, and looks
at the replicas' metrics to see who answered. Not to be run alone.
"""

import argparse
import asyncio
import contextlib
import http.client
import itertools
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import threading
import time
import urllib.parse
from concurrent.futures import ThreadPoolExecutor

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

BALANCER = 9100
PORTS = (9101, 9102)
VOICES = ("default", "awb", "rms", "slt")
SHORT = "Good morning and welcome."
MIDDLE = "The bus was late because of the heavy rain, so we all had to walk home."
LONG = " ".join([MIDDLE] * 3)

# Every request comes from an address of its own, so that only one part of this trial meets the limit.
addresses = (f"127.{a}.{b}.1" for a, b in itertools.product(range(1, 255), range(1, 255)))
failures = []


def check(passed, words):
    print(f"  {'ok  ' if passed else 'FAIL'} {words}", flush=True)
    if not passed:
        failures.append(words)


class Replica:
    def __init__(self, mynah, port, logs):
        self.port, self.log = port, open(f"{logs}/mynah-{port}.log", "ab")
        command = [mynah, "serve", "--host", "127.0.0.1", "--port", str(port)]
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log)

    def metric(self, name):
        text = request(self.port, "GET", "/metrics").body.decode()
        return sum(float(value) for value in re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text, re.M))

    def hits(self):
        return self.metric("mynah_voice_cache_hits_total")

    def misses(self):
        return self.metric("mynah_voice_cache_misses_total")


class Draining(RuntimeError):
    """A WebSocket that had said nothing yet when its replica began to drain: to be opened anew."""


class Answer:
    """`times`: of each chunk, in seconds since the request."""

    def __init__(self, status, body, times, headers):
        self.status, self.body, self.times, self.headers = status, body, times, headers


def request(port, method, path, body=None, headers=(), source=None, on_chunk=lambda: None):
    start = time.monotonic()
    link = http.client.HTTPConnection(
        "127.0.0.1", port, timeout=300, source_address=(source or next(addresses), 0)
    )
    with contextlib.closing(link):
        link.request(method, path, body, dict(headers))
        response = link.getresponse()
        chunks, times = [], []
        while chunk := response.read1(65536):
            chunks.append(chunk)
            times.append(time.monotonic() - start)
            on_chunk()
        if response.status == 200 and response.length:
            raise http.client.IncompleteRead(b"".join(chunks), response.length)
        return Answer(response.status, b"".join(chunks), times, response.headers)


def speak(port, voice, text=SHORT, hint="header", stream=True, **more):
    """POST /inference_zero_shot. `hint`: how the balancer is told of the voice, or None."""
    form = {"tts_text": text, "voice": voice, "stream": "true" if stream else "false", "seed": "1"}
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    path = "/inference_zero_shot"
    if hint == "header":
        headers["X-Voice"] = voice
    elif hint == "query":
        path += f"?voice={voice}"
    elif hint == "cookie":
        headers["Cookie"] = f"voice={voice}"
    return request(port, "POST", path, urllib.parse.urlencode(form), headers, **more)


def events(port, voice, text=SHORT, **more):
    """POST /v1/audio/speech as server-sent events."""
    body = {"model": "tts-1", "input": text, "voice": voice, "response_format": "pcm"}
    headers = {"Content-Type": "application/json", "X-Voice": voice}
    body = json.dumps({**body, "stream_format": "sse"})
    answer = request(port, "POST", "/v1/audio/speech", body, headers, **more)
    if answer.status == 200 and b"speech.audio.done" not in answer.body:
        raise RuntimeError("the events ended early")
    return answer


async def bistream(port, voice, text=SHORT, pause=0.1, on_chunk=lambda: None):
    url = f"ws://127.0.0.1:{port}/inference_zero_shot_bistream?voice={voice}"
    async with connect(url, local_addr=(next(addresses), 0), max_size=None) as socket:
        await socket.send(json.dumps({"voice": voice}))
        start = time.monotonic()

        async def write():
            for word in text.split():
                await socket.send(json.dumps({"tts_text": word + " ", "finish": False}))
                await asyncio.sleep(pause)
            await socket.send(json.dumps({"tts_text": "", "finish": True}))

        writing = asyncio.create_task(write())
        sound, times = b"", []
        async for message in socket:
            if isinstance(message, str):
                raise Draining(message) if "DRAINING" in message else RuntimeError(message)
            sound += message
            times.append(time.monotonic() - start)
            on_chunk()
        await writing
    if socket.close_code != 1000:
        raise RuntimeError(f"closed with {socket.close_code}")
    return Answer(200, sound, times, {})


async def realtime(port, voice, text=SHORT, on_chunk=lambda: None):
    url = f"ws://127.0.0.1:{port}/v1/realtime/speech?voice={voice}"
    source = (next(addresses), 0)
    protocols = ["mynah.realtime.v1"]
    async with connect(url, subprotocols=protocols, local_addr=source, max_size=None) as socket:
        frames = [{"type": "start", "voice": voice}, {"type": "text", "text": text}]
        start = time.monotonic()
        for frame in [*frames, {"type": "close_context"}]:
            await socket.send(json.dumps({"context_id": "a", **frame}))
        sound, times = b"", []
        async for message in socket:
            if isinstance(message, bytes):
                sound += message
                times.append(time.monotonic() - start)
                on_chunk()
                continue
            frame = json.loads(message)
            if frame["type"] == "error":
                raise Draining(message) if "DRAINING" in message else RuntimeError(message)
            if frame["type"] == "done":
                return Answer(200, sound, times, {})
    raise RuntimeError("closed before it was done")


KINDS = {
    "chunked": lambda *a, **k: speak(*a, **k),
    "events": lambda *a, **k: events(*a, **k),
    "bistream": lambda *a, **k: asyncio.run(bistream(*a, **k)),
    "realtime": lambda *a, **k: asyncio.run(realtime(*a, **k)),
}


def wait_ready(port, replica=None):
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if replica and replica.process.poll() is not None:
            sys.exit(f"the server on {port} ended; its log says why")
        with contextlib.suppress(OSError, http.client.HTTPException):
            if request(port, "GET", "/readiness").status == 200:
                return
        time.sleep(0.1)
    sys.exit(f"nothing on port {port} became ready")


def who(replicas, ask):
    """The replica that answers `ask`."""
    name = "lightllm_request_count"
    before = [replica.metric(name) for replica in replicas]
    answer = ask()
    if answer.status != 200:
        raise RuntimeError(f"{answer.status} {answer.body[:300]}")
    grown = [r for r, b in zip(replicas, before) if r.metric(name) > b]
    if len(grown) != 1:
        raise RuntimeError(f"{len(grown)} replicas have counted one request")
    return grown[0]


def affinity(replicas):
    print("Affinity: the requests of a voice go to one replica")
    home, misses, hits = {}, 0, 0
    for voice in VOICES:
        seen = [who(replicas, lambda: speak(BALANCER, voice)).port]
        misses -= sum(r.misses() for r in replicas)
        hits -= sum(r.hits() for r in replicas)
        for hint in ("header", "query", "cookie"):
            seen.append(who(replicas, lambda: speak(BALANCER, voice, hint=hint)).port)
        seen.append(who(replicas, lambda: asyncio.run(bistream(BALANCER, voice))).port)
        misses += sum(r.misses() for r in replicas)
        hits += sum(r.hits() for r in replicas)
        home[voice] = seen[0]
        check(len(set(seen)) == 1, f"{voice}: header, query, cookie and WebSocket to {sorted(set(seen))}")
    words = f"after the first request of each voice: {misses:.0f} misses, {hits:.0f} hits"
    check(misses == 0 and hits == 4 * len(VOICES), words)
    # Requests that are refused for want of text are counted too, and cost nothing.
    for hint, words in ((True, "100 voices"), (False, "100 requests that name none")):
        shares = [-r.metric("lightllm_request_count") for r in replicas]
        for n in range(100):
            headers = {"X-Voice": f"voice-{n}"} if hint else {}
            request(BALANCER, "POST", "/inference_zero_shot", "", headers)
        shares = [s + r.metric("lightllm_request_count") for s, r in zip(shares, replicas)]
        check(sum(shares) == 100 and min(shares) > 20, f"{words} are spread {shares[0]:.0f} to {shares[1]:.0f}")
    return home


def streaming(home):
    print("Streaming: time to the first and to the last sound in ms, median of 3")
    for kind, ask in KINDS.items():
        rows = {"direct": [], "balancer": []}
        for _ in range(3):
            for way, port in (("direct", home["default"]), ("balancer", BALANCER)):
                answer = ask(port, "default", MIDDLE)
                if answer.status != 200:
                    raise RuntimeError(f"{answer.status} {answer.body[:300]}")
                rows[way].append((answer.times[0], answer.times[-1], len(answer.times)))
        first, last, chunks = zip(*([statistics.median(c) for c in zip(*rows[w])] for w in rows))
        words = f"{kind:9} first {first[0] * 1e3:5.0f} direct, {first[1] * 1e3:5.0f} through the balancer; "
        words += f"last {last[0] * 1e3:5.0f} and {last[1] * 1e3:5.0f}; pieces {chunks[0]:.0f} and {chunks[1]:.0f}"
        # What is held back comes at once and at the end.
        check(chunks[1] > 2 and first[1] < 0.7 * last[1], words)


def addresses_of_clients():
    print("Rate limits: each client's address has its own (20 a minute)")
    empty = lambda source, **headers: request(
        BALANCER, "POST", "/inference_zero_shot", "", {"X-Voice": "default", **headers}, source=source
    ).status
    seen = [empty("127.0.0.5") for _ in range(24)]
    check(429 in seen and seen[0] == 400, f"the first is limited after {seen.count(400)} requests")
    check(empty("127.0.0.6") == 400, "the second is not")
    forged = empty("127.0.0.5", **{"X-Forwarded-For": "192.0.2.1"})
    check(forged == 429, "an X-Forwarded-For of the client's own does not help the first")


def drain(replicas, home):
    voice = "default"
    leaving = next(r for r in replicas if r.port == home[voice])
    staying = next(r for r in replicas if r is not leaving)
    print(f"Drain: SIGTERM to {leaving.port} while it speaks, with new requests all the time")
    whole = len(speak(BALANCER, voice, LONG).body)
    began = [threading.Event() for _ in KINDS]
    with ThreadPoolExecutor(16) as pool:
        playing = {
            kind: pool.submit(ask, BALANCER, voice, LONG, on_chunk=event.set)
            for (kind, ask), event in zip(KINDS.items(), began)
        }
        check(all(event.wait(120) for event in began), "four streams sound: " + ", ".join(KINDS))
        over, statuses, again = threading.Event(), [], []

        def newcomers(kind):
            while not over.is_set():
                try:
                    answer = KINDS[kind](BALANCER, voice)
                    statuses.append(answer.status if answer.body else "silent")
                except Draining:
                    again.append(kind)
                except ConnectionClosed as error:
                    draining = error.rcvd and error.rcvd.reason == "DRAINING"
                    (again if draining else statuses).append(f"{kind}: {error!r}")
                except (OSError, http.client.HTTPException, RuntimeError) as error:
                    statuses.append(f"{kind}: {error!r}")

        coming = [pool.submit(newcomers, kind) for kind in KINDS]
        served = staying.metric("lightllm_request_count")
        leaving.process.send_signal(signal.SIGTERM)
        under_way = sum(not future.done() for future in playing.values())
        check(under_way > 0, f"{under_way} of them were still being spoken at SIGTERM")
        for kind, future in playing.items():
            try:
                answer = future.result(300)
                check(answer.status == 200 and len(answer.times) > 2, f"{kind} was spoken to its end")
                if kind == "chunked":
                    check(len(answer.body) == whole, f"{kind}: all {whole} bytes of it")
            except Exception as error:
                check(False, f"{kind}: {error!r}")
        status = leaving.process.wait(150)
        time.sleep(2)
        over.set()
        for future in coming:
            future.result(300)
    check(status == 0, f"{leaving.port} ended with {status}")
    bad = [s for s in statuses if s != 200]
    check(not bad, f"{len(statuses)} new requests, {len(bad)} errors {bad[:3] or ''}")
    words = "WebSockets opened just before SIGTERM, with nothing said yet, were told to come again"
    check(len(again) <= 2, f"{len(again)} {words}, and did")
    served = staying.metric("lightllm_request_count") - served
    check(served > 0, f"{staying.port} answered {served:.0f} of them")
    return leaving


def back_again(replicas, gone, mynah, logs):
    print(f"Return: {gone.port} is started again")
    index = replicas.index(gone)
    replicas[index] = Replica(mynah, gone.port, logs)
    wait_ready(gone.port, replicas[index])
    # Balancers that probe their replicas need a moment to see it.
    deadline, port = time.monotonic() + 20, None
    while port != gone.port and time.monotonic() < deadline:
        port = who(replicas, lambda: speak(BALANCER, "default")).port
    check(port == gone.port, "it has its voice again")


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--mynah", required=True)
    arguments.add_argument("--logs", required=True)
    arguments.add_argument("--balancer-pid", type=int, required=True)
    arguments = arguments.parse_args()
    replicas = [Replica(arguments.mynah, port, arguments.logs) for port in PORTS]
    try:
        for replica in replicas:
            wait_ready(replica.port, replica)
        try:
            os.kill(arguments.balancer_pid, 0)
        except ProcessLookupError:
            sys.exit(f"the balancer ended; {arguments.logs}/balancer.log says why")
        wait_ready(BALANCER)
        home = affinity(replicas)
        streaming(home)
        addresses_of_clients()
        gone = drain(replicas, home)
        back_again(replicas, gone, arguments.mynah, arguments.logs)
    finally:
        for replica in replicas:
            if replica.process.poll() is None:
                replica.process.kill()
            replica.process.wait()
            replica.log.close()
    print(f"{len(failures)} failed" if failures else "all as it should be")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
