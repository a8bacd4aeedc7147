"""Who may ask the server: the Host header, the token, the method; and safe headers.

A page of another site cannot read answers of this server: it lacks the token, and the
browser sends the cookie to pages of this server only. A name of another site that is
made to point to this machine (DNS rebinding) is refused by its Host header.
"""

from __future__ import annotations

import hmac
import ipaddress
import secrets
import socket
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: "
    "blob:; media-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
FILE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
"""Policy of files of a run: they run nothing and load nothing."""

_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
)
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_MAX_QUERY = 2**16


def loopback(host: str) -> bool:
    """Return whether a host is this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Guard:
    """Application that lets through only what may be answered.

    Args:
      app: The application.
      host: Host that the server listens on.
      port: Port that it listens on.
      token: Token that the owner has.
    """

    def __init__(self, app: App, host: str, port: int, token: str) -> None:
        """Make the secret of the cookie."""
        self._app = app
        self._token = token
        self._cookie = f"jaxmetrics-{port}"
        self._secret = secrets.token_urlsafe(32)
        self._names = {*_LOOPBACK, host.lower()}
        self._any_address = host in ("0.0.0.0", "::")
        if self._any_address:
            self._names |= {socket.gethostname().lower(), socket.getfqdn().lower()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            raise RuntimeError(f"a connection of type {scope['type']!r} is not served")
        by_token = False

        async def guarded(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                own = list(message.get("headers", ()))
                names = {name.lower() for name, _ in own}
                own += [(n, v) for n, v in _HEADERS if n not in names]
                if b"content-security-policy" not in names:
                    own.append((b"content-security-policy", PAGE_POLICY.encode()))
                if b"cache-control" not in names:
                    own.append((b"cache-control", b"no-store"))
                if by_token:
                    own.append((b"set-cookie", self._set_cookie()))
                message = {**message, "headers": own}
            await send(message)

        headers = _headers(scope)
        if not self._is_own_name(headers.get("host", [])):
            await _refuse(
                *(guarded, 403),
                "This address is not one of the viewer's. Open the address that "
                "`jaxmetrics view` printed.",
            )
        elif scope["method"] not in ("GET", "HEAD"):
            await _refuse(guarded, 405, "The viewer only reads: use GET or HEAD.")
        elif len(scope.get("query_string", b"")) > _MAX_QUERY:
            await _refuse(guarded, 414, f"The query is longer than {_MAX_QUERY} bytes.")
        elif (by := self._allowed_by(scope, headers)) is None:
            await _refuse(
                *(guarded, 401),
                "The token is missing or wrong. Open the whole address that "
                "`jaxmetrics view` printed, with ?token=..., or send the header "
                "'Authorization: Bearer TOKEN'.",
            )
        else:
            by_token = by == "query"
            await self._app(scope, receive, guarded)

    def _is_own_name(self, hosts: list[str]) -> bool:
        if len(hosts) != 1:
            return False
        name = host_name(hosts[0])
        if name in self._names:
            return True
        if not self._any_address:
            return False
        try:  # of an address there is no rebinding
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    def _allowed_by(self, scope: Scope, headers: Mapping[str, list[str]]) -> str | None:
        """Return what allows the request: a header, the query or the cookie."""
        for value in headers.get("authorization", []):
            kind, _, token = value.partition(" ")
            if kind.lower() == "bearer" and _equal(token.strip(), self._token):
                return "header"
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
        if any(_equal(token, self._token) for token in query.get("token", [])):
            return "query"
        for value in headers.get("cookie", []):
            try:
                cookie = SimpleCookie(value).get(self._cookie)
            except CookieError:
                continue
            if cookie is not None and _equal(cookie.value, self._secret):
                return "cookie"
        return None

    def _set_cookie(self) -> bytes:
        text = f"{self._cookie}={self._secret}; Path=/; HttpOnly; SameSite=Strict"
        return text.encode()


def host_name(host: str) -> str:
    """Return the name of a Host header, without its port.

    >>> host_name("localhost:8000"), host_name("[::1]:8000"), host_name("Example.org")
    ('localhost', '::1', 'example.org')
    """
    host = host.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def _headers(scope: Scope) -> dict[str, list[str]]:
    headers: dict[str, list[str]] = {}
    for name, value in scope["headers"]:
        headers.setdefault(name.decode("latin-1").lower(), []).append(
            value.decode("latin-1")
        )
    return headers


def _equal(text: str, secret: str) -> bool:
    """Compare in a time that does not depend on where the texts differ."""
    return hmac.compare_digest(text.encode("utf-8", "replace"), secret.encode())


async def _refuse(send: Send, status: int, text: str) -> None:
    body = f"{text}\n".encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
    ]
    if status == 405:
        headers.append((b"allow", b"GET, HEAD"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
