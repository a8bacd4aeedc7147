"""Share of problems that k samples solve."""

from __future__ import annotations

from typing import Any, ClassVar

import jax.numpy as jnp

from jaxmetrics.core import (
    Array,
    Direction,
    MeanMetric,
    count_leaf,
    count_where,
    mask_like,
    positions,
)


class PassAtK(MeanMetric):
    """Probability that at least one of k samples of a problem is correct: pass@k.

    The unbiased estimator of Chen et al. 2021 (Evaluating Large Language Models Trained
    on Code, equation 1) from n >= k samples of which c are correct,
    `1 - C(n - c, k) / C(n, k)`, meaned over problems. In [0, 1], higher is better; nan
    without data. `1 - (1 - c / n)**k` would be too low.

    Reads `correct`, bool `[problems, samples]`. `mask` leaves out problems
    (`[problems]`) or samples (`[problems, samples]`), so that n may differ by problem.
    A problem with some samples but fewer than k is counted in `invalid`, never scored.

    Args:
      k: Number of samples that are allowed. Default 1.
      weighted: Require `weights` `[problems]` and weight each problem by them.
      stderr: Compute mean and standard error, as `Mean(stderr=True)`. Default False.

    Example:
      >>> import jaxmetrics as jm
      >>> correct = [[True, False, False, False], [False, False, False, False]]
      >>> float(jm.evaluate(jm.PassAtK(k=2), correct=correct))
      0.25
    """

    higher_is_better: ClassVar[Direction] = True

    k: int = 1
    invalid: Array = count_leaf()

    def validate(self) -> None:
        """Refuse k below 1."""
        if self.k < 1:
            raise ValueError(
                f"PassAtK: k is {self.k}, but must be at least 1. Use k=1 for the "
                "share of correct samples."
            )

    def observe(
        self, *, correct: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """Return the batch's summed estimates, scored and invalid problems."""
        correct = jnp.asarray(correct)
        if correct.dtype != bool:
            raise TypeError(
                f"PassAtK: correct is {correct.dtype}, but must be bool. Pass the "
                "outcome of the tests, or scores > threshold."
            )
        if not correct.ndim or correct.shape[-1] < self.k:
            raise ValueError(
                f"PassAtK: correct has shape {correct.shape}, but its last axis must "
                f"be at least k={self.k} samples of a problem. Draw more samples."
            )
        kept = mask_like(correct, mask)
        samples = kept.sum(axis=-1, dtype=jnp.int32)
        wrong = (kept & ~correct).sum(axis=-1, dtype=jnp.int32)
        drawn = positions(self.k, correct.ndim)
        # C(n - c, k) / C(n, k): the chance that each of k samples drawn is wrong.
        left = jnp.maximum(wrong[..., None] - drawn, 0).astype(jnp.float32)
        of = jnp.maximum(samples[..., None] - drawn, 1).astype(jnp.float32)
        solved = 1 - (left / of).prod(axis=-1)
        counted, enough = samples > 0, samples >= self.k
        return dict(
            **self.mean_leaves(solved, enough, weights),
            invalid=count_where(counted & ~enough),
        )
