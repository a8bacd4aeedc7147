"""A bucket of Google Cloud Storage: a real emulator, in memory, on this machine."""

import contextlib
import secrets
import socket
import subprocess
import sys

import pytest

_TRIES = 600


@contextlib.contextmanager
def emulated_bucket():
    """Start an emulator, and yield the environment and the address of its bucket.

    Without the second variable gcsfs asks the real service for the bucket's type, and
    waits for a minute.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "gcp_storage_emulator", "start", "--quiet"]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    server = subprocess.Popen(
        [*command, "--in-memory", "--default-bucket", "bucket"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    environment = {
        "STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{port}",
        "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",
    }
    try:
        _wait_until_open(server, port)
        yield environment, "gs://bucket"
    finally:
        server.terminate()
        server.wait()


@pytest.fixture(scope="module")
def emulator():
    """Address of the bucket; clients of this process and its children reach it."""
    from gcsfs import GCSFileSystem

    with emulated_bucket() as (environment, address), pytest.MonkeyPatch.context() as m:
        for name, value in environment.items():
            m.setenv(name, value)
        GCSFileSystem.clear_instance_cache()  # they remember an earlier emulator
        yield address
        GCSFileSystem.clear_instance_cache()


@pytest.fixture
def bucket(emulator):
    """Address of a new folder in the bucket."""
    return f"{emulator}/{secrets.token_hex(4)}"


def _wait_until_open(server, port):
    for _ in range(_TRIES):
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(0.05)
            break
    raise RuntimeError("gcp_storage_emulator did not start")
