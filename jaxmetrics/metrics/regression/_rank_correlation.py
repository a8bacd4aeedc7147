"""Spearman's and Kendall's rank correlation.

Both need the order of all values, which no state of constant size has. The default
state is a joint histogram of predictions and targets: values of one bin count as tied.
Which values the coefficient can have, whatever the order within the bins, follows from
the same counts, so that each estimate has bounds.

Spearman. The rank of a value is the mean rank R of its bin plus a deviation d that
sums to 0 over each bin, and whose squares sum to at most (c**3 - c) / 12 for c values.
The sum of products of ranks is <R + d, S + e>. As d is orthogonal to every function of
the prediction's bin, <d, S> = <d, S - E[S | bin of the prediction]>, which Cauchy and
Schwarz bound; likewise <R, e> and <d, e>.

Kendall. The order of a pair is known unless the two share a bin of predictions or of
targets: each such pair may be concordant, discordant or tied.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxmetrics.core import (
    Metric,
    check_choice,
    child,
    divide,
    namespace,
    on_plain_values,
    positions,
)
from jaxmetrics.metrics.regression._joint_histogram import JointHistogram
from jaxmetrics.metrics.regression._pair_rows import PairRows

_WIDE = 0.2  # width of bounds that diagnostics report
_VARIANTS = ("b", "a", "c")
_BLOCK = 256  # rows that are compared with all others at once on the host


class RankCorrelation(Metric):
    """Base of `SpearmanCorrelation` and `KendallTau`."""

    low: float | None = dataclasses.field(default=None, kw_only=True)
    high: float | None = dataclasses.field(default=None, kw_only=True)
    target_low: float | None = dataclasses.field(default=None, kw_only=True)
    target_high: float | None = dataclasses.field(default=None, kw_only=True)
    bins: int = dataclasses.field(default=64, kw_only=True)
    exact: bool = dataclasses.field(default=False, kw_only=True)
    capacity: int | None = dataclasses.field(default=None, kw_only=True)
    state: JointHistogram | PairRows = child(lambda metric: metric.empty_state())

    def validate(self) -> None:
        """Refuse a missing range or capacity, and impossible ones."""
        name = type(self).__name__
        if self.exact:
            if self.capacity is None or self.capacity < 1:
                raise ValueError(
                    f"{name}: exact=True needs capacity, the number of entries to keep "
                    f"in all, got {self.capacity}. Pass the size of the data set, or "
                    "low= and high= for a histogram of constant size."
                )
            return
        if self.capacity is not None:
            raise ValueError(
                f"{name}: capacity is {self.capacity}, but without exact=True no "
                "entries are kept. Pass both or none."
            )
        if self.low is None or self.high is None:
            raise ValueError(
                f"{name}: low is {self.low} and high {self.high}, but the histogram "
                "needs the range of the values. Pass both, or exact=True with capacity."
            )
        for low, high in (self._range(), self._target_range()):
            if not -np.inf < low < high < np.inf:
                raise ValueError(
                    f"{name}: the range is {low} to {high}, but must be finite and not "
                    "empty. Pass the smallest and the largest value."
                )
        if self.bins < 2:
            raise ValueError(
                f"{name}: bins is {self.bins}, but must be at least 2. Leave it out "
                "for 64."
            )

    def empty_state(self) -> JointHistogram | PairRows:
        """Return the empty state of this configuration."""
        if self.exact:
            return PairRows(self.capacity or 0)
        return JointHistogram(*self._range(), *self._target_range(), self.bins)

    def compute(self) -> Any:
        """Return the coefficient."""
        return self._values()[1]

    @on_plain_values
    def bounds(self) -> tuple[Any, Any]:
        """Return a lower and an upper bound of the coefficient of the values.

        They hold for any order within the bins, up to rounding: 1e-12 on the host, 1e-5
        under jit. With `exact=True` they are equal.

        `log_step` records the distance of the value to the farther one as
        `{name}_error_bound`.
        """
        low, _, high = self._values()
        return low, high

    def diagnostics(self) -> dict[str, float]:
        """Return `invalid`, and `bounds_width`: the distance of the bounds.

        Both are left out where there is nothing to see: widths of at most 0.2.
        """
        found = super().diagnostics()
        low, high = self.bounds()
        width = np.asarray(high) - np.asarray(low)
        width = width[np.isfinite(width)]
        if width.size and width.max() > _WIDE:
            found["bounds_width"] = float(width.max())
        return found

    def _range(self) -> tuple[float, float]:
        assert self.low is not None and self.high is not None
        return self.low, self.high

    def _target_range(self) -> tuple[float, float]:
        low, high = self._range()
        target_low = low if self.target_low is None else self.target_low
        return target_low, high if self.target_high is None else self.target_high

    def _values(self) -> tuple[Any, Any, Any]:
        """Return lower bound, estimate and upper bound."""
        xp = namespace(self)
        if isinstance(self.state, PairRows):
            value = self._of_rows(xp, *self.state.columns())
            return value, value, value
        real = np.float64 if xp is np else np.float32
        counts = xp.asarray(self.state.counts, real)
        return self._of_counts(xp, counts)

    def _of_rows(self, xp: Any, x: Any, y: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} defines no value of rows")

    def _of_counts(self, xp: Any, counts: Any) -> tuple[Any, Any, Any]:
        raise NotImplementedError(f"{type(self).__name__} defines no value of counts")


class SpearmanCorrelation(RankCorrelation):
    """Spearman's rank correlation: Pearson's correlation of the ranks.

    In [-1, 1], as `scipy.stats.spearmanr`; equal values share the mean of their ranks.
    nan where predictions or targets are all equal, and for fewer than two entries.
    Entries with a NaN have no rank: they are left out and counted in `invalid`.

    The default state is a joint histogram of `8 bins**2` bytes, in which values of one
    bin are tied; `bounds()` returns bounds of the exact coefficient. For normal data
    and 64 bins over 8 standard deviations the error is 0.002 and the bounds are 0.04 to
    0.15 apart, half as far with 128 bins. With `exact=True` all entries are kept, as
    float32: integers beyond 2^24 may be tied.

    Reads `preds` and `targets` of one shape; for several outputs use `MultiOutput`.

    Args:
      low: Smallest prediction and target; smaller ones share the first bin.
      high: Largest prediction and target; larger ones share the last bin.
      target_low: The smallest target, if it differs.
      target_high: The largest target, if it differs.
      bins: Number of bins of each axis. Default 64.
      exact: Keep all entries, up to `capacity`, in place of the histogram.
      capacity: Number of entries to keep with `exact=True`; reading more is an error on
        the host, and nan under jit.

    Example:
      >>> import jaxmetrics as jm
      >>> metric = jm.SpearmanCorrelation(exact=True, capacity=100)
      >>> preds, targets = [1.0, 2.0, 30.0, 4.0], [1.0, 2.0, 3.0, 4.0]
      >>> round(float(jm.evaluate(metric, preds=preds, targets=targets)), 4)
      0.8
    """

    def _of_rows(self, xp: Any, x: Any, y: Any) -> Any:
        counted = ~xp.isnan(x)
        n = counted.sum(-1).astype(x.dtype)
        ranks = [xp.where(counted, _mid_ranks(xp, values), 0) for values in (x, y)]
        # Twice the deviations are integers, so that sums in float64 are exact.
        dx, dy = (xp.where(counted, 2 * rank - (n + 1)[..., None], 0) for rank in ranks)
        if xp is not np:
            scale = xp.maximum(n, 1)[..., None]
            dx, dy = dx / scale, dy / scale
        spread = xp.sqrt((dx * dx).sum(-1)) * xp.sqrt((dy * dy).sum(-1))
        return xp.clip(divide((dx * dy).sum(-1), spread), -1, 1)

    def _of_counts(self, xp: Any, counts: Any) -> tuple[Any, Any, Any]:
        n = counts.sum((-1, -2))
        share = counts / xp.maximum(n, 1)[..., None, None]
        of_x, of_y = share.sum(-1), share.sum(-2)
        # Ranks of the bins, centred, as a fraction of n.
        x, y = (xp.cumsum(p, axis=-1) - p / 2 - 0.5 for p in (of_x, of_y))
        covariance = (share * x[..., :, None] * y[..., None, :]).sum((-1, -2))
        spread_x, spread_y = (of_x * x * x).sum(-1), (of_y * y * y).sum(-1)
        spread = xp.sqrt(spread_x) * xp.sqrt(spread_y)
        value = xp.clip(divide(covariance, spread), -1, 1)
        # The most that the order within the bins adds to the spread of the ranks.
        least = 1 / xp.maximum(n, 1)[..., None] ** 2
        inside_x, inside_y = (
            (p * xp.maximum(p * p - least, 0)).sum(-1) / 12 for p in (of_x, of_y)
        )
        rest_y = spread_y - _explained(xp, share, y, of_x)
        rest_x = spread_x - _explained(xp, xp.swapaxes(share, -1, -2), x, of_y)
        rest_x, rest_y = xp.maximum(rest_x, 0), xp.maximum(rest_y, 0)
        error = (
            xp.sqrt(inside_x * rest_y)
            + xp.sqrt(inside_y * rest_x)
            + xp.sqrt(inside_x * inside_y)
        )
        widest = xp.sqrt(spread_x + inside_x) * xp.sqrt(spread_y + inside_y)
        return _bounded(xp, value, covariance, error, spread, widest)


class KendallTau(RankCorrelation):
    """Kendall's rank correlation: agreement in the order of pairs of entries.

    `(concordant - discordant) / sqrt(pairs untied in preds * pairs untied in targets)`,
    tau-b by default, in [-1, 1], as `scipy.stats.kendalltau`. nan where predictions or
    targets are all equal, and for fewer than two entries. Entries with a NaN have no
    rank: they are left out and counted in `invalid`.

    The default state is a joint histogram of `8 bins**2` bytes, in which values of one
    bin are tied; `bounds()` returns bounds of the exact coefficient. For normal data
    and 64 bins over 8 standard deviations the error is up to 0.025 and the bounds are
    0.16 apart, half as much with 128 bins. With `exact=True` all entries are kept, as
    float32 (integers beyond 2^24 may be tied), and computing compares each with each:
    `capacity**2` comparisons.

    Reads `preds` and `targets` of one shape; for several outputs use `MultiOutput`.

    Args:
      variant: "b" (the default); "a" divides by all pairs instead, as torchmetrics, and
        is 0 where all values are equal; "c" (Stuart 1953) divides by `n^2 (m - 1) / (2
        m)` for the smaller number m of distinct values, as scipy. "c" needs
        `exact=True`: a histogram does not know m.
      low: Smallest prediction and target; smaller ones share the first bin.
      high: Largest prediction and target; larger ones share the last bin.
      target_low: The smallest target, if it differs.
      target_high: The largest target, if it differs.
      bins: Number of bins of each axis. Default 64.
      exact: Keep all entries, up to `capacity`, in place of the histogram.
      capacity: Number of entries to keep with `exact=True`; reading more is an error on
        the host, and nan under jit.

    Example:
      >>> import jaxmetrics as jm
      >>> metric = jm.KendallTau(exact=True, capacity=100)
      >>> preds, targets = [1.0, 2.0, 30.0, 4.0], [1.0, 2.0, 3.0, 4.0]
      >>> round(float(jm.evaluate(metric, preds=preds, targets=targets)), 4)
      0.6667
    """

    variant: str = dataclasses.field(default="b", kw_only=True)

    def validate(self) -> None:
        """Refuse an unknown variant, and "c" of a histogram."""
        super().validate()
        check_choice("KendallTau", "variant", self.variant, _VARIANTS)
        if self.variant == "c" and not self.exact:
            raise ValueError(
                'KendallTau: variant="c" needs the number of distinct values, which a '
                "histogram does not keep. Pass exact=True with capacity."
            )

    def _of_rows(self, xp: Any, x: Any, y: Any) -> Any:
        counts = _compare(x, y) if xp is np else _compare_one_by_one(x, y)
        difference, untied_x, untied_y = counts
        n = (~xp.isnan(x)).sum(-1).astype(x.dtype)
        if self.variant == "a":
            spread = n * (n - 1)
        elif self.variant == "c":
            fewest = xp.minimum(_distinct(xp, x), _distinct(xp, y)).astype(x.dtype)
            spread = n * n * (1 - 1 / xp.maximum(fewest, 1))
        else:
            spread = xp.sqrt(untied_x) * xp.sqrt(untied_y)
        return xp.clip(divide(difference, spread), -1, 1)

    def _of_counts(self, xp: Any, counts: Any) -> tuple[Any, Any, Any]:
        n = counts.sum((-1, -2))
        share = counts / xp.maximum(n, 1)[..., None, None]
        below = xp.cumsum(share, axis=-2) - share  # smaller prediction, same target
        smaller = xp.cumsum(below, axis=-1) - below  # and smaller target
        larger = below.sum(-1, keepdims=True) - smaller - below
        # Of all pairs of entries, in either order.
        difference = 2 * (share * (smaller - larger)).sum((-1, -2))
        of_x, of_y = share.sum(-1), share.sum(-2)
        least = 1 / xp.maximum(n, 1)
        tied_x, tied_y = (xp.maximum((p * p).sum(-1) - least, 0) for p in (of_x, of_y))
        tied_both = xp.maximum((share * share).sum((-1, -2)) - least, 0)
        pairs = 1 - least
        error = tied_x + tied_y - tied_both
        if self.variant == "a":
            value = divide(difference, pairs)
            return _bounded(xp, value, difference, error, pairs, pairs)
        # As sums of products of other bins: nothing is left where all are in one bin.
        untied_x, untied_y = ((p * (1 - p)).sum(-1) for p in (of_x, of_y))
        spread = xp.sqrt(untied_x) * xp.sqrt(untied_y)
        spread = xp.where(_in_one_bin(of_x) | _in_one_bin(of_y), 0, spread)
        value = xp.clip(divide(difference, spread), -1, 1)
        return _bounded(xp, value, difference, error, spread, pairs)


def _in_one_bin(share: Any) -> Any:
    return (share > 0).sum(-1) < 2


def _explained(xp: Any, share: Any, rank: Any, of_other: Any) -> Any:
    """Return the spread of a rank that the bin of the other series explains."""
    first = (share * rank[..., None, :]).sum(-1)
    of_other = xp.where(of_other > 0, of_other, 1)
    return (first * first / of_other).sum(-1)


def _bounded(
    xp: Any, value: Any, numerator: Any, error: Any, smallest: Any, largest: Any
) -> tuple[Any, Any, Any]:
    """Return the value within bounds of a quotient, of which both parts are uncertain.

    Args:
      xp: NumPy or jax.numpy.
      value: Estimate of the quotient.
      numerator: Estimate of the numerator.
      error: Largest error of the numerator.
      smallest: Smallest denominator.
      largest: Largest denominator.
    """
    low, high = numerator - error, numerator + error

    def quotient(x: Any, toward_zero: Any) -> Any:
        divisor = xp.where(toward_zero, largest, smallest)
        unknown = xp.where(x < 0, -1, 1)
        ratio = x / xp.where(divisor > 0, divisor, 1)
        return xp.clip(xp.where(divisor > 0, ratio, unknown), -1, 1)

    missing = xp.isnan(value) & (largest <= 0)
    low = xp.where(missing, xp.nan, quotient(low, low > 0))
    high = xp.where(missing, xp.nan, quotient(high, high < 0))
    return low, value[()], high


def _mid_ranks(xp: Any, values: Any) -> Any:
    """Return ranks from 1; equal values get their mean rank, and nan is last."""
    order = xp.argsort(values, axis=-1)
    ordered = xp.take_along_axis(values, order, axis=-1)
    place = xp.broadcast_to(positions(values.shape[-1], values.ndim), values.shape)
    place = place.astype(values.dtype)
    differs = ordered[..., 1:] != ordered[..., :-1]
    end = xp.ones((*values.shape[:-1], 1), bool)
    is_first = xp.concatenate([end, differs], axis=-1)[..., : values.shape[-1]]
    is_last = xp.concatenate([differs, end], axis=-1)[..., : values.shape[-1]]
    first = xp.where(is_first, place, 0)
    last = xp.flip(xp.where(is_last, place, values.shape[-1]), axis=-1)
    if xp is np:
        first = np.maximum.accumulate(first, axis=-1)
        last = np.minimum.accumulate(last, axis=-1)
    else:
        first = lax.cummax(first, axis=first.ndim - 1)
        last = lax.cummin(last, axis=last.ndim - 1)
    rank = (first + xp.flip(last, axis=-1)) / 2 + 1
    return xp.take_along_axis(rank, xp.argsort(order, axis=-1), axis=-1)


def _distinct(xp: Any, values: Any) -> Any:
    """Return the number of distinct values along the last axis; nan is none."""
    ordered = xp.sort(values, axis=-1)  # nan last
    is_new = (ordered[..., 1:] != ordered[..., :-1]) & ~xp.isnan(ordered[..., 1:])
    return is_new.sum(-1) + (~xp.isnan(ordered[..., :1])).sum(-1)


def _compare(x: np.ndarray, y: np.ndarray) -> tuple[Any, Any, Any]:
    """Return concordant less discordant pairs, and those untied in x and in y.

    Each pair is counted in both orders.
    """
    sums = np.zeros((3, *x.shape[:-1]))
    for start in range(0, x.shape[-1], _BLOCK):
        signs = [
            _signs(v, v[..., start : start + _BLOCK, None]).astype(np.int8)
            for v in (x, y)
        ]
        sums[0] += (signs[0] * signs[1]).sum((-1, -2), dtype=np.int64)
        sums[1] += np.abs(signs[0]).sum((-1, -2), dtype=np.int64)
        sums[2] += np.abs(signs[1]).sum((-1, -2), dtype=np.int64)
    return sums[0], sums[1], sums[2]


def _compare_one_by_one(x: jax.Array, y: jax.Array) -> tuple[Any, Any, Any]:
    """Return the same under jit, one row with all others at a time."""

    def add(i: Any, sums: jax.Array) -> jax.Array:
        one_x, one_y = (_signs(v, jnp.take(v, i, axis=-1)[..., None]) for v in (x, y))
        more = [
            values.sum(-1, dtype=jnp.int32).astype(jnp.float32)
            for values in (one_x * one_y, jnp.abs(one_x), jnp.abs(one_y))
        ]
        return sums + jnp.stack(more)

    zeros = jnp.zeros((3, *x.shape[:-1]), jnp.float32)
    sums = lax.fori_loop(0, x.shape[-1], add, zeros)
    return sums[0], sums[1], sums[2]


def _signs(values: Any, one: Any) -> Any:
    """Return the sign of `values - one`, 0 for nan; infinities compare too."""
    values = values[..., None, :] if one.ndim > values.ndim else values
    return (values > one).astype(np.int32) - (values < one).astype(np.int32)
