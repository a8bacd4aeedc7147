"""Median absolute error, from a histogram with bins of nearly constant ratio."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np

from jaxmetrics.core import (
    Array,
    Direction,
    Metric,
    OctaveBins,
    count_cells,
    count_leaf,
    count_where,
    mask_like,
    max_leaf,
    maximum,
    min_leaf,
    minimum,
    namespace,
    on_plain_values,
)
from jaxmetrics.metrics.regression._series import paired


class MedianAbsoluteError(Metric):
    """Median of `|preds - targets|`; at least 0, lower is better, nan without data.

    Within a relative error of scikit-learn's `median_absolute_error`, of an even number
    of errors the mean of both in the middle, and never outside the exact extremes.
    `bounds()` encloses the exact median. The float32 errors are counted in bins of
    nearly constant ratio, as in `Quantiles`: any split of the data gives the same bits.
    Errors below `low` count as zero and those beyond `high` share one bin; errors that
    are NaN or infinite have no rank and are counted in `nonfinite`. Reads `preds` and
    `targets` of one shape. The default state takes 24 kB.

    Args:
      relative_error: Bound of the relative error, from 0.001 to below 1. Default 0.01.
      low: Smallest error of interest, in the unit of the targets. Default 1e-9.
      high: Largest error of interest. Default 1e9.

    Example:
      >>> import jaxmetrics as jm
      >>> metric = jm.MedianAbsoluteError()
      >>> value = jm.evaluate(metric, preds=[1.0, 2.0, 9.0], targets=[1.0, 4.0, 0.0])
      >>> round(float(value), 2)  # of 0, 2 and 9
      2.02
    """

    higher_is_better: ClassVar[Direction] = False

    relative_error: float = dataclasses.field(default=0.01, kw_only=True)
    low: float = dataclasses.field(default=1e-9, kw_only=True)
    high: float = dataclasses.field(default=1e9, kw_only=True)
    cells: Array = count_leaf("cell_count")
    smallest: Array = min_leaf()
    largest: Array = max_leaf()
    nonfinite: Array = count_leaf()

    @property
    def cell_count(self) -> int:
        """Number of bins, with those of zero and of errors beyond `high`."""
        return self._bins.count + 2

    def validate(self) -> None:
        """Refuse an error bound or a range that are impossible."""
        self._bins.check("MedianAbsoluteError")

    def observe(self, *, preds: Any, targets: Any, mask: Any = None) -> dict[str, Any]:
        """Return the batch's counts and extremes of errors."""
        _, _, error = paired(preds, targets, None)
        errors = jnp.abs(error)
        valid = mask_like(errors, mask)
        finite = jnp.isfinite(errors) & valid
        return dict(
            cells=count_cells(self._bins.index(errors), self.cell_count, finite),
            smallest=minimum(errors, finite),
            largest=maximum(errors, finite),
            nonfinite=count_where(~jnp.isfinite(errors), valid),
        )

    def compute(self) -> Any:
        """Return the median, in the unit of the targets."""
        return self._median(self._bins.representatives())

    @on_plain_values
    def bounds(self) -> tuple[Any, Any]:
        """Return a lower and an upper bound of the exact median of the float32 errors.

        `log_step` records the distance of the value to the farther one as
        `{name}_error_bound`.
        """
        edges = self._bins.edges()
        return self._median(edges[:-1]), self._median(edges[1:])

    @property
    def _bins(self) -> OctaveBins:
        return OctaveBins(self.relative_error, self.low, self.high)

    def _median(self, of_cells: np.ndarray) -> Any:
        """Return the median of errors that have the value of their cell."""
        xp = namespace(self)
        real = np.float64 if xp is np else np.float32
        twice_rank = 2 * xp.asarray(xp.cumsum(xp.asarray(self.cells), axis=-1), real)
        count = twice_rank[..., -1:] / 2
        values = xp.asarray(of_cells.astype(real))
        middle = (twice_rank < count), (twice_rank <= count)
        total = xp.zeros_like(count[..., 0])
        for before in middle:
            index = xp.minimum(before.sum(-1), self.cell_count - 1)
            total = total + xp.clip(xp.take(values, index), self.smallest, self.largest)
        return xp.where(count[..., 0] > 0, total / 2, real(np.nan))[()]
