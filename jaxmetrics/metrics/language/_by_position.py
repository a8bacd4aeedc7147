"""Loss by position in the sequence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from jaxmetrics.core import (
    Array,
    Direction,
    MeanMetric,
    both,
    count_leaf,
    count_where,
    negative_log_likelihood,
    not_ignored,
    scores_field,
)
from jaxmetrics.figures import Chart, Curves


class LossByPosition(MeanMetric):
    """Mean negative log-likelihood at each position of the sequence, `[positions]`.

    In nats, lower is better; nan at positions without data. How much the loss falls
    along the sequence shows what the model gains from a longer context (Kaplan et al.
    2020, Scaling Laws for Neural Language Models, section 3.2.2).

    Reads `logits` `[batch, positions, vocabulary]` and integer `labels`
    `[batch, positions]`. Ids out of range and positions without a largest score (see
    `jaxmetrics.metrics`) are counted in `invalid`, never scored. A logit of -inf masks
    an id out; as a label it costs inf.

    Args:
      positions: Length of the sequences.
      ignore_index: Label, or tuple of labels, that mark padding. Default none.
      scores: Output that holds the scores: "logits" (the default), "probs", which are
        not normalized again, or "losses" `[batch, positions]`, the negative
        log-likelihoods that `jm.losses.chunked_cross_entropy` returns.
      weighted: Require `weights` and weight each token by them.
      stderr: Compute mean and standard error, as `Mean(stderr=True)`. Default False.

    Example:
      >>> import jaxmetrics as jm
      >>> logits = [[[0.0, 0.0], [0.0, -float("inf")]]]
      >>> metric = jm.LossByPosition(positions=2)
      >>> jm.evaluate(metric, logits=logits, labels=[[1, 0]]).round(4)
      array([0.6931, 0.    ])
    """

    higher_is_better: ClassVar[Direction] = False

    positions: int = 1
    ignore_index: int | tuple[int, ...] | None = None
    scores: str = scores_field(
        "logits", "probs", "losses", default="logits", narrow=True
    )
    invalid: Array = count_leaf()

    @property
    def means(self) -> tuple[int, ...]:
        """Shape of the mean."""
        return (self.positions,)

    def validate(self) -> None:
        """Refuse fewer than one position."""
        if self.positions < 1:
            raise ValueError(
                f"LossByPosition: positions is {self.positions}, but must be at least "
                "1. Set it to the length of the sequences."
            )

    def observe(
        self, *, logits: Any, labels: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """Return the batch's summed losses and scored tokens by position."""
        nats, valid = negative_log_likelihood(logits, labels, kind=self.scores)
        if valid.shape[-1:] != (self.positions,):
            raise ValueError(
                f"LossByPosition: labels have shape {valid.shape}, but their last axis "
                f"must be the {self.positions} positions. Configure positions="
                f"{valid.shape[-1] if valid.ndim else 1}."
            )
        kept = both(not_ignored(labels, self.ignore_index), mask)
        scored = both(valid, kept)
        return dict(
            **self.mean_leaves(nats, scored, weights),
            invalid=count_where(~valid, kept),
        )

    def charts(self, name: str | None = None) -> Mapping[str, Chart]:
        """Return the loss over the positions that have data, as a line."""
        value = self.compute()
        title = name or type(self).__name__
        loss = np.asarray(value["mean"] if self.stderr else value)
        positions = np.flatnonzero(~np.isnan(loss))
        lines = {title: (positions, loss[positions])}
        return {title: Curves(lines, "position", "loss (nats)")}
