"""Confidence intervals by the bootstrap: copies of a metric over weighted examples."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmetrics.core._decoding import describe
from jaxmetrics.core._hashing import mix
from jaxmetrics.core._inside import observers, outputs_of
from jaxmetrics.core._protocol import Reads
from jaxmetrics.core._wrapper import Wrapper

_LEAST_OF_LARGER = tuple(  # of the 32-bit hashes that stand for a weight above k
    round(2**32 * math.exp(-1) * sum(1 / math.factorial(i) for i in range(k + 1)))
    for k in range(12)
)
_GOLDEN = 0x9E3779B9  # 2^32 over the golden ratio: multiples of it lie far apart


class Bootstrap(Wrapper, reads="ids"):
    """A metric with a confidence interval from resampled examples.

    `compute` returns `{"value": ..., "low": ..., "high": ..., "std": ...}`: the value
    of the data as they are, the ends of the percentile interval (Efron, 1979) and the
    standard error, from the values of `samples` resamples. Of a metric with several
    values each has its own four; an array has them elementwise.

    Each resample gives each example a weight from the Poisson distribution of mean 1,
    as drawing with replacement does in the limit of many examples. The weight is a hash
    of the example's id and of the number of the resample, so that it is the same
    however the data are batched, ordered or sharded, and in the next evaluation, where
    another model gets the same resamples. The ends of a 95 % interval are themselves
    off by about 2.7 standard errors over the square root of `samples`.

    A value that is nan has no interval. A resample whose value is nan, such as the
    recall of a class that it has not drawn, is left out.

    The state is `samples + 1` states of the metric, and so is the work of an update.
    Use it in the evaluation, not in the train step.

    Args:
      metric: The metric. It reads weights: `weighted=True`. Weights of the examples
        themselves are multiplied in if `weights` is passed.
      samples: Number of resamples, at least 2.
      ids: Output of integers, leading axes of the other outputs: a number for each
        example, such as its index in the dataset. Entries with one id, as the tokens of
        a document, are drawn together.
      confidence: Coverage of the interval, above 0 and below 1.
      seed: Another number gives other resamples.

    Example:
      >>> import jaxmetrics as jm, numpy as np
      >>> loss = np.random.default_rng(0).normal(2.0, 1.0, 400)
      >>> metric = jm.Bootstrap(jm.Mean("loss", weighted=True), samples=200)
      >>> interval = jm.evaluate(metric, loss=loss, ids=np.arange(400))
      >>> {name: round(float(x), 2) for name, x in interval.items()}
      {'value': 1.96, 'low': 1.88, 'high': 2.06, 'std': 0.05}
    """

    samples: int = 100
    ids: str = "ids"
    confidence: float = 0.95
    seed: int = 0

    @property
    def copies(self) -> int:
        """Number of states: one of the data as they are, one for each resample."""
        return self.samples + 1

    def validate(self) -> None:
        """Refuse metrics without weights, fewer than 2 resamples, no coverage."""
        if self.samples < 2:
            raise ValueError(
                f"Bootstrap: samples is at least 2, got {self.samples}. Take 100 for a "
                "standard error, 1,000 for an interval."
            )
        if not 0 < self.confidence < 1:
            raise ValueError(
                f"Bootstrap: confidence lies between 0 and 1, got {self.confidence}. "
                "Pass 0.95 for 95 %."
            )
        for metric in observers(self.metric):
            if not outputs_of(metric, "weights"):
                shown = describe(metric, state=False)
                raise ValueError(
                    f"Bootstrap resamples by weights, but {shown} reads none. "
                    "Configure it with weighted=True, or take a metric that has it."
                )
        if len(outputs_of(self.metric, "weights")) != 1:
            raise ValueError(
                "Bootstrap: the metrics inside read weights from "
                f"{sorted(outputs_of(self.metric, 'weights'))}. Let all read one "
                "output, or give each a Bootstrap of its own."
            )

    def reads(self) -> Reads:
        """Return the outputs of the metric and the ids; weights are optional."""
        reads = super().reads()
        weights = outputs_of(self.metric, "weights")
        return Reads(
            reads.required - weights,
            reads.optional | weights,
            reads.mask,
            reads.arguments,
        )

    def transform(self, outputs: Mapping[str, Any], copy: Any) -> Mapping[str, Any]:
        """Multiply the weights by those of the resample, 1 in copy 0."""
        ids = jnp.asarray(outputs[self.ids])
        if ids.dtype.kind not in "iu":
            raise TypeError(
                f"Bootstrap: output {self.ids!r} is {ids.dtype}; ids are integers, one "
                "for each example. Pass its index in the dataset."
            )
        drawn = jnp.where(copy == 0, jnp.float32(1), self._drawn(ids, copy))
        (name,) = outputs_of(self.metric, "weights")
        if name in outputs:
            drawn = _product(jnp.asarray(outputs[name]).astype(jnp.float32), drawn)
        return {**outputs, name: drawn}

    def _scored_metrics(self) -> list[Any]:
        """Return the metric of the data as they are: resamples repeat its entries."""
        axis = self._leading_axes(self.metric) - 1
        return [jax.tree.map(lambda x: x.take(0, axis), self.metric)]

    def present(self, value: list[Any]) -> Any:
        """Return the value with the ends of the interval and the standard error."""
        plain, *resampled = value
        return self._interval(plain, resampled)

    def _interval(self, plain: Any, resampled: list[Any]) -> Any:
        if isinstance(plain, Mapping):
            return {
                name: self._interval(part, [sample[name] for sample in resampled])
                for name, part in plain.items()
            }
        xp = jnp if isinstance(plain, jax.Array) else np
        wide = np.float32 if xp is jnp else np.float64
        values = xp.sort(xp.stack([xp.asarray(x, wide) for x in resampled]), axis=0)
        lost = xp.isnan(xp.asarray(plain, wide))
        tail = (1 - self.confidence) / 2
        low, high = (_quantile(xp, values, q) for q in (tail, 1 - tail))
        parts = dict(low=low, high=high, std=_standard_deviation(xp, values))
        nan = wide(np.nan)
        shown = {name: xp.where(lost, nan, x)[()] for name, x in parts.items()}
        return {"value": plain, **shown}

    def _drawn(self, ids: jax.Array, copy: Any) -> jax.Array:
        """Return weights from the Poisson distribution of mean 1, by inversion."""
        seed = np.uint32((2 * self.seed + 1) * _GOLDEN & 0xFFFFFFFF)
        number = jnp.asarray(copy).astype(jnp.uint32) * np.uint32(_GOLDEN)
        word = mix(mix(ids.astype(jnp.uint32) + seed) + number)
        weight = jnp.zeros(ids.shape, jnp.float32)
        for least in _LEAST_OF_LARGER:
            weight = weight + (word >= np.uint32(least)).astype(jnp.float32)
        return weight


def _product(weights: jax.Array, drawn: jax.Array) -> jax.Array:
    """Multiply arrays of which one has the leading axes of the other."""
    rank = max(weights.ndim, drawn.ndim)
    a, b = (x.reshape(x.shape + (1,) * (rank - x.ndim)) for x in (weights, drawn))
    return a * b


def _quantile(xp: Any, values: Any, q: float) -> Any:
    """Interpolate linearly between sorted values, nan last and left out."""
    wide = values.dtype.type
    count = (~xp.isnan(values)).sum(0, dtype=np.int32)
    position = wide(q) * xp.maximum(count - 1, 0).astype(wide)
    below = xp.floor(position).astype(np.int32)
    above = xp.minimum(below + 1, xp.maximum(count - 1, 0))
    a, b = (xp.take_along_axis(values, i[None], axis=0)[0] for i in (below, above))
    share = position - below.astype(wide)
    return xp.where(a == b, a, a + (b - a) * share)


def _standard_deviation(xp: Any, values: Any) -> Any:
    wide = values.dtype.type
    valid = ~xp.isnan(values)
    count = valid.sum(0).astype(wide)
    some = xp.maximum(count, wide(1))
    mean = xp.where(valid, values, wide(0)).sum(0) / some
    deviation = xp.where(valid, values - mean[None], wide(0))
    variance = (deviation * deviation).sum(0) / xp.maximum(count - 1, wide(1))
    return xp.where(count > 1, xp.sqrt(variance), wide(np.nan))
