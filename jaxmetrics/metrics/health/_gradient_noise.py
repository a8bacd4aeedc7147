"""Noise scale of the gradients, from norms at two batch sizes."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxmetrics.core import (
    Array,
    Metric,
    both,
    count_elements,
    count_leaf,
    divide,
    in_shard_map,
    namespace,
    sum_leaf,
    total,
)


class GradientNoiseScale(Metric):
    """Simple noise scale of the gradients in examples: `tr(Sigma) / |G|**2`.

    G is the gradient of the whole data, Sigma the covariance of the gradients of single
    examples. Batches much smaller than the scale waste little data, batches much larger
    waste computation (McCandlish et al. 2018, An Empirical Model of Large-Batch
    Training). The squared norm of the gradient of B examples has the mean
    `|G|**2 + tr(Sigma) / B`; with the mean squared norms m of the gradients of n
    microbatches of b examples, and q of the mean of these n gradients, unbiased
    estimates are `|G|**2 = (n q - m) / (n - 1)` and `tr(Sigma) = b n (m - q) / (n - 1)`
    (appendix A.1). The value is the ratio of both, each a mean over all updates, which
    is not the mean of the ratios.

    At least 0. inf where the estimate of `|G|**2` is not above 0: the gradient is lost
    in the noise, and only more updates can tell. nan without data, until there is a
    norm of a complete update, and where all norms are 0. Squares of norms outside 1e-18
    to 1e18 are 0 or inf in float32, and the value is nan.

    Reads `micro_norms`, L2 norms of the gradients of microbatches of equal size, and
    `norm`, that of their mean, which is the gradient of the update. In a step that
    accumulates n microbatches they are `[n]` and a scalar. In a loop with one call for
    each microbatch (`optax.MultiSteps`) they are scalars, and the optional output
    `updated`, bool, is True where `norm` is that of a complete update; elsewhere `norm`
    is ignored. The devices of a data-parallel step are microbatches too: in
    `shard_map`, `micro_norms` is the norm of the local gradient before it is averaged.
    In place of several norms their root mean square may be passed. In deferred form
    norms that every device has need their partition, `deferred(mesh, micro_norms=P())`.

    Args:
      microbatches: Number n of microbatches of an update, at least 2; devices times
        microbatches of a device.
      microbatch_size: Number b of examples of a microbatch; default 1, which gives the
        scale in microbatches. In tokens it is the scale in tokens.

    Example:
      >>> import jaxmetrics as jm
      >>> metric = jm.GradientNoiseScale(microbatches=2, microbatch_size=16)
      >>> value = jm.evaluate(metric, micro_norms=[2.0, 2.0], norm=3**0.5)
      >>> round(float(value), 4)
      16.0
    """

    microbatches: int = 2
    microbatch_size: int = 1
    small: Array = sum_leaf()
    small_count: Array = count_leaf()
    large: Array = sum_leaf()
    large_count: Array = count_leaf()

    def validate(self) -> None:
        """Refuse one microbatch, whose norm is that of the update itself."""
        if self.microbatches < 2:
            raise ValueError(
                f"GradientNoiseScale: microbatches is {self.microbatches}, but must be "
                "at least 2: one batch size does not tell the noise. Accumulate two "
                "microbatches, or leave the metric out."
            )
        if self.microbatch_size < 1:
            raise ValueError(
                f"GradientNoiseScale: microbatch_size is {self.microbatch_size}, but "
                "must be at least 1. Pass the examples of a microbatch."
            )

    def observe(
        self, *, micro_norms: Any, norm: Any, updated: Any = None, mask: Any = None
    ) -> dict[str, Any]:
        """Return the batch's summed squared norms and their numbers."""
        small, large = (jnp.asarray(x, jnp.float32) for x in (micro_norms, norm))
        if large.ndim > small.ndim:
            raise ValueError(
                f"GradientNoiseScale: micro_norms have shape {small.shape} and norm "
                f"{large.shape}, but norm has the axes of micro_norms, or one less: "
                "that of the microbatches. Exchange them."
            )
        n = self.microbatches
        norms = small.shape[-1] if small.ndim > large.ndim else n
        # In shard_map, as in the deferred form, a device may have a part of them.
        if n % max(norms, 1) if in_shard_map() else norms != n:
            raise ValueError(
                f"GradientNoiseScale: micro_norms have shape {small.shape}, but their "
                f"last axis must be the {n} microbatches. Configure "
                f"microbatches={norms}."
            )
        complete = both(updated, mask)
        return dict(
            small=total(small * small, mask),
            small_count=count_elements(small, mask),
            large=total(large * large, complete),
            large_count=count_elements(large, complete),
        )

    def compute(self) -> Any:
        """Return the noise scale, in examples."""
        xp, n = namespace(self), self.microbatches
        small = xp.asarray(divide(self.small, self.small_count))
        small = xp.where((small > 0) & (small < np.inf), small, np.nan)
        large = xp.asarray(divide(self.large, self.large_count))
        signal = (n * large - small) / (n - 1)
        noise = xp.maximum((small - large) * (n / (n - 1)), 0)
        ratio = noise / xp.where(signal > 0, signal, 1)
        ratio = xp.where(signal <= 0, np.inf, ratio)
        return ratio * np.float32(self.microbatch_size)
