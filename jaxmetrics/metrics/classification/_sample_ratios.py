"""Mean over samples of a ratio of their counts, in the multilabel task."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxmetrics.core import (
    Array,
    Metric,
    both,
    count_leaf,
    count_where,
    divide,
    not_ignored,
    scores_field,
    sum_leaf,
    total,
)
from jaxmetrics.metrics.classification._counts import class_predictions


class SampleRatios(Metric):
    """Ratio of the counts of each sample's labels, summed over samples.

    The state of `Precision`, `Recall` and other ratios with `average="samples"`. Unlike
    counts by class it depends on the ratio, which is given by the factors of its counts
    in numerator and denominator: hits, predictions, labels that are 1, all labels.
    """

    numerator: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0)
    denominator: tuple[float, ...] = (0.0, 1.0, 0.0, 0.0)
    zero_division: float = 0.0
    task: str = "multilabel"
    classes: int | None = None
    threshold: float = 0.5
    scores: str = scores_field(
        "logits", "probs", "preds", default="logits", narrow=True
    )
    ignore_index: int | tuple[int, ...] | None = None
    weighted: bool = False
    top_k: int | None = None
    ratio: Array = sum_leaf()
    samples: Array = count_leaf(weighted="weighted")
    invalid: Array = count_leaf()

    def observe(
        self, *, logits: Any, labels: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """Return the batch's summed ratios, and numbers of samples and invalid labels.

        Samples whose ratio is nan do not count.
        """
        preds, numbers, valid = class_predictions(self, logits, labels)
        kept = both(not_ignored(labels, self.ignore_index), mask)
        scored = both(valid, kept)
        positive, predicted_positive = numbers == 1, preds == 1
        counted = (
            positive & predicted_positive,
            predicted_positive,
            positive,
            jnp.ones_like(valid),
        )
        counts = [(x & scored).sum(axis=-1, dtype=jnp.int32) for x in counted]
        numerator, denominator = (
            sum(np.float32(a) * x.astype(jnp.float32) for a, x in zip(factors, counts))
            for factors in (self.numerator, self.denominator)
        )
        undefined = jnp.float32(self.zero_division)
        ratio = jnp.where(denominator == 0, undefined, divide(numerator, denominator))
        occurs = (counts[-1] > 0) & ~jnp.isnan(ratio)
        return dict(
            ratio=total(ratio, occurs, weights),
            samples=count_where(occurs, weights=weights),
            invalid=count_where(~valid, kept),
        )

    def compute(self) -> Any:
        """Return the mean over samples."""
        return divide(self.ratio, self.samples)
