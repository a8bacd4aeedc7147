"""Show metrics in notebooks: tables and charts of their values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np

from jaxmetrics.core._arrays import is_deleted
from jaxmetrics.core._decoding import describe, is_fresh
from jaxmetrics.core._jax import is_tracer
from jaxmetrics.record import Html, flatten, html_table

_MAX_ROWS = 60
_MAX_SIDE = 12  # rows and columns up to which an array is shown whole


def value_table(metric: Any) -> str:
    """Return an HTML table of the values of a metric or of a collection.

    A state that cannot be read here, since it is traced, donated or on devices of other
    processes, is described as by `repr`.
    """
    leaves = jax.tree.leaves(metric)
    if not all(map(_is_readable, leaves)):
        return html_table((), [[repr(metric)]])
    call = describe(metric, state=False)
    if is_fresh(metric):
        return html_table((), [["no data yet"]], call)
    rows = list(_rows(metric.compute()))
    if (more := len(rows) - _MAX_ROWS) > 0:
        rows[_MAX_ROWS:] = [(f"and {more:,} more", "")]
    return html_table((), rows, call, right=1)


def _is_readable(leaf: Any) -> bool:
    if is_tracer(leaf) or is_deleted(leaf):
        return False
    if not isinstance(leaf, jax.Array):
        return True
    return leaf.is_fully_addressable or leaf.is_fully_replicated


def _rows(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for name, part in flatten(value):
            yield name, _cell(part)
    else:
        yield "value", _cell(value)


def _cell(value: Any) -> Any:
    try:
        array = np.asarray(value)
        if array.dtype.kind not in "biuf":
            array = array.astype(np.float64)
    except (TypeError, ValueError):
        return str(value)
    if array.ndim == 0:
        return _number(array[()])
    if array.ndim > 2 or max(array.shape) > _MAX_SIDE:
        return f"array of shape {array.shape}"
    texts = np.vectorize(_number, otypes=[object])(np.atleast_2d(array))
    return Html(html_table((), texts.tolist(), right=0))


def _number(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int | np.integer) else f"{value:.6g}"
