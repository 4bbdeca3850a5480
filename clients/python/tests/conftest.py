"""A real server for the tests.

`MYNAH_BIN` names the binary; without it, `target/release/mynah` of the repository, then `mynah` on
the path. Without any, the tests that need a server are skipped.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from light_tts_client import LightTTSClient

ROOT = Path(__file__).resolve().parents[3]
PROMPTS = ROOT / "model_weights" / "mynah-mini" / "prompts"


def binary():
    built = ROOT / "target" / "release" / "mynah"
    named = os.environ.get("MYNAH_BIN")
    return named or (str(built) if built.exists() else shutil.which("mynah"))


def serve(*flags, **environment):
    """Starts a server on a port that the system chooses. Returns the process and its address."""
    command = [binary(), "serve", "--host", "127.0.0.1", "--port", "0", "--log", "error", *flags]
    process = subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True
    )
    for line in process.stdout:
        if found := re.match(r"listening on (http://\S+)", line):
            return process, found.group(1)
    raise RuntimeError(f"{command} ended with {process.wait()}")


@pytest.fixture(scope="session")
def url():
    if binary() is None:
        pytest.skip("no mynah: build it, or set MYNAH_BIN")
    process, address = serve()
    with LightTTSClient(address) as client:
        client.wait_until_ready()
    yield address
    process.terminate()
    process.wait(30)


@pytest.fixture(scope="session")
def locked():
    """The address of a server that wants an API key, and that key."""
    if binary() is None:
        pytest.skip("no mynah: build it, or set MYNAH_BIN")
    process, address = serve(MYNAH_API_KEYS="the-key-of-these-tests")
    with LightTTSClient(address) as client:
        client.wait_until_ready()
    yield address, "the-key-of-these-tests"
    process.terminate()
    process.wait(30)


@pytest.fixture
def client(url):
    with LightTTSClient(url) as client:
        yield client


@pytest.fixture(scope="session")
def prompt():
    return {
        "prompt_text": (PROMPTS / "rms.txt").read_text().strip(),
        "reference_audio": PROMPTS / "rms.wav",
    }
