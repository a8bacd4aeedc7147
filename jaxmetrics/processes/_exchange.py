"""Exchange bytes between processes on the host, within a time limit.

Payloads go through the key-value store that `jax.distributed.initialize` starts, and
not through a compiled program: a program that one process does not launch makes the
others wait for ever, while a process that is missing here is named.

Call number 5 of the tag "metrics", in a run of three processes:

    process i     increments jaxmetrics/metrics/calls/i, which gives 5,
                  and sets jaxmetrics/metrics/5/payloads/i
    process 0     reads the three payloads and sets jaxmetrics/metrics/5/all to them
    processes 1,2 wait for jaxmetrics/metrics/5/all

so the number of requests grows with the number of processes and not with its square.
If process 2 does not come in time, whoever times out first sets .../all with None in
place of payload 2: process 0, or another one if process 0 is missing. The store keeps
the first value of .../all, and whoever fails to set it reads that one. So all
processes, and process 2 if it comes later, see the same outcome and raise the same
error. After a call that succeeded process 0 deletes the keys of the call before:
every process has sent payload 5, so every process has read the outcome of call 4.
"""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxmetrics.core import CoordinationService

__all__ = ["EXCHANGE_TIMEOUT", "MissingHostError", "exchange"]

EXCHANGE_TIMEOUT = 300.0
"""Seconds to wait for other processes, as long as JAX waits for them to start."""

_GRACE = 5.0
_QUIET_SECONDS = 5.0
_LOG = logging.getLogger("jaxmetrics")

Outcome = dict[int, bytes | None]
"""Payload of each process by its index; None for a process that is missing."""


class MissingHostError(TimeoutError):
    """Processes did not take part in an exchange in time.

    Attributes:
      missing: Indices of the missing processes.
    """

    def __init__(self, message: str, missing: Sequence[int] = ()) -> None:
        """Store the message, which names the processes, and their indices."""
        super().__init__(message)
        self.missing: tuple[int, ...] = tuple(missing)


def exchange(
    tag: str, payload: bytes, timeout: float = EXCHANGE_TIMEOUT
) -> dict[int, bytes]:
    """Send bytes to all processes and return those of each; every process calls it.

    The first call with a tag meets the first call with that tag on the other
    processes, the second the second, and so on. Without `jax.distributed.initialize`,
    as on TPU slices that find each other, the payloads go through a collective of the
    devices, without a time limit.

    Args:
      tag: Subject of the exchange; calls with other tags are independent.
      payload: Bytes of this process.
      timeout: Seconds to wait for the other processes.

    Returns:
      Payload of each process, by its index.

    Raises:
      MissingHostError: A process did not take part in time. Every process that did, or
        does later, raises it: end the run, or go on without this tag.
    """
    import jax

    from jaxmetrics.core import CoordinationService

    index, count = jax.process_index(), jax.process_count()
    if count == 1:
        return {0: payload}
    service = CoordinationService.connected()
    if service is None:
        return dict(enumerate(_all_gather(payload)))
    # The store counts the calls, so that no process has to keep a number.
    number = service.increment(f"jaxmetrics/{tag}/calls/{index}")
    call = f"jaxmetrics/{tag}/{number}"
    if number == 1:
        name = socket.gethostname().encode()
        service.set(f"jaxmetrics/host/{index}", name, overwrite=True)
    service.set(f"{call}/payloads/{index}", payload)
    if index == 0:
        outcome = _collect(service, call, count, timeout)
        outcome = _publish(service, call, outcome)
    else:
        outcome = _wait_for_outcome(service, call, count, timeout)
    missing = [i for i, received in outcome.items() if received is None]
    if missing:
        raise MissingHostError(
            f"exchange({tag!r}) waited {timeout:g} seconds for "
            f"{_describe(service, missing)}; expected all {count} processes. Check why "
            f"{'it' if len(missing) == 1 else 'they'} ended or took another path: "
            f"every process must make the same calls in the same order.",
            missing,
        )
    if index == 0:
        service.delete(f"jaxmetrics/{tag}/{number - 1}")
    return {i: received for i, received in outcome.items() if received is not None}


def _collect(
    service: CoordinationService, call: str, count: int, timeout: float
) -> Outcome:
    """Return the payload of each process; process 0 does this."""
    started = time.monotonic()
    outcome: Outcome = {}
    has_warned = False
    for i in range(count):
        payload = None
        if not has_warned:
            quiet = min(_QUIET_SECONDS, timeout) - (time.monotonic() - started)
            payload = service.get(f"{call}/payloads/{i}", max(quiet, 0.0))
            if payload is None:
                has_warned = True
                _warn_of_wait(service, call, count, timeout)
        if payload is None:
            remaining = timeout - (time.monotonic() - started)
            payload = service.get(f"{call}/payloads/{i}", remaining)
        if payload is None:
            return _received_so_far(service, call, count)
        outcome[i] = payload
    return outcome


def _warn_of_wait(
    service: CoordinationService, call: str, count: int, timeout: float
) -> None:
    """Log a warning that names the processes that are missing so far."""
    received = _received_so_far(service, call, count)
    missing = [i for i, payload in received.items() if payload is None]
    if missing:
        _LOG.warning(
            "Waiting for %s in %s for up to %g seconds. Every process makes the same "
            "calls of jaxmetrics, such as creating the TrainingLogger.",
            _describe(service, missing),
            call.removeprefix("jaxmetrics/"),
            timeout,
        )


def _wait_for_outcome(
    service: CoordinationService, call: str, count: int, timeout: float
) -> Outcome:
    """Return the outcome that process 0 publishes, or publish one without it."""
    packed = service.get(f"{call}/all", timeout)
    if packed is not None:
        return _unpack(packed, count)
    outcome = _received_so_far(service, call, count)
    if None not in outcome.values():
        # Process 0 sent its payload: it is about to publish, or has died since.
        packed = service.get(f"{call}/all", _GRACE)
        outcome = outcome | {0: None} if packed is None else _unpack(packed, count)
    return _publish(service, call, outcome)


def _publish(service: CoordinationService, call: str, outcome: Outcome) -> Outcome:
    """Set the outcome of a call, and return the one that was set first."""
    if service.set(f"{call}/all", _pack(outcome)):
        return outcome
    packed = service.get(f"{call}/all", _GRACE)
    if packed is None:
        raise TimeoutError(
            f"{call}/all is set in JAX's coordination service, but was not returned "
            f"within {_GRACE:g} seconds. Check the connection to process 0."
        )
    return _unpack(packed, len(outcome))


def _received_so_far(service: CoordinationService, call: str, count: int) -> Outcome:
    payloads = service.list(f"{call}/payloads")
    return {i: payloads.get(str(i)) for i in range(count)}


def _describe(service: CoordinationService, processes: Sequence[int]) -> str:
    """Return processes by index, with the names of their hosts where known."""
    hosts = service.list("jaxmetrics/host")
    names = {i: f" ({hosts[str(i)].decode()})" for i in processes if str(i) in hosts}
    return ", ".join(f"process {i}{names.get(i, '')}" for i in processes)


def _pack(outcome: Mapping[int, bytes | None]) -> bytes:
    """Join payloads behind their sizes, -1 for a missing one."""
    sizes = [-1 if payload is None else len(payload) for payload in outcome.values()]
    payloads = b"".join(payload or b"" for payload in outcome.values())
    return np.array(sizes, "<i8").tobytes() + payloads


def _unpack(packed: bytes, count: int) -> Outcome:
    sizes = np.frombuffer(packed, "<i8", count).tolist()
    outcome: Outcome = {}
    start = 8 * count
    for i, size in enumerate(sizes):
        outcome[i] = None if size < 0 else packed[start : start + size]
        start += max(size, 0)
    return outcome


def _all_gather(payload: bytes) -> list[bytes]:
    """Return the payloads in the order of processes, by a collective of devices."""
    from jax.experimental.multihost_utils import process_allgather

    sizes = np.ravel(process_allgather(np.int32(len(payload)))).tolist()
    padded = np.frombuffer(payload.ljust(max(*sizes, 1)), np.uint8)
    rows = np.asarray(process_allgather(padded)).astype(np.uint8)
    return [row.tobytes()[:size] for row, size in zip(rows, sizes, strict=True)]
