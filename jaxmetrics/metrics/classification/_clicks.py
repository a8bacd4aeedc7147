"""Click-through rate, and the entropy of predicted clicks relative to it."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from jaxmetrics.core import (
    Array,
    Direction,
    Metric,
    both,
    check_stderr_of_counts,
    count_leaf,
    count_where,
    divide,
    fraction_of,
    namespace,
    not_ignored,
    scores_field,
    sum_leaf,
    total,
    valid_binary,
)


class NormalizedEntropy(Metric):
    """Mean binary cross entropy divided by the entropy of the rate of positives.

    At least 0, lower is better: 1 is as good as predicting the rate of the data itself
    for every row, and `1 - NormalizedEntropy` is the relative information gain. As
    torcheval's `BinaryNormalizedEntropy` (He et al. 2014), which clips logarithms and
    the rate; here a certain and wrong probability gives inf, and the value is nan if
    all labels are equal, and without data. Labels other than 0 and 1, NaN and `probs`
    outside [0, 1] are counted in `invalid` and never scored.

    Args:
      scores: Output that holds the scores, "logits" (the default) or "probs"; both
        `[...]` as the `labels`.
      ignore_index: Label, or tuple of labels, that mark padding. Default none.
      weighted: Require `weights` and weight each label by them.

    Example:
      >>> import jaxmetrics as jm
      >>> metric = jm.NormalizedEntropy(scores="probs")
      >>> value = jm.evaluate(metric, probs=[0.25, 0.25], labels=[0, 1])
      >>> round(float(value), 4)
      1.2075
    """

    higher_is_better: ClassVar[Direction] = False

    scores: str = scores_field("logits", "probs", default="logits")
    ignore_index: int | tuple[int, ...] | None = None
    weighted: bool = False
    total: Array = sum_leaf()
    positives: Array = count_leaf(weighted="weighted")
    negatives: Array = count_leaf(weighted="weighted")
    invalid: Array = count_leaf()

    def observe(
        self, *, logits: Any, labels: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """Return the batch's summed loss, both kinds of labels and invalid ones."""
        scores, labels = jnp.asarray(logits).astype(jnp.float32), jnp.asarray(labels)
        valid = valid_binary(scores, labels)
        positive = labels.astype(jnp.int32) == 1
        if self.scores == "logits":
            nats = jax.nn.softplus(jnp.where(positive, -scores, scores))
        else:
            inside = (scores >= 0) & (scores <= 1)
            valid, scores = valid & inside, jnp.where(inside, scores, 0)
            nats = -jnp.where(positive, jnp.log(scores), jnp.log1p(-scores))
        kept = both(not_ignored(labels, self.ignore_index), mask)
        scored = both(valid, kept)
        return dict(
            total=total(nats, scored, weights),
            positives=count_where(positive, scored, weights),
            negatives=count_where(~positive, scored, weights),
            invalid=count_where(~valid, kept),
        )

    def compute(self) -> Any:
        """Return the ratio of the entropies."""
        xp = namespace(self)
        kinds = [xp.asarray(x) for x in (self.positives, self.negatives)]
        count = kinds[0] + kinds[1]
        p, q = (divide(x, count) for x in kinds)
        entropy = -p * _log(xp, p, q) - q * _log(xp, q, p)
        return divide(divide(self.total, count), entropy)


class ClickThroughRate(Metric):
    """Fraction of impressions that were clicked.

    In [0, 1]; nan without data. Reads `clicks` `[...]`, 0 or 1 as integers or bool. As
    torcheval's `ClickThroughRate`. Other integers are counted in `invalid` and never
    scored.

    Args:
      ignore_index: Integer, or tuple of integers, that mark padding. Default none.
      weighted: Require `weights` and weight each impression by them.
      stderr: Compute fraction and standard error, as `Mean(stderr=True)`; not with
        weights. Default False.

    Example:
      >>> import jaxmetrics as jm
      >>> float(jm.evaluate(jm.ClickThroughRate(), clicks=[1, 0, 0, 1]))
      0.5
    """

    ignore_index: int | tuple[int, ...] | None = None
    weighted: bool = False
    stderr: bool = dataclasses.field(default=False, kw_only=True)
    clicked: Array = count_leaf(weighted="weighted")
    total: Array = count_leaf(weighted="weighted")
    invalid: Array = count_leaf()

    def validate(self) -> None:
        """Refuse a standard error with weights."""
        check_stderr_of_counts(self)

    def observe(
        self, *, clicks: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """Return the batch's clicks, impressions and invalid ones."""
        clicks = jnp.asarray(clicks)
        valid = valid_binary(jnp.zeros(clicks.shape, jnp.float32), clicks)
        kept = both(not_ignored(clicks, self.ignore_index), mask)
        scored = both(valid, kept)
        return dict(
            clicked=count_where(clicks.astype(jnp.int32) == 1, scored, weights),
            total=count_where(jnp.ones_like(valid), scored, weights),
            invalid=count_where(~valid, kept),
        )

    def compute(self) -> Any:
        """Return the rate."""
        return fraction_of(self.clicked, self.total, self.stderr)


def _log(xp: Any, share: Any, other: Any) -> Any:
    """Return the logarithm of a share, whose digits near 1 are those of the other one.

    It is 0 for a share of 0.
    """
    near_one = xp.log1p(-xp.minimum(other, 0.5))
    return xp.where(share > 0.5, near_one, xp.log(xp.where(share > 0, share, 1)))
