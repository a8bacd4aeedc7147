"""What some writers can show beside scalars: texts, images, histograms and more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from jaxmetrics.record._record import Record

MEDIA_KINDS = frozenset({"text", "image", "histogram", "table", "hparams"})


@dataclass(frozen=True)
class Media(Record):
    """A record of things that are no scalars, all of one kind.

    A writer gets it when the kind is among those that it `shows`.

    Attributes:
      values: By full key. A text is a str. An image is an array `[height, width]` or
        `[height, width, channels]` of 1, 3 or 4 channels, uint8 or floats in [0, 1]. A
        histogram is an array of any shape, or the pair (counts, edges) that
        `np.histogram` returns, or `Bins`. A table is a pair (columns, rows).
        Hyperparameters are plain data, by their names rather than keys.
      kind: `"text"`, `"image"`, `"histogram"`, `"table"` or `"hparams"`.
    """

    values: Mapping[str, Any]
    kind: Literal["text", "image", "histogram", "table", "hparams"] = "text"

    def line(self) -> dict[str, object]:
        """The row of a text or a table as it is written; its kind comes first.

        >>> Media(1, "val", {"val/said": "hello"}, 2.5).line()
        {'kind': 'text', 'step': 1, 'split': 'val', 'time': 2.5, 'val/said': 'hello'}
        """
        row: dict[str, object] = {"kind": self.kind, **super().line()}
        if self.kind == "table":
            for key, (columns, rows) in self.values.items():
                row[key] = {"columns": columns, "rows": rows}
        return row
