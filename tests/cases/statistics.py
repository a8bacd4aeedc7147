"""Rows of histograms, counts of what is not finite, and norms."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from support.case import Case, values

import jaxmetrics as jm

LINEAR = dict(low=-1.0, high=5.0, bins=12)
LOG = dict(low=0.1, high=100.0, bins=9)


class NormOfRows(jm.GlobalNorm):
    """`GlobalNorm` leaves masks aside; the laws' mask takes rows out before it."""

    def observe(self, *, values, mask=None):
        if mask is not None:
            values = jnp.where(mask[:, None], values, 0)
        return super().observe(values=values)


def in_one_array(histogram):
    """Below, the counts, above and not finite: the laws read one array."""
    xp = jnp if isinstance(histogram["counts"], jax.Array) else np
    ends = (histogram[name][..., None] for name in ("below", "above", "nonfinite"))
    below, *rest = map(xp.asarray, ends)
    return xp.concatenate([below, histogram["counts"], *rest], -1)


def some_not_finite(draw):
    """The values of `draw` with NaN and infinities among them."""

    def outputs(rng, rows):
        given = draw(rng, rows)["values"]
        odd = rng.choice([np.nan, np.inf, -np.inf], given.shape)
        return dict(values=np.where(rng.random(given.shape) < 0.2, odd, given))

    def as_float32(rng, rows):
        return {name: x.astype(np.float32) for name, x in outputs(rng, rows).items()}

    return as_float32


def on_edges(rng, rows):
    return dict(values=(values(rng, rows)["values"] * 2).round() / 2)


def over_decades(rng, rows):
    decades = rng.integers(-2, 4, (rows, 3))
    return dict(values=(rng.choice([1.0, 2.0], (rows, 3)) * 10.0**decades))


def _counted(values, edges):
    finite = values[np.isfinite(values)]
    ends = [(finite < edges[0]).sum(), (finite > edges[-1]).sum()]
    counts = np.histogram(finite, edges)[0]
    return np.array([ends[0], *counts, ends[1], (~np.isfinite(values)).sum()])


CASES = (
    Case(
        "histogram",
        jm.Compose(in_one_array, histogram=jm.Histogram(**LINEAR)),
        some_not_finite(on_edges),
        lambda values: _counted(values, np.linspace(-1, 5, 13)),
        exact=True,
        empty=0,
    ),
    Case(
        "histogram in decades",
        jm.Compose(in_one_array, histogram=jm.Histogram(scale="log", **LOG)),
        some_not_finite(over_decades),
        lambda values: _counted(values, np.geomspace(0.1, 100, 10)),
        exact=True,
        empty=0,
    ),
    Case(
        "non-finite count",
        jm.NonFiniteCount(),
        some_not_finite(values),
        lambda values: (~np.isfinite(values)).sum(),
        exact=True,
        empty=0,
    ),
    Case(
        "global norm",
        NormOfRows(),
        values,
        lambda values: np.linalg.norm(values.ravel()),
        empty=0.0,
    ),
)
