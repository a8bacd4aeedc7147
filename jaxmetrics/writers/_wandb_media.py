"""Media as Weights & Biases takes them, and how many bytes they are."""

from __future__ import annotations

import html
import io
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from jaxmetrics.record import Media, binned
from jaxmetrics.writers._png import picture

_TEXT_LIMIT = 2**16
_FILE = 220  # bytes that a row has of a file
_ARTIFACT = 450  # and more of a table, which is kept as an artifact too


class Upload(NamedTuple):
    """A value to log, and an estimate of its bytes in a row and beside it."""

    value: Any
    size: int


def uploads(media: Media) -> Iterator[tuple[str, Upload]]:
    """The values of a record by their keys.

    A text keeps 64 KiB. Of a histogram values that are not finite are left out, and
    counted under its key with `_nonfinite`.
    """
    import wandb

    for key, value in media.values.items():
        if media.kind == "histogram":
            bins = binned(value)
            if bins.counts.size:
                made = wandb.Histogram(np_histogram=(bins.counts, bins.edges))
                yield key, Upload(made, len(json.dumps(made.to_json())))
            if bins.nonfinite:
                size = len(str(bins.nonfinite))
                yield f"{key}_nonfinite", Upload(bins.nonfinite, size)
        elif media.kind == "text":
            page = f"<pre>{html.escape(value[:_TEXT_LIMIT])}</pre>"
            made = wandb.Html(page, inject=False)
            yield key, Upload(made, len(page.encode()) + _FILE)
        elif media.kind == "image":
            from PIL import Image

            png = picture(value).png
            made = wandb.Image(Image.open(io.BytesIO(png)))
            yield key, Upload(made, len(png) + _FILE)
        else:
            columns = list(value[0])
            rows: list[Any] = [list(row) for row in value[1]]
            made = wandb.Table(columns, rows, allow_mixed_types=True)
            size = len(json.dumps([columns, rows], default=str))
            yield key, Upload(made, size + _FILE + _ARTIFACT)
