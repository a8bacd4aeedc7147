"""Ratios of signal to noise and to distortion, in decibels."""

from __future__ import annotations

import itertools
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from jaxmetrics.core import (
    Direction,
    MeanMetric,
    as_numbers,
    check_choice,
    count_where,
    difference,
    exponent_above,
    scale,
)

_EPS = np.finfo(np.float32).eps
_MEASURES = ("si_sdr", "si_snr", "snr")
_MOST_SPEAKERS = 6
_LARGEST = 40  # exponent; sums of 2^40 squares stay in float32


class DecibelMean(MeanMetric):
    """Base of metrics that are the mean over signals of a ratio in decibels."""

    def observe(
        self, *, preds: Any, targets: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """Return the batch's sum of ratios, and number of signals."""
        name = type(self).__name__
        preds, targets = as_numbers(preds), as_numbers(targets)
        if preds.shape != targets.shape or not preds.ndim:
            raise ValueError(
                f"{name}: preds have shape {preds.shape} and targets {targets.shape}, "
                "but both must be [..., time] of one shape. Cut or pad one of them."
            )
        samples = jnp.ones(preds.shape, bool)
        if mask is not None and jnp.ndim(mask) == preds.ndim:
            count_where(samples, mask)  # refuses other shapes
            samples = jnp.asarray(mask)
            mask = samples.any(tuple(range(self._leading(preds), preds.ndim)))
        axes = tuple(range(self._leading(preds), preds.ndim))
        preds, targets = _in_one_unit(preds, targets, samples, axes)
        ratio = self._ratio(preds, targets, samples)
        return self.mean_leaves(ratio, mask, weights)

    def _leading(self, preds: jax.Array) -> int:
        """Return the number of axes of the ratios."""
        return preds.ndim - 1

    def _ratio(
        self, preds: jax.Array, targets: jax.Array, samples: jax.Array
    ) -> jax.Array:
        """Return the ratio of each signal; samples that are not True do not count."""
        raise NotImplementedError(f"{type(self).__name__} defines no ratio")


class SNR(DecibelMean):
    """Signal-to-noise ratio, in decibels; the mean over signals.

    `10 log10(sum(targets^2) / sum((targets - preds)^2))`, higher is better, nan without
    data. The epsilon of float32, 1.2e-7, is added to both sums, so that silent targets
    and perfect predictions have a finite ratio, as in torchmetrics'
    `SignalNoiseRatio`. It draws the ratio of signals with sums near it, or below,
    towards 0: scale them up first.

    Reads `preds` and `targets`, real `[..., time]`, of one shape. A `mask` of that
    shape says which samples of each signal count; one with leading axes, which signals.

    Args:
      zero_mean: Subtract the mean over time from both signals first. Default False.
      weighted: Require `weights`, of the leading axes, and weight each signal by them.
      stderr: Compute mean and standard error, as `Mean(stderr=True)`. Default False.

    Example:
      >>> import jaxmetrics as jm
      >>> preds, targets = [2.5, 0.0, 2.0, 8.0], [3.0, -0.5, 2.0, 7.0]
      >>> round(float(jm.evaluate(jm.SNR(), preds=preds, targets=targets)), 4)
      16.1805
    """

    higher_is_better: ClassVar[Direction] = True

    zero_mean: bool = False

    def _ratio(
        self, preds: jax.Array, targets: jax.Array, samples: jax.Array
    ) -> jax.Array:
        return _snr(preds, targets, samples, self.zero_mean)


class SISDR(DecibelMean):
    """Scale-invariant signal-to-distortion ratio, in decibels; the mean over signals.

    The ratio of `SNR` with the target scaled to fit the prediction best, by
    `a = sum(preds targets) / sum(targets^2)`:
    `10 log10(sum((a targets)^2) / sum((a targets - preds)^2))`. Higher is better, nan
    without data. As Le Roux et al. (2019), and torchmetrics'
    `ScaleInvariantSignalDistortionRatio`, whose epsilon of 1.2e-7 is added to all sums.
    The arguments are those of `SNR`.

    Example:
      >>> import jaxmetrics as jm
      >>> preds, targets = [2.5, 0.0, 2.0, 8.0], [3.0, -0.5, 2.0, 7.0]
      >>> round(float(jm.evaluate(jm.SISDR(), preds=preds, targets=targets)), 3)
      18.403
    """

    higher_is_better: ClassVar[Direction] = True

    zero_mean: bool = False

    def _ratio(
        self, preds: jax.Array, targets: jax.Array, samples: jax.Array
    ) -> jax.Array:
        return _si_sdr(preds, targets, samples, self.zero_mean)


class SISNR(DecibelMean):
    """Scale-invariant signal-to-noise ratio, in decibels; the mean over signals.

    `SISDR` of signals whose mean over time is subtracted first, as torchmetrics'
    `ScaleInvariantSignalNoiseRatio`; higher is better, nan without data.

    Reads `preds` and `targets`, real `[..., time]`, of one shape. A `mask` of that
    shape says which samples of each signal count; one with leading axes, which signals.

    Args:
      weighted: Require `weights`, of the leading axes, and weight each signal by them.
      stderr: Compute mean and standard error, as `Mean(stderr=True)`. Default False.

    Example:
      >>> import jaxmetrics as jm
      >>> preds, targets = [2.5, 0.0, 2.0, 8.0], [3.0, -0.5, 2.0, 7.0]
      >>> round(float(jm.evaluate(jm.SISNR(), preds=preds, targets=targets)), 3)
      15.092
    """

    higher_is_better: ClassVar[Direction] = True

    def _ratio(
        self, preds: jax.Array, targets: jax.Array, samples: jax.Array
    ) -> jax.Array:
        return _si_sdr(preds, targets, samples, True)


class PermutationInvariant(DecibelMean):
    """Ratio of separated speakers under the best assignment to the true ones.

    The mean over speakers of a ratio in decibels, for the permutation of `preds` for
    which it is largest; the mean over mixtures. Higher is better, nan without data. As
    Yu et al. (2017), and torchmetrics' `PermutationInvariantTraining` with
    `mode="speaker-wise"`.

    Reads `preds` and `targets`, real `[..., speakers, time]`, of one shape. A `mask` of
    that shape says which samples count; one with leading axes, which mixtures. All
    permutations are tried, so there are at most 6 speakers.

    Args:
      speakers: Number of speakers, from 1 to 6.
      measure: Ratio of a speaker: "si_sdr" (the default), "si_snr" or "snr".
      weighted: Require `weights`, of the leading axes, and weight each mixture by them.
      stderr: Compute mean and standard error, as `Mean(stderr=True)`. Default False.

    Example:
      >>> import jaxmetrics as jm
      >>> targets = [[3.0, -0.5, 2.0, 7.0], [1.0, 1.0, -1.0, 2.0]]
      >>> preds = [[1.0, 1.5, -1.0, 2.0], [2.5, 0.0, 2.0, 8.0]]
      >>> metric = jm.PermutationInvariant(speakers=2, measure="snr")
      >>> round(float(jm.evaluate(metric, preds=preds, targets=targets)), 2)
      15.33
    """

    higher_is_better: ClassVar[Direction] = True

    speakers: int | None = None
    measure: str = "si_sdr"

    def validate(self) -> None:
        """Refuse an unknown measure and impossible numbers of speakers."""
        check_choice("PermutationInvariant", "measure", self.measure, _MEASURES)
        if self.speakers is None or not 1 <= self.speakers <= _MOST_SPEAKERS:
            raise ValueError(
                f"PermutationInvariant: speakers is {self.speakers}, but must be from "
                f"1 to {_MOST_SPEAKERS}. Set it to the length of the axis before time."
            )

    def _leading(self, preds: jax.Array) -> int:
        return preds.ndim - 2

    def _ratio(
        self, preds: jax.Array, targets: jax.Array, samples: jax.Array
    ) -> jax.Array:
        speakers = self.speakers or 1
        if preds.shape[-2:-1] != (speakers,):
            raise ValueError(
                f"PermutationInvariant: preds have shape {preds.shape}, but the axis "
                f"before time must be the {speakers} speakers. Configure speakers=..."
            )
        # A sample of a pair counts where it counts for both speakers of the pair.
        pairs = jnp.broadcast_shapes(
            preds[..., None, :, :].shape, targets[..., :, None, :].shape
        )
        predicted = jnp.broadcast_to(preds[..., None, :, :], pairs)
        true = jnp.broadcast_to(targets[..., :, None, :], pairs)
        counted = samples[..., None, :, :] & samples[..., :, None, :]
        centred = self.measure == "si_snr"
        measure = _snr if self.measure == "snr" else _si_sdr
        ratio = measure(predicted, true, counted, centred)
        orders = np.array(list(itertools.permutations(range(speakers))))
        chosen = orders[..., None] == np.arange(speakers)
        ratios = jnp.where(chosen, ratio[..., None, :, :], 0).sum((-2, -1))
        # A maximum may lose a NaN on some platforms, a sum does not.
        return ratios.max(-1) / speakers + 0 * ratio.sum((-2, -1))


def _in_one_unit(
    preds: jax.Array, targets: jax.Array, samples: jax.Array, axes: tuple[int, ...]
) -> tuple[jax.Array, jax.Array]:
    """Return signals in a power of two in which no sum of their squares overflows.

    It is 1 for amplitudes up to 2^40 and for integers. Above that the epsilon, which is
    of the unit, is far below the rounding of any noise.
    """
    if preds.dtype != jnp.float32 or targets.dtype != jnp.float32:
        return preds, targets
    magnitude = jnp.where(samples, jnp.maximum(jnp.abs(preds), jnp.abs(targets)), 0)
    largest = magnitude.max(axes, keepdims=True, initial=0)
    exponent = jnp.maximum(exponent_above(largest) - _LARGEST, 0)
    return scale(preds, -exponent), scale(targets, -exponent)


def _snr(
    preds: jax.Array, targets: jax.Array, samples: jax.Array, zero_mean: bool
) -> jax.Array:
    # Of integers the difference is taken before they are rounded.
    noise = _counted(difference(targets, preds), samples, zero_mean)
    return 10 * jnp.log10(
        _energy(_counted(targets, samples, zero_mean)) / _energy(noise)
    )


def _si_sdr(
    preds: jax.Array, targets: jax.Array, samples: jax.Array, zero_mean: bool
) -> jax.Array:
    preds, targets = (_counted(x, samples, zero_mean) for x in (preds, targets))
    factor = ((preds * targets).sum(-1) + _EPS) / _energy(targets)
    scaled = factor[..., None] * targets
    return 10 * jnp.log10(_energy(scaled) / _energy(scaled - preds))


def _counted(x: jax.Array, samples: jax.Array, zero_mean: bool) -> jax.Array:
    """Return a signal as float32 with zeros where samples do not count."""
    if not zero_mean:
        return jnp.where(samples, x.astype(jnp.float32), 0)
    # The second mean is what rounding left of the first one.
    for _ in range(2):
        x = jnp.where(samples, difference(x, _mean(x, samples)), 0)
    return x


def _mean(x: jax.Array, samples: jax.Array) -> jax.Array:
    n = samples.sum(-1, keepdims=True, dtype=jnp.int32)
    sum_of = jnp.where(samples, x.astype(jnp.float32), 0).sum(-1, keepdims=True)
    return sum_of / jnp.maximum(n, 1).astype(jnp.float32)


def _energy(x: jax.Array) -> jax.Array:
    return (x * x).sum(-1) + _EPS
