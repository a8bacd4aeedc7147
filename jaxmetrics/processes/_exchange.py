"""What processes tell each other on the host, within a time limit.

Messages go through the service that `jax.distributed.initialize` starts and not
through a compiled program, so that a process that is missing is named, and never
waited for without end. This is the one file that uses that service's client, which
JAX keeps private; without it a public collective does the same, without the limit.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

__all__ = ["MissingHostError", "PATIENCE", "exchange"]

PATIENCE = 300.0
"""Seconds to wait for other processes, as long as JAX waits for them to start."""

_GRACE = 5.0
_CALLS = (
    "blocking_key_value_get_bytes",
    "key_value_delete",
    "key_value_dir_get_bytes",
    "key_value_increment",
    "key_value_set_bytes",
)

Told = dict[int, bytes | None]


class MissingHostError(TimeoutError):
    """Some processes did not come to an exchange in time.

    Attributes:
      missing: Their indices.
    """

    def __init__(self, message: str, missing: Sequence[int] = ()) -> None:
        """The message names the processes."""
        super().__init__(message)
        self.missing = tuple(missing)


def exchange(tag: str, payload: bytes, timeout: float = PATIENCE) -> dict[int, bytes]:
    """What every process has to say, by its index; all of them call it.

    The calls of a tag belong together by their order. The first process reads what
    the others say and publishes it in one piece, so that the requests grow with the
    number of processes and not with its square. The messages of a call are deleted
    when the next one of its tag has succeeded.

    Args:
      tag: What the exchange is about.
      payload: What this process says.
      timeout: Seconds to wait for the others.

    Raises:
      MissingHostError: Some did not come in time. Every process that came, or comes
        later, raises it: end the run, or go on without this tag.
    """
    import jax

    index, count = jax.process_index(), jax.process_count()
    if count == 1:
        return {0: payload}
    client = _client()
    if client is None:
        return dict(enumerate(_gathered(payload)))
    # The service counts the calls, so that no process has to keep a number.
    turn = client.key_value_increment(f"jaxmetrics/{tag}/calls/{index}", 1)
    here = f"jaxmetrics/{tag}/{turn}"
    if turn == 1:
        name = socket.gethostname().encode()
        client.key_value_set_bytes(f"jaxmetrics/host/{index}", name, True)
    client.key_value_set_bytes(f"{here}/said/{index}", payload)
    if index == 0:
        told = _collected(client, here, count, timeout)
        told = _settled(client, here, told)
    else:
        told = _published(client, here, count, timeout)
    missing = [i for i, said in told.items() if said is None]
    if missing:
        raise MissingHostError(
            f"exchange({tag!r}) waited {timeout:g} seconds for "
            f"{_named(client, missing)}; expected all {count} processes. Look why "
            f"{'it' if len(missing) == 1 else 'they'} ended or went another way: every "
            f"process makes the same calls in the same order.",
            missing,
        )
    if index == 0:
        client.key_value_delete(f"jaxmetrics/{tag}/{turn - 1}")
    return {i: said for i, said in told.items() if said is not None}


def _client() -> Any:
    """The client of JAX's own service, or None where it is not as we know it."""
    try:
        from jax._src.distributed import global_state
    except ImportError:
        return None
    client = getattr(global_state, "client", None)
    return client if all(hasattr(client, call) for call in _CALLS) else None


def _collected(client: Any, here: str, count: int, timeout: float) -> Told:
    """What each process said, None for those that did not come."""
    deadline = time.monotonic() + timeout
    told: Told = {}
    for i in range(count):
        told[i] = _get(client, f"{here}/said/{i}", deadline - time.monotonic())
        if told[i] is None:
            return _said(client, here, count)
    return told


def _published(client: Any, here: str, count: int, timeout: float) -> Told:
    """What the first process published, or an end to waiting for it."""
    data = _get(client, f"{here}/all", timeout)
    if data is not None:
        return _unpacked(data, count)
    told = _said(client, here, count)
    if None not in told.values():  # the first has come just now, or died on the way
        data = _get(client, f"{here}/all", _GRACE)
        told = {**told, 0: None} if data is None else _unpacked(data, count)
    return _settled(client, here, told)


def _settled(client: Any, here: str, told: Told) -> Told:
    """What all processes take for what was said: that of whoever publishes first."""
    import jax

    try:
        client.key_value_set_bytes(f"{here}/all", _packed(told))
    except jax.errors.JaxRuntimeError as error:
        if "ALREADY_EXISTS" not in str(error):
            raise
        data = client.blocking_key_value_get_bytes(f"{here}/all", int(_GRACE * 1000))
        return _unpacked(data, len(told))
    return told


def _said(client: Any, here: str, count: int) -> Told:
    found = client.key_value_dir_get_bytes(f"{here}/said/")
    by_name = {key.rpartition("/")[2]: said for key, said in found}
    return {i: by_name.get(str(i)) for i in range(count)}


def _get(client: Any, key: str, seconds: float) -> bytes | None:
    """The value of a key, once somebody sets it; None if nobody does in time."""
    import jax

    try:
        wait = max(int(seconds * 1000), 1)
        return client.blocking_key_value_get_bytes(key, wait)
    except jax.errors.JaxRuntimeError as error:
        if "DEADLINE_EXCEEDED" not in str(error):
            raise
        return None


def _named(client: Any, processes: Sequence[int]) -> str:
    """Processes by index, with the names of their machines where these are known."""
    found = client.key_value_dir_get_bytes("jaxmetrics/host/")
    host = {key.rpartition("/")[2]: f" ({name.decode()})" for key, name in found}
    return ", ".join(f"process {i}{host.get(str(i), '')}" for i in processes)


def _packed(told: Mapping[int, bytes | None]) -> bytes:
    sizes = [-1 if said is None else len(said) for said in told.values()]
    return np.array(sizes, "<i8").tobytes() + b"".join(x or b"" for x in told.values())


def _unpacked(data: bytes, count: int) -> Told:
    sizes = np.frombuffer(data, "<i8", count).tolist()
    told: Told = {}
    at = 8 * count
    for i, size in enumerate(sizes):
        told[i] = None if size < 0 else data[at : at + size]
        at += max(size, 0)
    return told


def _gathered(payload: bytes) -> list[bytes]:
    """The payloads in the order of processes, by a collective of devices."""
    from jax.experimental.multihost_utils import process_allgather

    sizes = np.ravel(process_allgather(np.int32(len(payload)))).tolist()
    padded = np.frombuffer(payload.ljust(max(*sizes, 1)), np.uint8)
    rows = np.asarray(process_allgather(padded)).astype(np.uint8)
    return [row.tobytes()[:size] for row, size in zip(rows, sizes, strict=True)]
