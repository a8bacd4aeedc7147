"""Agreement of several raters on classes."""

from __future__ import annotations

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from jaxmetrics.core import (
    Array,
    Direction,
    Metric,
    as_class_numbers,
    both,
    check_choice,
    count_leaf,
    count_where,
    divide,
    in_range,
    namespace,
    need_classes,
    positions,
    require_integers,
    sum_leaf,
    total,
)

_MOST = 1 << 31  # integers of a device are below


class FleissKappa(Metric):
    """Agreement of several raters on classes, beyond chance.

    `(P - E) / (1 - E)` with the mean fraction P of pairs of raters who agree on a
    subject, and `E = sum p_j^2` from the fractions p_j of all ratings. 1 for full
    agreement, about 0 for agreement by chance, at least `-1 / (raters - 1)`; higher is
    better. nan without data, and if all ratings are one class. As Fleiss (1971) and
    statsmodels' `fleiss_kappa`; torchmetrics adds 1e-5 to the denominator.

    Reads `ratings`, integers `[subjects, raters]`: the class that each rater gave; or,
    with `mode="counts"`, `[subjects, classes]`: the number of raters who gave it. A
    subject with a rating out of range, or with counts that are negative or do not sum
    to the number of raters, is counted in `invalid` and left out.

    Args:
      classes: Number of classes.
      raters: Number of raters of each subject, at least 2; they need not be the same
        people.
      mode: "ratings" (the default) or "counts".
      weighted: Require `weights` `[subjects]`.

    Example:
      >>> import jaxmetrics as jm
      >>> metric = jm.FleissKappa(classes=2, raters=3)
      >>> value = jm.evaluate(metric, ratings=[[0, 0, 0], [1, 1, 0], [1, 1, 1]])
      >>> round(float(value), 4)
      0.55
    """

    higher_is_better: ClassVar[Direction] = True

    classes: int | None = None
    raters: int | None = None
    mode: str = "ratings"
    weighted: bool = False
    agreeing: Array = sum_leaf()
    ratings: Array = sum_leaf("classes")
    subjects: Array = count_leaf(weighted="weighted")
    invalid: Array = count_leaf()

    def validate(self) -> None:
        """Refuse an unknown mode, no classes, and fewer than two raters."""
        need_classes("FleissKappa", "a count of the ratings", self.classes)
        check_choice("FleissKappa", "mode", self.mode, ("ratings", "counts"))
        if self.raters is None or self.raters < 2:
            raise ValueError(
                f"FleissKappa: raters is {self.raters}, but must be at least 2. Pass "
                "the number of ratings of each subject."
            )
        if self.raters * (self.classes or 1) >= _MOST:
            raise ValueError(
                f"FleissKappa: {self.raters} raters and {self.classes} classes are too "
                "many, since their product must be below 2^31. Take a sample of the "
                "ratings."
            )

    def observe(
        self, *, ratings: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """Return the batch's agreeing pairs, ratings by class, and subjects."""
        ratings = as_class_numbers(ratings)
        require_integers("ratings", ratings)
        classes, raters = self.classes or 0, self.raters or 0
        length = raters if self.mode == "ratings" else classes
        if ratings.shape[-1:] != (length,):
            name = "raters" if self.mode == "ratings" else "classes"
            raise ValueError(
                f"FleissKappa: ratings have shape {ratings.shape}, but with "
                f"mode={self.mode!r} their last axis must be the {length} {name}. "
                f"Configure {name}=... or the other mode."
            )
        if self.mode == "ratings":
            valid = in_range(ratings, classes).all(-1)
            number = positions(classes, ratings.ndim + 1)
            counts = (ratings[..., None] == number).sum(-2, dtype=jnp.int32)
        else:
            # Each at most the number of raters, so that their sum cannot wrap around.
            inside = ((ratings >= 0) & (ratings <= raters)).all(-1)
            counts = jnp.where(inside[..., None], ratings, 0)
            valid = counts.sum(-1) == raters
        kept = both(valid, mask)
        return dict(
            agreeing=total(self._agreeing(counts), kept, weights),
            ratings=total(counts, kept, weights, keep=1),
            subjects=count_where(valid, mask, weights),
            invalid=count_where(~valid, mask),
        )

    def _agreeing(self, counts: jax.Array) -> jax.Array:
        """Return the pairs of raters who agree on each subject."""
        if (self.raters or 0) ** 2 >= _MOST:  # no sum of squares is larger
            counts = counts.astype(jnp.float32)
        return (counts * (counts - 1)).sum(-1)

    def compute(self) -> Any:
        """Return kappa."""
        xp, raters = namespace(self), self.raters or 0
        ratings, subjects = xp.asarray(self.ratings), xp.asarray(self.subjects)
        pairs = float(raters * (raters - 1))
        agreement = divide(self.agreeing, subjects * pairs)
        share = divide(ratings, ratings.sum(-1, keepdims=True))
        by_chance = (share * share).sum(-1)
        same = (ratings > 0).sum(-1) == 1
        kappa = divide(agreement - by_chance, 1 - by_chance)
        return xp.where(same, np.nan, kappa)[()]
