"""Let process 0 record the exception that ends another process.

Process 0 writes the record, and may wait in a collective, without end, for a process
that has raised an error. So the error goes through the key-value store that
`jax.distributed.initialize` starts, and a thread of process 0 looks for it:

    process 2     sets jaxmetrics/failures/<run>/first, unless another process has,
                  and waits a few seconds for .../noted, since its end may be that of
                  all processes
    process 0     sees .../first, writes it, and sets .../noted

Process 0 sets .../noted at its own end, too, so that nobody waits for it after that.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable

from jaxmetrics.processes._identity import process_count, process_index

_LOOK_SECONDS = 0.5
_NOTED_SECONDS = 5.0


class Failures:
    """Exception that ended another process first, as process 0 learns of it.

    Without `jax.distributed.initialize` nothing is sent.

    Args:
      run: Name of this attempt of the run, the same on all processes and of no other
        attempt. None sends nothing.
      on_failure: Called on process 0, in a thread, with the index of the process and
        type and message of its exception.
    """

    def __init__(self, run: str | None, on_failure: Callable[[int, str], None]) -> None:
        """Start the thread of process 0."""
        self._on_failure = on_failure
        self._process = process_index()
        self._service = None
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        if run is None or process_count() == 1:
            return
        from jaxmetrics.core import CoordinationService

        self._service = CoordinationService.connected()
        self._key = f"jaxmetrics/failures/{run}"
        if self._service is not None and self._process == 0:
            self._thread = threading.Thread(
                target=self._watch, name="jaxmetrics-failures", daemon=True
            )
            self._thread.start()

    def end(self, error: str | None) -> None:
        """Send the exception that ends this process, or stop waiting for others.

        Args:
          error: Its type and message; None if the training was not ended by one.
        """
        if self._service is None:
            return
        if self._thread is not None:
            self._ended.set()
            self._thread.join(_NOTED_SECONDS)
        elif error is not None:
            self._send(error)
        self._service = None

    def _send(self, error: str) -> None:
        assert self._service is not None
        text = f"{self._process} {error}".encode()
        with _errors_of_the_service():
            if self._service.set(f"{self._key}/first", text):
                self._service.get(f"{self._key}/noted", _NOTED_SECONDS)

    def _watch(self) -> None:
        assert (service := self._service) is not None
        with _errors_of_the_service():
            is_last = False
            while not is_last:
                is_last = self._ended.wait(_LOOK_SECONDS)
                sent = service.list(self._key).get("first")
                if sent is not None:
                    process, _, error = sent.decode().partition(" ")
                    self._on_failure(int(process), error)
                    break
            service.set(f"{self._key}/noted", b"")


def _errors_of_the_service() -> contextlib.suppress:
    """Ignore that the service is gone: JAX reports it, and ends the process."""
    import jax

    return contextlib.suppress(jax.errors.JaxRuntimeError)
