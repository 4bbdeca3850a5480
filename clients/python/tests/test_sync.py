"""The client without asyncio, against a real server."""

import io
import threading
import time
import urllib.request
import wave
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

import light_tts_client as ltc
from conftest import binary, serve

TEXT = "Good morning and welcome to the show."
LONG = " ".join([TEXT] * 8)


def seconds_of_wav(data):
    with wave.open(io.BytesIO(data)) as file:
        assert (file.getnchannels(), file.getsampwidth()) == (1, 2)
        return file.getnframes() / file.getframerate(), file.getframerate()


def active_sessions(url):
    text = urllib.request.urlopen(f"{url}/metrics").read().decode()
    line = next(line for line in text.splitlines() if line.startswith("mynah_sessions_active "))
    return float(line.split()[1])


def becomes_idle(url):
    end = time.monotonic() + 20
    while active_sessions(url) > 0:
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def test_whole_with_a_recording(client, prompt):
    seconds, rate = seconds_of_wav(client.synthesize(text=TEXT, **prompt))
    assert seconds > 0.5 and rate == 24000


def test_recordings_come_as_path_bytes_or_file(client, prompt):
    path = prompt["reference_audio"]
    made = []
    for source in (str(path), path.read_bytes(), path.open("rb")):
        made.append(client.synthesize("Hello.", prompt["prompt_text"], source, seed=1))
    assert made[0] == made[1] == made[2]


def test_whole_with_a_voice_and_options(client):
    plain = client.synthesize(TEXT, voice="default", seed=7)
    fast = client.synthesize(TEXT, voice="default", seed=7, speed=1.5, sample_rate=16000)
    (long, _), (short, rate) = seconds_of_wav(plain), seconds_of_wav(fast)
    assert short < 0.8 * long and rate == 16000
    pcm = client.synthesize(TEXT, voice="default", seed=7, response_format="pcm")
    assert pcm == plain[44:]


def test_stream(client, prompt):
    stream = client.synthesize_stream(text=LONG, **prompt)
    assert stream.sample_rate == 24000 and stream.request_id
    chunks = list(stream)
    assert len(chunks) > 2 and all(len(chunk) % 2 == 0 for chunk in chunks)
    assert next(stream, None) is None
    seconds, _ = seconds_of_wav(ltc.pcm_to_wav(chunks, stream.sample_rate))
    assert seconds > 3


def test_leaving_a_stream_ends_its_session(client, url):
    with client.synthesize_stream(LONG, voice="default") as stream:
        next(stream)
    assert becomes_idle(url)


def test_bistream_by_hand(client, prompt):
    events = []
    with client.bistream(**prompt, sample_rate=16000, on_event=events.append) as stream:
        for word in TEXT.split():
            stream.send(word + " ")
        stream.finish()
        audio = b"".join(stream)
    assert len(audio) / 2 / 16000 > 0.5
    assert [events[0]["event"], events[-1]["event"]] == ["audio_start", "done"]
    assert stream.sample_rate == 16000


def test_bistream_sounds_while_it_is_fed(client):
    words, fed, heard = LONG.split(), [], threading.Event()

    def tokens():
        for word in words:
            # The end is not said before the beginning was heard.
            if len(fed) == len(words) - 5 and not heard.wait(60):
                raise TimeoutError("nothing sounds")
            fed.append(word)
            yield word + " "

    for _ in client.synthesize_bistream(tokens(), voice="default"):
        heard.set()
    assert fed == words


def test_long_pieces_are_sent_in_frames(client):
    """A frame holds 1000 characters at most; the client cuts."""
    with client.bistream(voice="default") as stream:
        stream.send("A bird. " * 150)
        assert next(stream)


def test_closing_a_bistream_ends_its_session(client, url):
    chunks = client.synthesize_bistream([LONG], voice="default")
    next(chunks)
    chunks.close()
    assert becomes_idle(url)


def test_errors_of_the_token_source_reach_the_reader(client, url):
    def tokens():
        yield "Hello there. "
        raise KeyError("the model died")

    with pytest.raises(KeyError):
        list(client.synthesize_bistream(tokens(), voice="default"))
    assert becomes_idle(url)


def test_nothing_to_say_is_no_audio(client):
    assert list(client.synthesize_bistream([], voice="default")) == []


@pytest.mark.parametrize(
    "options, kind, code, status",
    [
        ({"text": "Hi."}, ltc.InvalidParameterError, "INVALID_PARAMETER", 400),
        ({"text": "Hi.", "voice": "nobody"}, ltc.NotFoundError, "NOT_FOUND", 404),
        ({"text": "x" * 1001, "voice": "default"}, ltc.TextTooLongError, "TEXT_TOO_LONG", 422),
        (
            {"text": "Hi.", "voice": "default", "speed": 9},
            ltc.ValidationError,
            "VALIDATION_FAILED",
            422,
        ),
        (
            {"text": "Hi.", "prompt_text": "x", "reference_audio": b"no wav"},
            ltc.UnsupportedAudioError,
            "UNSUPPORTED_AUDIO",
            400,
        ),
        (
            {"text": "Hi.", "voice": "default", "model": "other"},
            ltc.InvalidParameterError,
            "INVALID_PARAMETER",
            400,
        ),
    ],
)
def test_errors(client, options, kind, code, status):
    with pytest.raises(kind) as caught:
        client.synthesize(**options)
    error = caught.value
    assert (error.error_code, error.status) == (code, status)
    assert error.request_id and error.message and not error.retryable
    assert code in str(error)


def test_errors_of_a_stream(client):
    with pytest.raises(ltc.NotFoundError):
        client.synthesize_stream("Hi.", voice="nobody")


def test_errors_of_a_bistream(client):
    with pytest.raises(ltc.NotFoundError) as caught:
        list(client.synthesize_bistream(["Hi."], voice="nobody"))
    assert caught.value.error_code == "NOT_FOUND" and caught.value.close_code == 1007
    with client.bistream("x", b"no wav") as stream, pytest.raises(ltc.UnsupportedAudioError):
        stream.send("Hello.")
        list(stream)


def test_a_refusal_reaches_who_only_sends(client):
    with client.bistream(voice="nobody") as stream, pytest.raises(ltc.NotFoundError):
        while True:
            stream.send("Hello. ")
            time.sleep(0.01)


def test_models_and_readiness(client):
    assert client.ready() and len(client.models()) > 0


def test_voices(client):
    voices = client.voices()
    assert "default" in voices
    for voice in voices:
        assert client.synthesize("Hi.", voice=voice)


@pytest.mark.parametrize("key", [None, "another"])
def test_without_its_key_a_server_is_closed(locked, key):
    with ltc.LightTTSClient(locked[0], api_key=key) as client:
        assert client.ready(), "needs no key"
        for ask in (
            client.voices,
            client.models,
            lambda: client.synthesize("Hi.", voice="default"),
            lambda: client.synthesize_stream("Hi.", voice="default"),
            lambda: client.bistream(voice="default"),
        ):
            with pytest.raises(ltc.AuthenticationError) as caught:
                ask()
            assert (caught.value.error_code, caught.value.status) == ("UNAUTHORIZED", 401)
            assert not caught.value.retryable


def test_with_its_key_a_server_is_open(locked):
    url, key = locked
    with ltc.LightTTSClient(url, api_key=key) as client:
        assert "default" in client.voices() and client.models()
        assert client.synthesize("Hi.", voice="default")
        assert b"".join(client.synthesize_stream("Hi.", voice="default"))
        assert b"".join(client.synthesize_bistream(["Hi."], voice="default"))


def test_no_server():
    with ltc.LightTTSClient("http://127.0.0.1:9", timeout=2) as client:
        assert not client.ready()
        with pytest.raises(ltc.ConnectionFailedError):
            client.synthesize("Hi.", voice="default")
        with pytest.raises(ltc.ConnectionFailedError):
            client.bistream(voice="default")
        with pytest.raises(ltc.RequestTimeoutError):
            client.wait_until_ready(0.1)
    with pytest.raises(ValueError):
        ltc.LightTTSClient("localhost:8080")


def test_refusals_are_waited_for():
    """A stand-in for a server that is busy twice: the real one cannot be told when to be."""
    asked = []

    class Busy(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(time.monotonic())
            busy = len(asked) < 3
            body = b'{"error_code": "OVERLOADED"}' if busy else b'{"tts_models": ["one"]}'
            self.send_response(503 if busy else 200)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Retry-After", "1")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Busy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        with ltc.LightTTSClient(url, max_retries=2) as patient:
            assert patient.models() == ["one"]
        assert len(asked) == 3 and asked[2] - asked[0] >= 2
        asked.clear()
        for hasty in ({"max_retries": 0}, {"max_retry_wait": 0.5}):
            with ltc.LightTTSClient(url, **hasty) as client:
                with pytest.raises(ltc.ServiceUnavailableError) as caught:
                    client.models()
            assert caught.value.retryable and caught.value.retry_after == 1
        assert len(asked) == 2
        server.shutdown()


def test_rate_limits():
    if binary() is None:
        pytest.skip("no mynah")
    process, url = serve("--rate-limit", "1/minute", "--rate-limit-loopback")
    try:
        with ltc.LightTTSClient(url, max_retries=0) as client:
            client.wait_until_ready()
            client.synthesize("Hi.", voice="default")
            with pytest.raises(ltc.RateLimitedError) as caught:
                client.synthesize("Hi.", voice="default")
            assert caught.value.retryable and 1 <= caught.value.retry_after <= 60
    finally:
        process.terminate()
        process.wait(30)
