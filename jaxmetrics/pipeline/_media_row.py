"""Texts, images, histograms, tables, hyperparameters on their way to the writers."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from jaxmetrics.pipeline._row import Row
from jaxmetrics.record import REDACTED, Media, Record, hide, is_secret, redact

Kind = Literal["text", "image", "histogram", "table", "hparams"]

_MOST_ROWS = 10_000
_MOST_TEXT = 2**16


class MediaRow(Row):
    """What was logged of one kind in one call; secrets leave it when it is fetched."""

    def __init__(
        self,
        kind: Kind,
        step: int,
        split: str,
        time: float,
        on_record: Callable[[Row, Record], object],
    ) -> None:
        super().__init__(step, split, time, on_record=on_record)
        self.kind = kind
        self._media_kind: Kind = kind

    def _fetch(self) -> Record:
        values: dict[str, Any] = {}
        for name, part in self.parts.items():
            try:
                values[name] = self._plain(name, part)
            except Exception as error:
                self.faults.append(self._lost(name, False, error))
        return Media(self.step, self.split, values, self.time, kind=self._media_kind)

    def _plain(self, name: str, part: Any) -> Any:
        if self.kind == "text":
            return self._without_secrets(name, name, part)
        if self.kind == "table":
            columns, rows = part
            return columns, [
                [
                    self._without_secrets(name, column, cell)
                    for column, cell in zip(columns, row, strict=True)
                ]
                for row in rows
            ]
        if self.kind == "hparams" or isinstance(part, tuple):
            return part
        return part() if callable(part) else np.asarray(part)

    def _without_secrets(self, key: str, name: str, value: Any) -> Any:
        if is_secret(name, value):
            return REDACTED
        if not isinstance(value, str):
            return redact(np.asarray(value) if hasattr(value, "__array__") else value)
        if len(value) <= _MOST_TEXT:
            return hide(value)
        limit = f"text of more than {_MOST_TEXT} characters"
        self.cuts.setdefault(limit, []).append(key)
        mark = f"<cut: {limit}>"
        # Hidden before it is cut, or half a secret at the end would stay.
        return hide(value[: 2 * _MOST_TEXT])[: _MOST_TEXT - len(mark)] + mark


def media(
    kind: Kind,
    name: str,
    value: Any,
    count: Callable[[Any], object],
    wanted: bool = True,
) -> object:
    """A value of a kind, as nothing that its caller does later can change.

    Args:
      kind: What it is shown as.
      name: What the user called it, for the error.
      value: As `Media` has it.
      count: Launches the histogram of a device array; the result brings its `Bins`.
      wanted: Whether it will be fetched.

    Raises:
      TypeError: It is not of this kind.
      ValueError: It has another shape.
      RuntimeError: Its array was deleted.
    """
    if kind == "text":
        return _text(name, value)
    if kind == "table":
        return _table(name, value)
    return _array(kind, name, value, count, wanted)


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(
            f"log_text() got {name!r} of type {type(value).__name__}, expected a str. "
            f"Convert it with str()."
        )
    return value


def _table(name: str, value: Any) -> tuple[list[str], list[list[Any]]]:
    try:
        columns, rows = value
        columns = [str(column) for column in redact(list(columns))]
        rows = [list(row) for row in rows]
    except (TypeError, ValueError):
        raise TypeError(
            f"log_table() got {name!r} of type {type(value).__name__}, expected a pair "
            f"(columns, rows). Pass (['word', 'count'], [['a', 1], ['b', 2]])."
        ) from None
    uneven = [row for row in rows if len(row) != len(columns)]
    if uneven or len(set(columns)) < len(columns):
        raise ValueError(
            f"log_table() got {name!r} of columns {columns}, and {len(uneven)} rows of "
            f"another length; expected different columns, and a cell of each in every "
            f"row. Fill what is missing with None."
        )
    if len(rows) > _MOST_ROWS:
        raise ValueError(
            f"log_table() got {name!r} of {len(rows)} rows, expected at most "
            f"{_MOST_ROWS}. Log fewer of them, or several tables."
        )
    return columns, rows


def _require_values(call: str, name: str, value: Any) -> None:
    """Refuse an array of JAX that is traced or deleted."""
    from jaxmetrics.core import is_tracer

    if is_tracer(value):
        raise TypeError(
            f"{call}() got {name!r} within jit, where it has no values yet. Return it "
            f"from the compiled step, and log it there."
        )
    if value.is_deleted():
        raise RuntimeError(
            f"{call}() got {name!r}, whose array has been deleted, as donated ones "
            f"are. Log a value that the step returns and is not given again."
        )


def _array(
    kind: str, name: str, value: Any, count: Callable[[Any], object], wanted: bool
) -> object:
    call = f"log_{kind}s"
    if kind == "histogram" and isinstance(value, tuple):
        counts, edges = (np.array(part, np.float64) for part in _pair(name, value))
        if counts.ndim != 1 or edges.shape != (counts.size + 1,):
            raise ValueError(
                f"{call}() got {name!r} of counts {counts.shape} and edges "
                f"{edges.shape}, expected one edge more than counts. Pass what "
                f"np.histogram returns."
            )
        return counts, edges
    jax = sys.modules.get("jax")
    if jax is None or not isinstance(value, jax.Array):
        value = np.array(value)
    else:
        _require_values(call, name, value)
    check = _check_image if kind == "image" else _check_real
    check(call, name, value.shape, value.dtype)
    if isinstance(value, np.ndarray):
        return value
    local = value
    if not value.is_fully_addressable and value.is_fully_replicated:
        local = value.addressable_data(0)
    if kind == "histogram" and value.size:
        # What lies on several processes is counted by all, whoever writes it.
        if wanted or not local.is_fully_addressable:
            return count(local)
        return local
    if not local.is_fully_addressable:
        raise ValueError(
            f"{call}() got {name!r}, parts of which lie on other processes; expected "
            f"an array that this one has. Gather it first."
        )
    if wanted:
        local.copy_to_host_async()
    return local


def _pair(name: str, value: tuple[Any, ...]) -> tuple[Any, Any]:
    if len(value) != 2:
        raise ValueError(
            f"log_histograms() got {name!r} of {len(value)} parts, expected an array "
            f"or the pair (counts, edges). Pass what np.histogram returns."
        )
    return value


def _check_real(call: str, name: str, shape: tuple[int, ...], dtype: Any) -> None:
    if dtype.kind not in "biuf" and "float" not in dtype.name:
        raise TypeError(
            f"{call}() got {name!r} of {dtype}, expected real numbers. Convert it, or "
            f"log its parts."
        )


def _check_image(call: str, name: str, shape: tuple[int, ...], dtype: Any) -> None:
    shaped = len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3, 4))
    typed = dtype in (np.uint8, np.bool_) or "float" in dtype.name
    if not (shaped and typed and all(shape)):
        raise ValueError(
            f"{call}() got {name!r} of shape {shape} and {dtype}, expected [height, "
            f"width] or [height, width, 1, 3 or 4] of uint8, or of floats in [0, 1]. "
            f"Transpose or convert it."
        )
