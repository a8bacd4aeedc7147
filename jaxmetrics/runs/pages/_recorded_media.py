"""Media of a run for its page: texts, images, audio, tables, histograms, arrays."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from jaxmetrics.record import Bins, number, read_whole, redact
from jaxmetrics.runs.reading import MediaEntry, MediaTable, Run

_MAX_BYTES = 4 * 2**20  # of the files of images and audio on a page
_MAX_KEYS, _MAX_STEPS, _MAX_FILES = 40, 12, 4
_MAX_TEXT, _MAX_TABLE_ROWS, _MAX_CELLS = 10_000, 50, 4096
_TYPES = (
    *((b"\x89PNG\r\n\x1a\n", "image/png"), (b"\xff\xd8\xff", "image/jpeg")),
    *((b"RIFF", "audio/wav"), (b"OggS", "audio/ogg"), (b"fLaC", "audio/flac")),
    *((b"ID3", "audio/mpeg"), (b"\xff\xfb", "audio/mpeg")),
)
"""First bytes of the files that are embedded, with their types."""

Content = dict[str, Any]


def recorded_media(run: Run) -> tuple[list[Content], list[str]]:
    """Return the media of a page, and sentences about what is left out.

    Of each key up to 12 evenly selected steps are kept, the last one included. Files of
    images and audio are embedded as long as all together have at most 4 MiB.

    Args:
      run: The run.

    Returns:
      For each key `key`, `kind` and `items`, of which each has a `step` and its
      content: `text`, `table`, `counts` and `edges`, `images`, `audio`, or a `matrix`.
    """
    by_key: dict[tuple[str, str], list[MediaEntry]] = {}
    for entry in run.media:
        by_key.setdefault((entry.key, entry.kind), []).append(entry)
    left, left_out, media = _MAX_BYTES, 0, []
    for (key, kind), entries in list(by_key.items())[:_MAX_KEYS]:
        items = []
        for entry in reversed(_selected(entries)):  # the last ones first
            content, size = _content(entry, left)
            left -= size
            left_out += content is None
            if content is not None:
                items.append({"step": entry.step, **content})
        if items:
            media.append({"key": key, "kind": kind, "items": items[::-1]})
    media += _arrays(run)
    notes = []
    if left_out:
        notes.append(
            f"{left_out:,} recorded media are not on this page, which has up to "
            f"{_MAX_BYTES // 2**20} MiB of images and audio; they are in the run "
            f"directory."
        )
    if (more := len(by_key) - _MAX_KEYS) > 0:
        notes.append(f"The media of {more:,} more keys are in the run directory.")
    return media, notes


def _selected(entries: list[Any]) -> list[Any]:
    if len(entries) <= _MAX_STEPS:
        return entries
    kept = np.linspace(0, len(entries) - 1, _MAX_STEPS).round().astype(int)
    return [entries[i] for i in kept]


def _content(entry: MediaEntry, left: int) -> tuple[Content | None, int]:
    """Return the content of an entry, and its bytes; None if it is not shown."""
    match entry.value:
        case str():
            text = str(redact({"text": entry.value})["text"])
            cut = f"{text[:_MAX_TEXT]}…" if len(text) > _MAX_TEXT else text
            return {"text": cut}, 0
        case MediaTable(columns, rows):
            shown = [[_cell(value) for value in row] for row in rows[:_MAX_TABLE_ROWS]]
            return {"table": {"names": columns, "rows": shown, "of": len(rows)}}, 0
        case Bins():
            counts, edges = map(_numbers, (entry.value.counts, entry.value.edges))
            return {"counts": counts, "edges": edges}, 0
        case paths:
            is_audio = entry.kind == "audio"
            name, kind = ("audio", "audio") if is_audio else ("images", "image")
            urls = list(_files(paths[:_MAX_FILES], kind, left))
            size = sum(3 * len(url) // 4 for url in urls)
            return ({name: urls, "of": len(paths)} if urls else None), size


def _files(paths: Iterable[Path], prefix: str, left: int) -> Iterator[str]:
    """Yield files of images or audio as data URLs while there are bytes left."""
    for path in paths:
        try:
            data = read_whole(path, left, follow_links=True)
        except (OSError, ValueError):  # it is missing, or larger than what is left
            continue
        kind = next((kind for start, kind in _TYPES if data.startswith(start)), None)
        if kind is not None and kind.startswith(f"{prefix}/"):
            left -= len(data)
            yield f"data:{kind};base64,{base64.b64encode(data).decode()}"


def _arrays(run: Run) -> Iterator[Content]:
    for key, (steps, arrays) in list(run.arrays.items())[:_MAX_KEYS]:
        items = []
        for step, array in _selected(list(zip(steps.tolist(), arrays))):
            matrix = np.atleast_2d(np.asarray(array, np.float64))
            if matrix.ndim == 2 and 0 < matrix.size <= _MAX_CELLS:
                items.append({"step": step, "matrix": list(map(_numbers, matrix))})
        if items:
            yield {"key": key, "kind": "array", "items": items}


def _numbers(values: Any) -> list[float | None]:
    values = np.asarray(values, np.float64)
    return [v if np.isfinite(v) else None for v in values.tolist()]


def _cell(value: object) -> object:
    value = number(value)
    return value if value is None or isinstance(value, int | float) else str(value)
