"""Convert media for Weights & Biases, and estimate their size."""

from __future__ import annotations

import html
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from jaxmetrics.record import Media, binned, images_of
from jaxmetrics.writers._png import encode_png
from jaxmetrics.writers._wav import encode_wav

_MAX_TEXT_LENGTH = 2**16
_FILE_ENTRY_BYTES = 220  # in a row, for each attached file
_ARTIFACT_BYTES = 450  # in addition for a table, which is stored as an artifact too


class Upload(NamedTuple):
    """A value to log.

    Attributes:
      value: A number or an object of wandb.
      size: Estimated bytes of the row and its attached files.
    """

    value: Any
    size: int


def uploads(media: Media, folder: Path) -> Iterator[tuple[str, Upload]]:
    """Yield the keys of a media record with their values to log.

    Args:
      media: The record.
      folder: Folder for files until they are logged.

    A text is cut at 64 KiB. A histogram leaves out values that are not finite and
    counts them under the key with `_nonfinite`.
    """
    import wandb

    for key, value in media.values.items():
        if media.kind == "histogram":
            bins = binned(value)
            if bins.counts.size:
                histogram = wandb.Histogram(np_histogram=(bins.counts, bins.edges))
                yield key, Upload(histogram, len(json.dumps(histogram.to_json())))
            if bins.nonfinite:
                size = len(str(bins.nonfinite))
                yield f"{key}_nonfinite", Upload(bins.nonfinite, size)
        elif media.kind == "text":
            page = f"<pre>{html.escape(value[:_MAX_TEXT_LENGTH])}</pre>"
            text = wandb.Html(page, inject=False)
            yield key, Upload(text, len(page.encode()) + _FILE_ENTRY_BYTES)
        elif media.kind == "image":
            uploaded = [image_upload(image) for image in images_of(value)]
            pictures = [upload.value for upload in uploaded]
            shown = pictures if len(pictures) > 1 else pictures[0]
            yield key, Upload(shown, sum(upload.size for upload in uploaded))
        elif media.kind == "audio":
            wav = encode_wav(*value).wav
            file = folder / f"{len(list(folder.iterdir()))}.wav"
            file.write_bytes(wav)
            yield key, Upload(wandb.Audio(str(file)), len(wav) + _FILE_ENTRY_BYTES)
        else:
            columns = list(value[0])
            rows: list[Any] = [list(row) for row in value[1]]
            table = wandb.Table(columns, rows, allow_mixed_types=True)
            size = len(json.dumps([columns, rows], default=str))
            yield key, Upload(table, size + _FILE_ENTRY_BYTES + _ARTIFACT_BYTES)


def image_upload(image: Any) -> Upload:
    """Return an image to log, from an array as `Media` has them."""
    import wandb
    from PIL import Image

    png = encode_png(image).png
    picture = wandb.Image(Image.open(io.BytesIO(png)))
    return Upload(picture, len(png) + _FILE_ENTRY_BYTES)
