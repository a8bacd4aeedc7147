"""Addresses of the server, and their answers."""

from __future__ import annotations

import gzip
import math
from collections.abc import AsyncIterator, Callable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from jaxmetrics.record import MEDIA_FOLDER, dumps
from jaxmetrics.runs.reading import series_on_axis
from jaxmetrics.runs.view import _facts, _rows
from jaxmetrics.runs.view._cache import Loaded, RunCache, Shown
from jaxmetrics.runs.view._changes import Watcher
from jaxmetrics.runs.view._root import OutsideRootError, Root, is_name
from jaxmetrics.runs.view._security import FILE_POLICY, App
from jaxmetrics.runs.view._series import (
    MAX_COLUMNS,
    MAX_KEYS,
    MAX_POINTS,
    MIN_POINTS,
    heatmap,
    line_data,
)

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

_GZIP_BYTES, _GZIP_LEVEL = 1024, 2
_MAX_FILE_BYTES = 2**28
_ASSET_FOLDERS = ("jaxmetrics.runs.view", "jaxmetrics.runs.pages")
_ASSET_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
_MEDIA_TYPES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".svg": "image/svg+xml",
    ".wav": "audio/wav",
    ".mp3": "audio/mpeg",
    ".ogg": "audio/ogg",
    ".flac": "audio/flac",
}
"""Types of the files of `media/`; others are downloads of no type."""


class BadRequestError(ValueError):
    """A parameter has a wrong value."""


class MissingError(LookupError):
    """There is no such run, key or file."""


class TooLargeError(ValueError):
    """A file is too large to be sent."""


def make_app(root: Root, rows: _rows.Rows, cache: RunCache, watcher: Watcher) -> App:
    """Return the application, without protection; see `Guard`.

    Args:
      root: Folder of the runs.
      rows: Rows of the runs.
      cache: Runs in memory.
      watcher: Source of changes.
    """
    from starlette.applications import Starlette
    from starlette.responses import FileResponse, Response, StreamingResponse
    from starlette.routing import Route

    def loaded(request: Request) -> Loaded:
        project, name = request.path_params["project"], request.path_params["run"]
        run = cache.get(project, name)
        if run is None:
            raise MissingError(f"There is no run {project}/{name} in {root.name}.")
        return run

    def index(request: Request) -> Response:
        return asset_response("index.html")

    def asset(request: Request) -> Response:
        return asset_response(request.path_params["name"])

    def asset_response(name: str) -> Response:
        data = _asset(name)
        media_type = _ASSET_TYPES.get(Path(name).suffix, "text/plain")
        return Response(
            data, media_type=media_type, headers={"cache-control": "no-cache"}
        )

    def all_runs(request: Request) -> Response:
        where, sort = map(request.query_params.get, ("where", "sort"))
        try:
            content = rows.all(where, sort)
        except (ValueError, KeyError) as error:
            raise BadRequestError(error.args[0]) from error
        return answer(request, content)

    def header(request: Request) -> Response:
        run = loaded(request)
        row = {"row": _rows.row(run.id, run.growing.path)}
        return answer(request, row | _facts.header(run))

    def keys(request: Request) -> Response:
        return unless_known(request, loaded(request), _facts.keys)

    def series(request: Request) -> Response:
        names = [key for text in _all(request, "keys") for key in text.split(",")]
        names += _all(request, "key")
        if not names or len(names) > MAX_KEYS:
            raise BadRequestError(
                f"Got {len(names)} keys; expected 1 to {MAX_KEYS}. Give keys=a,b or "
                f"key=a&key=b."
            )
        known = request.query_params.getlist("after") or [""] * len(names)
        if len(known) != len(names):
            raise BadRequestError(
                f"Got {len(known)} times after=; expected one for each of the "
                f"{len(names)} keys, empty if nothing of a key is known."
            )
        points = _integer(request, "points", 1500, MIN_POINTS, MAX_POINTS)
        start, end = _number(request, "from"), _number(request, "to")
        run_, axis = loaded(request), request.query_params.get("x", "step")
        data = {}
        with run_.lock:
            shown = run_.shown(axis, start, end)
            run, positions = shown.run, _positions(shown, axis)
            version, progress = run_.growing.version, run_.growing.progress
            source = None if shown.is_sampled else run_.source
            for key, after in dict(zip(names, known)).items():
                if key in run:
                    x, y = series_on_axis(run, key, positions)
                    data[key] = line_data(
                        *(x, y, points, start, end), source=source, after=after
                    )
            arrays = [key for key in names if key in run.arrays and key not in data]
            unknown = [key for key in names if key not in {*data, *arrays}]
        content = {"version": version, "x": axis, "series": data}
        content |= {"arrays": arrays, "unknown": unknown}
        content |= {"loaded": progress, "sampled": shown.is_sampled}
        return answer(request, content)

    def events(request: Request) -> Response:
        return unless_known(request, loaded(request), _facts.events)

    def layers(request: Request) -> Response:
        columns = _integer(request, "columns", 400, 1, MAX_COLUMNS)
        start, end = _number(request, "from"), _number(request, "to")
        run_, id = loaded(request), request.query_params.get("id", "")
        axis = request.query_params.get("x", "step")
        known = {q["id"]: q["keys"] for q in _facts.keys(run_)["layers"]}
        if id not in known:
            raise MissingError(f"There are no layers {id!r}; the run has {[*known]}.")
        with run_.lock:
            shown = run_.shown(axis, start, end)
            at, members = _positions(shown, axis), known[id]
            content = heatmap(shown.run, members, at, columns, start, end)
        return answer(request, content)

    def media(request: Request) -> Response:
        run, query = loaded(request), request.query_params
        if "key" not in query:
            return answer(request, _facts.media(run))
        kind, key = query.get("kind", "text"), query["key"]
        step = _integer(request, "step", None, -(2**63), 2**63 - 1)
        address = f"/api/run/{quote(run.id)}/media/file"
        content = _facts.media_content(run, kind, key, step, address)
        if content is None:
            raise MissingError(f"There is no {kind} {key!r} at step {step}.")
        return answer(request, content)

    def media_file(request: Request) -> Response:
        run, name = loaded(request), request.path_params["name"]
        folder = run.growing.path / MEDIA_FOLDER
        path = (folder / name).resolve() if is_name(name) else folder
        is_inside = path.parent == folder.resolve() and root.holds(path)
        if not is_inside or not path.is_file():
            raise MissingError(f"There is no file {name!r} in {MEDIA_FOLDER}/.")
        if path.stat().st_size > _MAX_FILE_BYTES:
            raise TooLargeError(
                f"{name} is larger than {_MAX_FILE_BYTES:,} bytes, which is not sent."
            )
        media_type = _MEDIA_TYPES.get(path.suffix.lower())
        headers = {"content-security-policy": FILE_POLICY}
        if media_type is None:
            headers["content-disposition"] = "attachment"
        media_type = media_type or "application/octet-stream"
        return FileResponse(path, media_type=media_type, headers=headers)

    async def changes(request: Request) -> Response:
        if watcher.is_full:
            return _error(request, 503, "Too many pages are open. Close some of them.")
        stream = _events(watcher) if request.method == "GET" else _nothing()
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(
            stream, media_type="text/event-stream", headers=headers
        )

    def unless_known(
        request: Request, run: Loaded, content: Callable[[Loaded], Any]
    ) -> Response:
        """Return content that depends on the version alone, or 304 if it is known."""
        with run.lock:
            tag = f'W/"{run.source}.{run.growing.version}"'
            asked = request.headers.get("if-none-match", "")
            headers = {"etag": tag, "cache-control": "private, no-cache"}
            if tag in (text.strip() for text in asked.split(",")):
                return Response(status_code=304, headers=headers)
            return answer(request, content(run), headers=headers)

    def answer(
        request: Request,
        content: Any,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        body = _json(content)
        headers = {"vary": "accept-encoding", **(headers or {})}
        if len(body) > _GZIP_BYTES and "gzip" in request.headers.get(
            "accept-encoding", ""
        ):
            body = gzip.compress(body, _GZIP_LEVEL)
            headers["content-encoding"] = "gzip"
        return Response(body, status, headers, "application/json")

    def _error(request: Request, status: int, text: str) -> Response:
        return answer(request, {"error": text}, status)

    def refuse(status: int) -> Callable[[Request, Exception], Response]:
        return lambda request, error: _error(request, status, _text(error))

    run = "/api/run/{project}/{run}"
    return Starlette(
        routes=[
            Route("/", index),
            Route("/assets/{name}", asset),
            Route("/api/runs", all_runs),
            Route("/api/changes", changes),
            Route(run, header),
            Route(f"{run}/keys", keys),
            Route(f"{run}/series", series),
            Route(f"{run}/events", events),
            Route(f"{run}/layers", layers),
            Route(f"{run}/media", media),
            Route(f"{run}/media/file/{{name}}", media_file),
        ],
        exception_handlers={
            404: lambda request, _: _error(request, 404, "There is no such address."),
            BadRequestError: refuse(400),
            OutsideRootError: refuse(403),
            MissingError: refuse(404),
            FileNotFoundError: refuse(404),
            TooLargeError: refuse(413),
            OSError: refuse(500),
            ValueError: refuse(500),
            Exception: refuse(500),
        },
    )


async def _events(watcher: Watcher) -> AsyncIterator[bytes]:
    """Yield server-sent events."""
    async for changes in watcher.listen():
        if changes:
            content = {"runs": [change._asdict() for change in changes]}
            yield b"data: %s\n\n" % _json(content)
        else:
            yield b":\n\n"


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield b""


def _positions(shown: Shown, axis: str) -> Any:
    if axis not in shown.axes:
        known = ", ".join(shown.axes)
        raise BadRequestError(f"Got x={axis!r}; the run has {known}.")
    return shown.axes[axis]


def _asset(name: str) -> bytes:
    for package in _ASSET_FOLDERS:
        folder = files(package) / "assets"
        if folder.is_dir():
            for item in folder.iterdir():
                if item.name == name and item.is_file():
                    return item.read_bytes()
    raise MissingError(f"There is no file {name!r}.")


def _json(content: Any) -> bytes:
    """Return JSON; numbers that are not finite become null."""
    import orjson

    options = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS
    try:
        return orjson.dumps(content, option=options)
    except TypeError:  # a lone surrogate, an integer beyond 64 bits
        return dumps(_listed(content)).encode()


def _listed(content: Any) -> Any:
    """Return a tree with lists in place of arrays, and None for what is not finite."""
    if isinstance(content, dict):
        return {name: _listed(value) for name, value in content.items()}
    if isinstance(content, list | tuple):
        return [_listed(value) for value in content]
    if hasattr(content, "tolist"):
        return _listed(content.tolist())
    if isinstance(content, float) and not math.isfinite(content):
        return None
    return content


def _all(request: Request, name: str) -> list[str]:
    return [text for text in request.query_params.getlist(name) if text]


def _integer(
    request: Request, name: str, default: int | None, low: int, high: int
) -> int:
    text = request.query_params.get(name)
    try:
        value = default if text is None else int(text)
    except ValueError:
        value = None
    if value is None:
        raise BadRequestError(f"Got {name}={text!r}; expected an integer.")
    return min(max(value, low), high)


def _number(request: Request, name: str) -> float | None:
    text = request.query_params.get(name)
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if value != value:
        raise BadRequestError(f"Got {name}={text!r}; expected a number.")
    return value


def _text(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or ''}: {error.strerror}.".removeprefix(": ")
    return str(error)
