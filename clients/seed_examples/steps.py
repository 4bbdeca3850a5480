"""What can be done with a block of a document, or with a request that has none.

A step is given a `Bench` and returns what came of it in words; `Failed` says that it is not as
documented, `CannotRun` why it is nothing that a server could answer.
"""

import re
import time

import requests

from . import programs
from .document import differences, read_json


class Failed(Exception):
    """An example that did not behave as documented."""


class CannotRun(Exception):
    """An example that asks nothing of the server, or not with the bundled model."""


class Bench:
    """A document and the address its examples are run against."""

    def __init__(self, blocks, url, place):
        self.blocks, self.url = blocks, url
        #: How an address in the document is turned into `url`; None: it is already.
        self.place = place
        #: What earlier examples were told: ids that later ones ask for.
        self.told = {}

    def text(self, number):
        text = self.blocks[number][2]
        return self.place(text) if self.place else text

    def json(self, number):
        return read_json(self.blocks[number][2])[0]

    def ask(self, method, path, expect=200, **options):
        answer = requests.request(method, self.url + path, timeout=300, **options)
        if answer.status_code != expect:
            raise Failed(f"{method} {path}: {answer.status_code} {answer.text[:200]}")
        return answer

    def same(self, number, answer):
        """That the answer is as in the block."""
        wrong = differences(self.json(number), answer.json())
        if wrong:
            raise Failed("; ".join(wrong))
        return f"{answer.status_code}, keys and types as documented"


def program(number, first=None):
    """Runs it as it stands; then, where it names an id that the reader has to fill in, with the one
    that `first` gets."""

    def step(bench):
        language, text = bench.blocks[number][0], bench.text(number)
        if first is None:
            good, note = programs.run(language, text)
            if not good:
                raise Failed(note)
            return note
        good, note = programs.run(language, text)
        if good:
            raise Failed(f"its placeholder was taken for an id: {note}")
        refusal = re.search(r'"error_code":"(\w+)"', note)
        if refusal is None:
            raise Failed(f"its placeholder got no error: {note}")
        placeholder, real = first(bench)
        good, note = programs.run(language, text.replace(placeholder, real))
        if not good:
            raise Failed(note)
        return f"as it stands {refusal[1]}; with a real id in place of `{placeholder}`: {note}"

    return step


def cannot(why):
    def step(_):
        raise CannotRun(why)

    return step


def get(path, number=None, method="GET", expect=200, sound=None):
    """A request without a body; its answer is as in block `number`, or sound."""

    def step(bench):
        answer = bench.ask(method, path.format(**bench.told), expect)
        if number is not None:
            return bench.same(number, answer)
        return (
            heard(answer, sound) if sound else f"{answer.status_code}, {len(answer.content)} bytes"
        )

    return step


def heard(answer, sound):
    """That an answer is sound of this media type."""
    media, body = answer.headers["content-type"], answer.content
    begins = {"audio/wav": b"RIFF", "audio/ogg": b"OggS"}.get(sound, b"")
    if not media.startswith(sound) or len(body) < 2000 or not body.startswith(begins):
        raise Failed(f"{media}, {len(body)} bytes")
    return f"{answer.status_code}, {media}, {len(body)} bytes"


def post(path, number, sound=None, change=lambda body: body, keep=None, expect=200, like=None):
    """A JSON body that is block `number`; the answer is sound, or as in block `like`."""

    def step(bench):
        body, bare = read_json(bench.blocks[number][2])
        answer = bench.ask("POST", path, expect, json=change(body))
        notes = ["without its comment"] if bare else []
        notes += [heard(answer, sound)] if sound else []
        notes += [bench.same(like, answer)] if like else []
        if keep:
            bench.told.update(keep(answer.json()))
        return "; ".join(notes or [f"{answer.status_code}"])

    return step


def refused(status, send):
    """An error of the documented shape, provoked by a request."""

    def on(number):
        def step(bench):
            answer = send(bench)
            if answer.status_code != status:
                raise Failed(f"{answer.status_code} {answer.text[:200]}")
            wrong = differences(bench.json(number), answer.json())
            if wrong:
                raise Failed("; ".join(wrong))
            return f"{status} {answer.json().get('error_code', '')}, keys as documented"

        return step

    return on


def until_ended(bench, path, states):
    """Asks for a task until it has ended."""
    while True:
        answer = bench.ask("GET", path)
        if answer.json()["status"] not in states:
            return answer
        time.sleep(1)


def in_turn(*steps):
    """Several requests of one block."""
    return lambda bench: "; ".join(step(bench) for step in steps)
