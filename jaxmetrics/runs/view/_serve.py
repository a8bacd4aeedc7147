"""Start the server and say where it is."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import socket
from collections.abc import Iterator
from typing import Any

from jaxmetrics.runs.view._bucket import open_root
from jaxmetrics.runs.view._cache import RunCache
from jaxmetrics.runs.view._changes import Watcher
from jaxmetrics.runs.view._rows import Rows
from jaxmetrics.runs.view._security import Guard, loopback

DEFAULT_PORT = 6007
_MAX_CONNECTIONS = 256
_FIRST_REQUEST_SECONDS = 10.0
_KEEP_ALIVE_SECONDS = 10
_MAX_HEADER_BYTES = 2**17


def view(
    root: str | os.PathLike[str] = "runs",
    *,
    port: int = DEFAULT_PORT,
    host: str = "127.0.0.1",
    open_browser: bool = False,
) -> None:
    """Show runs in a browser until interrupted.

    A web server that only reads answers on this machine. It prints one line with the
    address, which holds a token that changes with each start. Over ssh it also prints
    the command that forwards the port.

    Args:
      root: Folder of projects, a project, or a run directory. It may be empty: runs
        appear when they begin. Or its address, such as `gs://bucket/runs`, or that of
        a mirror: runs are copied to a temporary folder, and every 30 seconds those
        that have changed.
      port: Port; 0 takes a free one.
      host: Address to listen on. Another one than the default can be reached from other
        machines; the connection is not encrypted.
      open_browser: Open the address in the default browser.

    Raises:
      FileNotFoundError: There is no folder `root`, or nothing at its address.
      OSError: The port is in use, the host is not one of this machine, or the bucket
        cannot be reached.
      ValueError: The host is empty, or the port is out of range.
      ImportError: starlette and uvicorn are not installed, or the package for the
        address.
    """
    try:
        import starlette  # noqa: F401
        import uvicorn
    except ImportError as error:
        raise ImportError(
            f"view() needs {error.name}, which is not installed. Run "
            f"`pip install jaxmetrics[view]`."
        ) from error

    if not host:
        raise ValueError(
            "view() got an empty host, which would be reached from all machines; "
            "expected an address of this one. Give 127.0.0.1, or 0.0.0.0 for all."
        )
    if not 0 <= port < 2**16:
        raise ValueError(
            f"view() got port {port}; expected one from 0 to {2**16 - 1:,}. Choose one "
            f"of them, or 0 for a free one."
        )
    place = open_root(root)
    with _listening(host, port) as listening:
        port = listening.getsockname()[1]
        rows = Rows(place)
        rows.fill()
        token = secrets.token_urlsafe(24)
        cache = RunCache(place)
        watcher = Watcher(place, cache)
        address = f"http://{_in_url(host)}:{port}/?token={token}"

        class Server(uvicorn.Server):
            async def startup(self, sockets: list[socket.socket] | None = None) -> None:
                await super().startup(sockets)
                _announce(address, host, port)
                if open_browser:
                    import webbrowser

                    webbrowser.open(address)

            async def shutdown(
                self, sockets: list[socket.socket] | None = None
            ) -> None:
                watcher.stop()
                await super().shutdown(sockets)

        from jaxmetrics.runs.view._app import make_app

        config = uvicorn.Config(
            Guard(make_app(place, rows, cache, watcher), host, port, token),
            http=_patient_protocol(),
            ws="none",
            lifespan="off",
            log_level="warning",
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            limit_concurrency=_MAX_CONNECTIONS,
            backlog=_MAX_CONNECTIONS,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=1,
            h11_max_incomplete_event_size=_MAX_HEADER_BYTES,
        )
        with contextlib.suppress(KeyboardInterrupt):
            Server(config).run([listening])


@contextlib.contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    """Return a socket that listens.

    Raises:
      OSError: The address cannot be used.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, port))
            listening.listen(_MAX_CONNECTIONS)
        except OSError as error:
            reason = error.strerror or str(error)
            advice = "Choose another port, or 0 for a free one."
            is_elsewhere = error.errno == errno.EADDRNOTAVAIL
            if isinstance(error, socket.gaierror) or is_elsewhere:
                advice = "Give an address of this machine, such as 127.0.0.1."
            raise OSError(
                f"view() cannot listen on {host} port {port} ({reason.lower()}). "
                f"{advice}"
            ) from None
        yield listening


def _announce(address: str, host: str, port: int) -> None:
    print(f"Viewer: {address}", flush=True)
    if os.environ.get("SSH_CONNECTION") and loopback(host):
        server = os.environ["SSH_CONNECTION"].split()[2:3] or [socket.gethostname()]
        print(
            f"From your machine: ssh -N -L {port}:{_in_url(host)}:{port} {server[0]}",
            flush=True,
        )


def _in_url(host: str) -> str:
    if host in ("0.0.0.0", "::"):
        return socket.gethostname()
    return f"[{host}]" if ":" in host else host


def _patient_protocol() -> type[Any]:
    """Return a protocol that closes connections on which no request arrives."""
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class Protocol(H11Protocol):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            if len(self.connections) > _MAX_CONNECTIONS:
                transport.abort()
                return
            self.loop.call_later(_FIRST_REQUEST_SECONDS, self._close_if_silent)

        def _close_if_silent(self) -> None:
            if self.cycle is None and not self.transport.is_closing():
                self.transport.close()

    return Protocol
