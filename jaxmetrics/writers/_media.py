"""What some writers can show beside scalars: texts, images, histograms, tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from jaxmetrics.record import Record

KINDS = frozenset({"text", "image", "histogram", "table"})


@dataclass(frozen=True)
class Media(Record):
    """A record of things that are no scalars, all of one kind.

    A writer gets it when the kind is among those that it `shows`.

    Attributes:
      values: By full key. A text is a str. An image is an array `[height, width]` or
        `[height, width, channels]` of 1, 3 or 4 channels, uint8 or floats in [0, 1]. A
        histogram is an array of any shape, or the pair (counts, edges) that
        `np.histogram` returns. A table is a pair (columns, rows).
      kind: `"text"`, `"image"`, `"histogram"` or `"table"`.
    """

    values: Mapping[str, Any]
    kind: Literal["text", "image", "histogram", "table"] = "text"
