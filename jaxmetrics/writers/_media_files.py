"""Keep media in files named by their content."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from jaxmetrics.record import (
    MEDIA_FOLDER,
    Media,
    atomic_write,
    binned,
    images_of,
    make_folder,
)
from jaxmetrics.writers._png import encode_png
from jaxmetrics.writers._wav import encode_wav


class MediaFiles:
    """The folder `media/` of a run.

    Args:
      run_dir: Directory of the run.
    """

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir

    def line(self, media: Media) -> dict[str, object]:
        """Write the files of a record, and return its line for `metrics.jsonl`.

        Images and audio are files, `{"files": [...]}` with paths in the run directory;
        a histogram is `{"counts", "edges", "nonfinite"}`. Texts and tables are in the
        line as they are.

        Raises:
          OSError: A file cannot be written.
        """
        line = media.line()
        for key, value in media.values.items():
            if media.kind == "image":
                pngs = [encode_png(image).png for image in images_of(value)]
                line[key] = {"files": [self._write(png, "png") for png in pngs]}
            elif media.kind == "audio":
                line[key] = {"files": [self._write(encode_wav(*value).wav, "wav")]}
            elif media.kind == "histogram":
                line[key] = _histogram(value)
        return line

    def _write(self, data: bytes, suffix: str) -> str:
        name = f"{MEDIA_FOLDER}/{hashlib.sha256(data).hexdigest()[:16]}.{suffix}"
        path = self._run_dir / name
        if not path.exists():
            make_folder(path.parent)
            atomic_write(path, data)
        return name


def _histogram(value: Any) -> dict[str, object]:
    bins = binned(value)
    counts, edges = bins.counts.tolist(), bins.edges.tolist()
    return {"counts": counts, "edges": edges, "nonfinite": bins.nonfinite}
