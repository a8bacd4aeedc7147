"""Cosine similarity of vectors."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import jax.numpy as jnp

from jaxmetrics.core import (
    Direction,
    MeanMetric,
    check_choice,
    namespace,
)
from jaxmetrics.metrics.regression._series import paired

_REDUCTIONS = ("mean", "sum")


class CosineSimilarity(MeanMetric):
    """Cosine of the angle between predicted and target vectors, mean over the vectors.

    `preds . targets / (|preds| |targets|)` along the last axis, in [-1, 1], higher is
    better; nan without data. A vector of zeros has similarity 0, as in scikit-learn's
    `cosine_similarity` and Keras (torchmetrics gives nan).

    Reads `preds` and `targets`, `[..., size]` of one shape. `mask` and `weights` have
    the leading axes.

    Args:
      reduction: "mean" (the default), or "sum" over the vectors, torchmetrics' default.
      weighted: Require `weights` and weight each vector by them.
      stderr: Compute mean and standard error, as `Mean(stderr=True)`. Default False.

    Example:
      >>> import jaxmetrics as jm
      >>> metric = jm.CosineSimilarity()
      >>> preds, targets = [[3.0, 4.0], [1.0, 0.0]], [[6.0, 8.0], [0.0, 2.0]]
      >>> float(jm.evaluate(metric, preds=preds, targets=targets))
      0.5
    """

    higher_is_better: ClassVar[Direction] = True

    reduction: str = dataclasses.field(default="mean", kw_only=True)

    def validate(self) -> None:
        """Refuse unknown reductions, and the standard error of a sum."""
        check_choice("CosineSimilarity", "reduction", self.reduction, _REDUCTIONS)
        if self.stderr and self.reduction != "mean":
            raise ValueError(
                "CosineSimilarity: stderr=True is the standard error of a mean, got "
                f"reduction={self.reduction!r}. Leave one of them out."
            )

    def observe(
        self, *, preds: Any, targets: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """Return the batch's summed cosines and number of vectors."""
        preds, targets, _ = paired(preds, targets, None)
        if not preds.ndim:
            raise ValueError(
                "CosineSimilarity: preds have shape (), but need a last axis, that of "
                "a vector. Pass them as [batch, size]."
            )
        cosine = (_unit(preds) * _unit(targets)).sum(axis=-1)
        return self.mean_leaves(cosine, mask, weights)

    def compute(self) -> Any:
        """Return the mean or the sum of the cosines."""
        if self.reduction == "mean":
            return super().compute()
        xp = namespace(self)
        return xp.where(xp.asarray(self.count) > 0, self.total, xp.nan)[()]


def _unit(vectors: Any) -> Any:
    """Return vectors of length 1; scaled first, since squares may leave float32."""
    largest = jnp.abs(vectors).max(axis=-1, keepdims=True, initial=0)
    scaled = vectors / jnp.where(largest > 0, largest, 1)
    square = (scaled * scaled).sum(axis=-1, keepdims=True)
    return scaled / jnp.sqrt(jnp.where(square > 0, square, 1))
