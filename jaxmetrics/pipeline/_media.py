"""Texts, images, audio, histograms, tables, hparams on their way to the writers."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np

from jaxmetrics.pipeline._call import is_array
from jaxmetrics.pipeline._row import Row
from jaxmetrics.pipeline._row_limits import media_within_limits
from jaxmetrics.record import (
    REDACTED,
    Media,
    Record,
    hide_secrets,
    is_secret,
    is_secret_word,
    redact,
    secret_fields,
)

MediaKind = Literal["text", "image", "audio", "histogram", "table", "hparams"]

_MAX_TABLE_ROWS = 10_000
_MAX_TEXT_CHARACTERS = 2**16
_MAX_IMAGES = 64
_MIN_RATE, _MAX_RATE = 1, 2**26  # the bytes of a second of 16 channels fill 32 bits


class MediaRow(Row):
    """The media of one kind logged in one call; secrets are removed when fetched.

    Args:
      kind: Kind of the media.
      step: Optimizer updates completed.
      split: The split that the media belong to.
      time: Training seconds.
      on_record: Called with the row and its record, once.
    """

    def __init__(
        self,
        kind: MediaKind,
        step: int,
        split: str,
        time: float,
        on_record: Callable[[Row, Record], object],
    ) -> None:
        super().__init__(step, split, time, on_record=on_record)
        self.kind: str | None = kind
        self._media_kind: MediaKind = kind

    def _fetch(self) -> Record:
        values: dict[str, Any] = {}
        for key, value in self.values.items():
            try:
                values[key] = self._plain(key, value)
            except Exception as error:
                self.faults.append(self._not_fetched(f"the value of {key!r}", error))
        if self.kind != "hparams":  # which are no line of `metrics.jsonl`
            values, cuts = media_within_limits(self._media_kind, values)
            self.cuts = {**self.cuts, **cuts}
        time = round(self.time, 6)
        return Media(self.step, self.split, values, time, kind=self._media_kind)

    def _plain(self, key: str, value: Any) -> Any:
        if self.kind == "text":
            return REDACTED if is_secret(key, value) else self._clean(key, value)
        if self.kind == "table":
            columns, rows = value
            return columns, [self._plain_row(key, columns, row) for row in rows]
        if self.kind == "audio":
            self._note_clipped(key, value[0], -1.0)
        if self.kind == "hparams" or isinstance(value, tuple):
            return value
        plain: Any = value() if callable(value) else np.asarray(value)
        if self.kind == "image":
            self._note_clipped(key, plain, 0.0)
        return plain

    def _note_clipped(self, key: str, values: np.ndarray, lowest: float) -> None:
        """Note floats below `lowest` or above 1, which writers clip."""
        is_float = values.dtype.kind == "f" or "float" in values.dtype.name
        if is_float and np.any((values < lowest) | (values > 1)):
            ends = float(np.nanmin(values)), float(np.nanmax(values))
            self.clipped: dict[str, tuple[float, float]] = {**self.clipped, key: ends}

    def _plain_row(self, key: str, columns: list[str], row: list[Any]) -> list[Any]:
        secrets = secret_fields(dict(zip(columns, row, strict=True)))
        return [
            REDACTED
            if name in secrets or is_secret_word(name, cell)
            else self._clean(key, cell)
            for name, cell in zip(columns, row, strict=True)
        ]

    def _clean(self, key: str, value: Any) -> Any:
        """Return a text or a cell as plain data, without secrets in its texts."""
        if not isinstance(value, str):
            return _plain_cell(value)
        if len(value) <= _MAX_TEXT_CHARACTERS:
            return hide_secrets(value)
        limit = f"text of more than {_MAX_TEXT_CHARACTERS} characters"
        self.cuts.setdefault(limit, []).append(key)
        mark = f"<cut: {limit}>"
        # Secrets are hidden before the text is cut: of a secret at the cut, the first
        # half would no longer look like one.
        hidden = hide_secrets(value[: 2 * _MAX_TEXT_CHARACTERS])
        return hidden[: _MAX_TEXT_CHARACTERS - len(mark)] + mark


def media_value(
    kind: MediaKind,
    name: str,
    value: Any,
    count_on_device: Callable[[Any], object],
    will_fetch: bool = True,
) -> object:
    """Return the value of a media call as a copy or reference that stays the same.

    Args:
      kind: Kind of the media.
      name: Name of the value in the call, for the error.
      value: The value, as `Media` describes it.
      count_on_device: Launch the histogram of a device array; calling the result
        returns its `Bins`.
      will_fetch: Whether a writer of this process will fetch the value.

    Raises:
      TypeError: The value is not of this kind.
      ValueError: The value has another shape.
      RuntimeError: The array was deleted.
    """
    if kind == "text":
        return _text(name, value)
    if kind == "table":
        return _table(name, value)
    if kind == "audio":
        return _audio(name, value)
    if kind == "image" and (figure := _figure_of(value)) is not None:
        return _drawn(figure)
    call = f"log_{kind}s"
    if kind == "histogram" and isinstance(value, tuple):
        return _counted_histogram(call, name, value)
    check = _check_image if kind == "image" else _check_real
    jax = sys.modules.get("jax")
    if jax is None or not isinstance(value, jax.Array):
        value = _array(call, name, value)
        check(call, name, value.shape, value.dtype)
        return value
    _require_values(call, name, value)
    check(call, name, value.shape, value.dtype)
    local = value
    if not value.is_fully_addressable and value.is_fully_replicated:
        local = value.addressable_data(0)
    if kind == "histogram" and value.size:
        # An array that lies on several processes is counted by all of them, whichever
        # of them writes.
        if will_fetch or not local.is_fully_addressable:
            return count_on_device(local)
        return local
    if not local.is_fully_addressable:
        raise ValueError(
            f"{call}() got {name!r}, parts of which lie on other processes; expected "
            f"an array that is local to this process. Gather it first."
        )
    if will_fetch:
        local.copy_to_host_async()
    return local


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(
            f"log_text() got {name!r} of type {type(value).__name__}, expected a str. "
            f"Convert it with str()."
        )
    return value


def _array(call: str, name: str, value: Any, dtype: Any = None) -> np.ndarray:
    """Return a copy of a value as an array.

    Raises:
      ValueError: NumPy cannot make one of it.
    """
    try:
        return np.array(value, dtype)
    except Exception as error:
        raise ValueError(
            f"{call}() got {name!r} of type {type(value).__name__}, expected one array "
            f"({error}). Stack its parts, or log each by a name of its own."
        ) from error


def _figure_of(value: Any) -> Any:
    """Return the figure of matplotlib that a value is or has; None for others."""
    if hasattr(value, "gcf"):  # pyplot
        return value.gcf()
    for figure in (value, getattr(value, "figure", None)):  # of axes, for example
        if hasattr(figure, "canvas") and hasattr(figure, "savefig"):
            return figure
    return None


def _drawn(figure: Any) -> np.ndarray:
    """Draw a figure of matplotlib as it is now: uint8 `[height, width, 4]`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    own = figure.canvas
    try:
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        return np.array(canvas.buffer_rgba())
    finally:
        figure.set_canvas(own)


def _audio(name: str, value: Any) -> tuple[np.ndarray, int]:
    samples, rate = value
    samples = _array("log_audio", name, samples)
    is_valid = samples.ndim == 1 or (samples.ndim == 2 and 1 <= samples.shape[1] <= 16)
    is_number = samples.dtype == np.int16 or "float" in samples.dtype.name
    if not (is_valid and is_number and samples.size):
        raise ValueError(
            f"log_audio() got {name!r} of shape {samples.shape} and {samples.dtype}, "
            f"expected [frames] or [frames, channels] of int16, or of floats in "
            f"[-1, 1]. Transpose or convert it."
        )
    is_real = isinstance(rate, int | float | np.integer | np.floating)
    is_real = is_real and not isinstance(rate, bool)
    if not (is_real and _MIN_RATE <= rate <= _MAX_RATE and rate % 1 == 0):
        raise ValueError(
            f"log_audio() got {name!r} with sample_rate={rate!r}, expected the frames "
            f"per second, a whole number from {_MIN_RATE} to {_MAX_RATE:,}. Resample "
            f"the sound."
        )
    return samples, int(rate)


def _table(name: str, value: Any) -> tuple[list[str], list[list[Any]]]:
    is_pair = isinstance(value, tuple | list)
    parts = value.values() if isinstance(value, Mapping) else value if is_pair else ()
    for part in parts:
        if is_array(part):
            _require_values("log_table", name, part)
    try:
        if isinstance(value, Mapping):
            lists = [_cells(column) for column in value.values()]
            value = list(value), list(zip(*lists, strict=True))
        elif hasattr(value, "columns") and hasattr(value, "itertuples"):  # pandas
            value = value.columns, value.itertuples(index=False, name=None)
        elif hasattr(value, "columns") and hasattr(value, "iter_rows"):  # polars
            value = value.columns, value.iter_rows()
        columns, rows = value
        columns = [str(column) for column in redact(_cells(columns))]
        rows = [[_kept_cell(cell) for cell in _cells(row)] for row in _cells(rows)]
    except (TypeError, ValueError):
        raise TypeError(
            f"log_table() got {name!r} of type {type(value).__name__}, expected a data "
            f"frame, a dict of columns of one length, or a pair (columns, rows). Pass "
            f"(['word', 'count'], [['a', 1], ['b', 2]])."
        ) from None
    uneven = [row for row in rows if len(row) != len(columns)]
    if uneven or len(set(columns)) < len(columns):
        raise ValueError(
            f"log_table() got {name!r} with columns {columns} and {len(uneven)} rows "
            f"of another length; expected different columns, and one cell for each "
            f"column in every row. Fill missing cells with None."
        )
    if len(rows) > _MAX_TABLE_ROWS:
        raise ValueError(
            f"log_table() got {name!r} with {len(rows)} rows, expected at most "
            f"{_MAX_TABLE_ROWS}. Log fewer of them, or several tables."
        )
    return columns, rows


def _cells(several: Any) -> list[Any]:
    """Return a list; a text is one cell, never several.

    Raises:
      TypeError: It is a text, or not iterable.
    """
    if isinstance(several, str | bytes):
        raise TypeError("a text")
    # An array on a device would be read number by number.
    return list(np.asarray(several) if is_array(several) else several)


def _kept_cell(cell: Any) -> Any:
    """Return a cell that stays the same: plain data of what its owner may change."""
    if cell is None or isinstance(cell, str | int | float | np.generic):
        return cell
    return cell if is_array(cell) else _plain_cell(cell)


def _plain_cell(cell: Any) -> Any:
    return redact(np.asarray(cell) if hasattr(cell, "__array__") else cell)


def _counted_histogram(call: str, name: str, value: tuple[Any, ...]) -> object:
    """Check a pair (counts, edges), as `np.histogram` returns it."""
    if len(value) != 2:
        raise ValueError(
            f"{call}() got {name!r} with {len(value)} parts, expected an array or the "
            f"pair (counts, edges). Pass what np.histogram returns."
        )
    counts, edges = (_array(call, name, part, np.float64) for part in value)
    if counts.ndim != 1 or edges.shape != (counts.size + 1,):
        raise ValueError(
            f"{call}() got {name!r} with counts {counts.shape} and edges "
            f"{edges.shape}, expected one edge more than counts. Pass what "
            f"np.histogram returns."
        )
    has_counts = np.all(counts >= 0) and np.isfinite(counts).all()
    if not (has_counts and np.isfinite(edges).all() and np.all(np.diff(edges) >= 0)):
        raise ValueError(
            f"{call}() got {name!r} with counts from {counts.min():g} to "
            f"{counts.max():g} and edges from {edges[0]:g} to {edges[-1]:g}, expected "
            f"finite counts of at least 0 and finite edges in ascending order. Pass "
            f"what np.histogram returns."
        )
    return counts, edges


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
            f"{call}() got {name!r}, whose array was deleted, as donated arrays are. "
            f"Log a value that the step returns and that is not donated."
        )


def _check_real(call: str, name: str, shape: tuple[int, ...], dtype: Any) -> None:
    # The dtype of random keys has no kind.
    if getattr(dtype, "kind", "V") not in "biuf" and "float" not in dtype.name:
        raise TypeError(
            f"{call}() got {name!r} of {dtype}, expected real numbers. Convert it, or "
            f"log its parts."
        )


def _check_image(call: str, name: str, shape: tuple[int, ...], dtype: Any) -> None:
    single = shape[1:] if len(shape) == 4 else shape
    has_shape = len(single) == 2 or (len(single) == 3 and single[2] in (1, 3, 4))
    has_shape = has_shape and (len(shape) < 4 or len(single) == 3)
    if len(shape) == 4 and shape[0] > _MAX_IMAGES:
        raise ValueError(
            f"{call}() got {name!r} with {shape[0]} images, expected at most "
            f"{_MAX_IMAGES}. Log fewer of them."
        )
    has_dtype = dtype in (np.uint8, np.bool_) or "float" in dtype.name
    if not (has_shape and has_dtype and all(shape)):
        raise ValueError(
            f"{call}() got {name!r} of shape {shape} and {dtype}, expected [height, "
            f"width], [height, width, 1, 3 or 4] or a batch [images, height, width, "
            f"1, 3 or 4] of uint8, or of floats in [0, 1]. Transpose or convert it."
        )
