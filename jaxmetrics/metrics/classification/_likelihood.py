"""Cross entropy and perplexity."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from jaxmetrics.core import (
    Array,
    Direction,
    MeanMetric,
    Metric,
    both,
    child,
    count_leaf,
    count_where,
    namespace,
    negative_log_likelihood,
    not_ignored,
    scores_field,
)


class CrossEntropy(MeanMetric):
    """Mean negative log-likelihood of the labels, in nats; lower is better.

    `-log softmax(logits)[label]`, computed in float32 with the largest logit subtracted
    first, so that no digits are lost at a common offset; nan without data. Labels out
    of range, rows without a largest score (see `jaxmetrics.metrics`) or with negative
    `probs`, and losses that are NaN are counted in `invalid` and never scored.

    A logit of -inf or a probability of 0 masks its class out, and the loss of a label
    that is masked out is inf.

    Args:
      scores: Output that holds the scores: "logits" (the default) or "probs", which
        are not normalized again, both `[..., classes]`, with integer `labels` `[...]`;
        or "losses" `[...]`, the negative log-likelihoods of the labels in nats, which
        `jm.losses.chunked_cross_entropy` returns.
      label_smoothing: Share of the target that is spread evenly over all classes that
        are not masked out, in [0, 1). Default 0.
      ignore_index: Label, or tuple of labels, that mark padding. Default none.
      weighted: Require `weights` and weight each label by them.
      stderr: Compute `{"mean": ..., "stderr": ...}`, as `Mean(stderr=True)`, of labels
        that are independent; for the tokens of a text use `Bootstrap`. Default False.

    Example:
      >>> import jaxmetrics as jm
      >>> logits = [[0.0, 0.0], [0.0, 0.0]]
      >>> loss = jm.evaluate(jm.CrossEntropy(), logits=logits, labels=[0, 1])
      >>> round(float(loss), 4)
      0.6931
    """

    higher_is_better: ClassVar[Direction] = False

    scores: str = scores_field(
        "logits", "probs", "losses", default="logits", narrow=True
    )
    label_smoothing: float = 0.0
    ignore_index: int | tuple[int, ...] | None = None
    invalid: Array = count_leaf()

    def validate(self) -> None:
        """Refuse smoothing that cannot be applied."""
        if self.label_smoothing and self.scores == "losses":
            raise ValueError(
                f"CrossEntropy: label_smoothing={self.label_smoothing} needs all "
                "scores, but scores='losses' reads the losses alone. Pass "
                "scores='logits', or the smoothed loss to jm.Mean."
            )
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(
                f"CrossEntropy: label_smoothing is {self.label_smoothing}, but must be "
                "in [0, 1). Pass 0.1 to spread a tenth of the target."
            )

    def observe(
        self, *, logits: Any, labels: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """Return the batch's summed loss, scored labels and invalid labels."""
        nats, valid = negative_log_likelihood(
            logits,
            labels,
            kind=self.scores,
            label_smoothing=self.label_smoothing,
        )
        kept = both(not_ignored(labels, self.ignore_index), mask)
        scored = both(valid, kept)
        return dict(
            **self.mean_leaves(nats, scored, weights),
            invalid=count_where(~valid, kept),
        )


class Perplexity(Metric):
    """Exponential of the mean cross entropy of all labels; lower is better.

    At least 1, and nan without data (Jelinek et al. 1977). The mean is over labels
    (tokens), not over batches. inf where the exponential overflows: log `CrossEntropy`
    as well.

    Args:
      scores: Output that holds the scores: "logits" (the default) or "probs", which
        are not normalized again, both `[..., classes]`, with integer `labels` `[...]`;
        or "losses" `[...]`, the negative log-likelihoods of the labels in nats, which
        `jm.losses.chunked_cross_entropy` returns.
      ignore_index: Label, or tuple of labels, that mark padding. Default none.
      weighted: Require `weights` and weight each label by them.

    Example:
      >>> import jaxmetrics as jm
      >>> logits = [[0.0, 0.0], [0.0, 0.0]]
      >>> value = jm.evaluate(jm.Perplexity(), logits=logits, labels=[0, 1])
      >>> round(float(value), 4)
      2.0
    """

    higher_is_better: ClassVar[Direction] = False

    scores: str = scores_field(
        "logits", "probs", "losses", default="logits", narrow=True
    )
    ignore_index: int | tuple[int, ...] | None = None
    weighted: bool = False
    loss: CrossEntropy = child(
        lambda m: CrossEntropy(
            scores=m.scores,
            ignore_index=m.ignore_index,
            weighted=m.weighted,
        )
    )

    def compute(self) -> Any:
        """Return the perplexity."""
        with np.errstate(over="ignore"):
            return namespace(self).exp(self.loss.compute())
