"""Records of text, images, audio, histograms, tables and hyperparameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from jaxmetrics.record._record import Record

MEDIA_KINDS = frozenset({"text", "image", "audio", "histogram", "table", "hparams"})
"""Kinds of `Media`. A writer lists those it accepts in `shows`."""


@dataclass(frozen=True)
class Media(Record):
    """Record of values other than scalars, all of one kind.

    A writer receives it if the kind is in the writer's `shows`.

    Attributes:
      values: Values by key, according to the kind:

        - `"text"`: str.
        - `"image"`: NumPy array `[height, width]`, `[height, width, channels]` or
          `[images, height, width, channels]` with 1, 3 or 4 channels, uint8, bool or
          floats in [0, 1]. `images_of(value)` gives the single ones.
        - `"audio"`: pair (samples, sample rate in Hz), with samples `[frames]` or
          `[frames, channels]`, int16 or floats in [-1, 1].
        - `"histogram"`: array of any shape, the pair (counts, edges) that
          `np.histogram` returns, or `Bins`. `binned(value)` converts each of them.
        - `"table"`: pair (columns, rows), of names and of rows of plain values.
        - `"hparams"`: plain data, by hyperparameter names instead of keys.

      kind: One of `MEDIA_KINDS`.
    """

    values: Mapping[str, Any]
    kind: Literal["text", "image", "audio", "histogram", "table", "hparams"] = "text"

    def line(self) -> dict[str, object]:
        """Return the row of a text or a table to write, starting with its kind.

        >>> Media(1, "val", {"val/text": "hello"}, 2.5).line()
        {'kind': 'text', 'step': 1, 'split': 'val', 'time': 2.5, 'val/text': 'hello'}
        """
        row: dict[str, object] = {"kind": self.kind, **super().line()}
        if self.kind == "table":
            for key, (columns, rows) in self.values.items():
                row[key] = {"columns": columns, "rows": rows}
        return row


def images_of(value: Any) -> list[Any]:
    """Return the images of a value of kind `"image"`: those of a batch, or itself."""
    return list(value) if np.ndim(value) == 4 else [value]
