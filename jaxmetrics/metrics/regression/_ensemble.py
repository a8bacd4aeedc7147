"""Scores of ensemble forecasts: samples of a predicted distribution, and intervals."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np

from jaxmetrics.core import (
    Array,
    Direction,
    MeanMetric,
    Metric,
    both,
    check_stderr_of_counts,
    count_leaf,
    count_where,
    difference,
    divide,
    fraction_of,
    is_less,
    namespace,
    positions,
    sum_leaf,
    total,
)
from jaxmetrics.figures import Chart, HistogramBars

_FEW_MEMBERS = 64  # of which all pairs take less time than sorting


class CRPS(MeanMetric):
    """Continuous ranked probability score of an ensemble; at least 0, lower is better.

    The energy form `mean(|x - y|) - mean(|x - x'|) / 2` over the members x, x' of the
    ensemble and the target y, as properscoring's `crps_ensemble`; the mean over the
    targets, in their unit, nan without data. For one member it is the absolute error.
    The differences from the target are compared, so that a large mean costs no digits.

    Reads `preds` `[..., members]` and `targets` `[...]`.

    Args:
      fair: Divide the pairs by `members * (members - 1)`, not by `members**2`: the
        score that an ensemble of infinitely many members would have in expectation
        (Ferro 2014), which can be negative. Needs two members. Default False.
      weighted: Require `weights` and weight each target by them.
      stderr: Compute mean and standard error, as `Mean(stderr=True)`. Default False.

    Example:
      >>> import jaxmetrics as jm
      >>> metric = jm.CRPS()
      >>> float(jm.evaluate(metric, preds=[[1.0, 3.0]], targets=[2.0]))
      0.5
    """

    higher_is_better: ClassVar[Direction] = False

    fair: bool = dataclasses.field(default=False, kw_only=True)

    def observe(
        self, *, preds: Any, targets: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """Return the batch's summed scores and number of targets."""
        preds, targets = _ensemble("CRPS", preds, targets, 2 if self.fair else 1)
        members = preds.shape[-1]
        error = difference(preds, targets[..., None])
        pairs = members * (members - self.fair) or 1
        if members <= _FEW_MEMBERS:
            gaps = jnp.abs(error[..., :, None] - error[..., None, :])
            inside = gaps.sum(axis=(-2, -1)) / np.float32(2 * pairs)
        else:
            # Of sorted values all |x - x'| add up to 2 sum((2 i - members + 1) x_i).
            order = positions(members, preds.ndim)
            factor = (2 * order - members + 1).astype(np.float32) / np.float32(pairs)
            inside = (jnp.sort(error, axis=-1) * factor).sum(axis=-1)
        score = jnp.abs(error).mean(axis=-1) - inside
        return self.mean_leaves(score, mask, weights)


class RankHistogram(Metric):
    """Counts of the rank of the target among the members of its ensemble.

    Rank r means that r members are below the target. A calibrated ensemble has a flat
    histogram; a U shape says that it spreads too little (Hamill 2001). Where k members
    equal the target, each of the k + 1 ranks that it could have gets 1 / (k + 1): the
    mean over a random choice among them, which other libraries draw.

    Targets or ensembles with a NaN are left out and counted in `invalid`.

    Reads `preds` `[..., members]` and `targets` `[...]`. Returns by `compute` the
    counts, `[members + 1]`.

    Args:
      members: Number of members of an ensemble.

    Example:
      >>> import jaxmetrics as jm
      >>> metric = jm.RankHistogram(members=2)
      >>> preds, targets = [[1.0, 3.0], [1.0, 3.0]], [2.0, 3.0]
      >>> jm.evaluate(metric, preds=preds, targets=targets).tolist()
      [0.0, 1.5, 0.5]
    """

    members: int
    counts: Array = sum_leaf("ranks")
    invalid: Array = count_leaf()

    @property
    def ranks(self) -> int:
        """Number of ranks."""
        return self.members + 1

    def validate(self) -> None:
        """Refuse an ensemble without members."""
        if self.members < 1:
            raise ValueError(
                f"RankHistogram: members is {self.members}, but must be at least 1. "
                "Pass the size of the ensemble."
            )

    def observe(self, *, preds: Any, targets: Any, mask: Any = None) -> dict[str, Any]:
        """Return the batch's shares of each rank."""
        preds, targets = _ensemble("RankHistogram", preds, targets, 1)
        if preds.shape[-1] != self.members:
            raise ValueError(
                f"RankHistogram: preds have shape {preds.shape}, but the last axis "
                f"must be the {self.members} members. Configure "
                f"members={preds.shape[-1]}."
            )
        invalid = jnp.isnan(preds).any(axis=-1) | jnp.isnan(targets)
        below = is_less(preds, targets[..., None]).sum(axis=-1, dtype=jnp.int32)
        above = is_less(targets[..., None], preds).sum(axis=-1, dtype=jnp.int32)
        equal = self.members - below - above
        rank = positions(self.ranks, preds.ndim)
        possible = (rank >= below[..., None]) & (rank <= (below + equal)[..., None])
        share = possible.astype(jnp.float32) / (equal[..., None] + 1).astype(
            jnp.float32
        )
        return dict(
            counts=total(share, both(~invalid, mask), None, 1),
            invalid=count_where(invalid, mask),
        )

    def charts(self, name: str | None = None) -> Mapping[str, Chart]:
        """Return a histogram with a bar around each rank."""
        edges = np.arange(self.ranks + 1) - 0.5
        bars = HistogramBars(np.asarray(self.compute()), edges, label="rank")
        return {name or type(self).__name__: bars}

    def compute(self) -> Any:
        """Return the counts `[members + 1]`."""
        return self.counts


class SpreadSkill(Metric):
    """Spread of ensembles over the error of their mean: 1 for a calibrated ensemble.

    `sqrt(mean(variance)) / sqrt(mean((mean - targets)**2))`, with the unbiased variance
    of the members; below 1 the ensembles spread too little. The spread is corrected by
    `sqrt((members + 1) / members)`, without which an ensemble drawn from the true
    distribution stays below 1 (Fortin et al. 2014). nan without data and where neither
    spread nor error is above 0.

    Reads `preds` `[..., members]`, at least two, and `targets` `[...]`.

    Args:
      corrected: Correct for the number of members. Default True.
      weighted: Require `weights` and weight each target by them.

    Example:
      >>> import jaxmetrics as jm
      >>> metric = jm.SpreadSkill(corrected=False)
      >>> preds, targets = [[1.0, 3.0], [0.0, 0.0]], [1.0, 1.0]
      >>> float(jm.evaluate(metric, preds=preds, targets=targets))
      1.0
    """

    corrected: bool = dataclasses.field(default=True, kw_only=True)
    weighted: bool = dataclasses.field(default=False, kw_only=True)
    variance: Array = sum_leaf()
    squared_error: Array = sum_leaf()

    def observe(
        self, *, preds: Any, targets: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """Return the batch's summed variances and squared errors."""
        preds, targets = _ensemble("SpreadSkill", preds, targets, 2)
        members = preds.shape[-1]
        errors = difference(preds, targets[..., None])
        error = errors.mean(axis=-1)
        deviation = errors - error[..., None]
        variance = (deviation * deviation).sum(axis=-1) / (members - 1)
        if self.corrected:
            variance = variance * jnp.float32((members + 1) / members)
        return dict(
            variance=total(variance, mask, weights),
            squared_error=total(error * error, mask, weights),
        )

    def compute(self) -> Any:
        """Return the ratio."""
        xp = namespace(self)
        variance, error = xp.asarray(self.variance), self.squared_error
        ratio = xp.sqrt(divide(variance, error))
        no_error = (xp.asarray(error) == 0) & (variance > 0)
        return xp.where(no_error, np.inf, ratio)[()]


class IntervalCoverage(Metric):
    """Fraction of the targets that lie in the predicted interval, its ends included.

    In [0, 1]; best if it is the probability that the intervals claim. Exact counts; nan
    without data. Entries with a NaN, or with `lower` above `upper`, are left out and
    counted in `invalid`.

    Reads `lower`, `upper` and `targets` of one shape.

    Args:
      weighted: Require `weights`, leading axes of the targets.
      stderr: Compute fraction and standard error, as `Mean(stderr=True)`; not with
        weights. Default False.

    Example:
      >>> import jaxmetrics as jm
      >>> outputs = dict(lower=[0.0, 2.0], upper=[1.0, 3.0], targets=[1.0, 4.0])
      >>> float(jm.evaluate(jm.IntervalCoverage(), **outputs))
      0.5
    """

    weighted: bool = False
    stderr: bool = dataclasses.field(default=False, kw_only=True)
    inside: Array = count_leaf(weighted="weighted")
    count: Array = count_leaf(weighted="weighted")
    invalid: Array = count_leaf()

    def validate(self) -> None:
        """Refuse a standard error with weights."""
        check_stderr_of_counts(self)

    def observe(
        self,
        *,
        lower: Any,
        upper: Any,
        targets: Any,
        mask: Any = None,
        weights: Any = None,
    ) -> dict[str, Any]:
        """Return the batch's number of targets inside, and of all."""
        lower, upper, targets = (jnp.asarray(x) for x in (lower, upper, targets))
        if not lower.shape == upper.shape == targets.shape:
            raise ValueError(
                f"IntervalCoverage: lower has shape {lower.shape}, upper {upper.shape} "
                f"and targets {targets.shape}, but the shapes must be equal. Reshape "
                "them: nothing is broadcast."
            )
        missing = jnp.isnan(lower) | jnp.isnan(upper) | jnp.isnan(targets)
        valid = ~(missing | is_less(upper, lower))
        inside = valid & ~is_less(targets, lower) & ~is_less(upper, targets)
        return dict(
            inside=count_where(inside, mask, weights),
            count=count_where(valid, mask, weights),
            invalid=count_where(~valid, mask),
        )

    def compute(self) -> Any:
        """Return the fraction."""
        return fraction_of(self.inside, self.count, self.stderr)


def _ensemble(name: str, preds: Any, targets: Any, least: int) -> tuple[Any, Any]:
    """Return members `[..., members]` and targets `[...]`, of any type."""
    preds, targets = jnp.asarray(preds), jnp.asarray(targets)
    if preds.shape[:-1] != targets.shape or preds.ndim != targets.ndim + 1:
        raise ValueError(
            f"{name}: preds have shape {preds.shape} and targets {targets.shape}, but "
            "preds need one more axis, that of the members, at the end. Pass preds as "
            "[..., members]."
        )
    if preds.shape[-1] < least:
        raise ValueError(
            f"{name}: preds have {preds.shape[-1]} members, but at least {least} are "
            "needed. Pass more members."
        )
    return preds, targets
