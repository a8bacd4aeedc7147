"""Checks of arithmetic that a compiler or a network could make wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from jaxmetrics.doctor._check import ensure


def two_sum_is_exact(add: Callable[[Any, Any], Any] | None = None) -> str:
    """Check that the compiler keeps the rounding error of a float32 sum.

    Args:
      add: Function of two arrays that returns their sum and its rounding error.
        Default: that of the package.
    """
    import jax

    from jaxmetrics.core import two_sum

    rng = np.random.default_rng(0)
    shape = (2, 4096)
    # Exponents at most 24 apart: float64 holds the sums exactly.
    a, b = rng.normal(size=shape) * 2.0 ** rng.integers(-12, 13, shape)
    a, b = a.astype(np.float32), b.astype(np.float32)
    total, error = (np.asarray(x) for x in jax.jit(add or two_sum)(a, b))
    exact = a.astype(np.float64) + b
    wrong = int(np.sum((total != a + b) | (total.astype(np.float64) + error != exact)))
    ensure(wrong == 0, f"{wrong:,} of {a.size:,} sums lost their error under jit")
    return f"{a.size:,} sums under jit are exact"


def counts_are_exact() -> str:
    """Check that counts are exact beyond 2^24, 2^32 and 2^53."""
    import jax

    from jaxmetrics.metrics import Count

    doublings = 45

    @jax.jit
    def count(values: Any) -> Any:
        once = Count().update(values=values)
        many = jax.lax.fori_loop(0, doublings, lambda i, c: c.merge(c), once)
        return many.merge(once)

    size = 4097
    counted = int(count(np.zeros(size, np.float32)).compute())
    expected = size * 2**doublings + size
    ensure(counted == expected, f"counted {counted:,}, not {expected:,}")
    return f"{counted:,} counted exactly"


def sums_are_compensated() -> str:
    """Check that a float32 sum keeps its precision over many merges."""
    import jax

    from jaxmetrics.metrics import Sum

    merges = 100_000
    value = np.full(1, 0.1, np.float32)

    @jax.jit
    def add(value: Any) -> Any:
        once = Sum().from_model_output(values=value)
        return jax.lax.fori_loop(0, merges, lambda i, s: s.merge(once), Sum())

    expected = float(value[0]) * merges
    error = abs(float(add(value).compute()) - expected) / expected
    limit = merges * 2.0**-48  # as documented for a sum leaf
    ensure(error <= limit, f"relative error {error:.1g} over {merges:,} merges")
    return f"relative error {error:.1g} over {merges:,} merges"


def reductions_agree() -> str:
    """Check that all local devices compute the values of one, in both forms."""
    import jax
    from jax.sharding import Mesh, NamedSharding, PartitionSpec

    from jaxmetrics.core import Collection
    from jaxmetrics.metrics import Count, Max, Mean

    mesh = Mesh(np.array(jax.local_devices()), ("data",))
    rows = NamedSharding(mesh, PartitionSpec("data"))
    values = np.random.default_rng(0).normal(3.0, 1.0, 64 * mesh.size)
    values = values.astype(np.float32)
    metrics = Collection(count=Count(), mean=Mean(), largest=Max())
    sharded = jax.device_put(values, rows)

    @jax.jit
    @jax.shard_map(mesh=mesh, in_specs=rows.spec, out_specs=PartitionSpec())
    def reduced(values: Any) -> Any:
        return metrics.from_model_output(values=values).reduce("data")

    deferred = metrics.deferred(mesh)
    step = jax.jit(lambda state, values: state.update(values=values))
    program = step.lower(deferred, sharded).compile().as_text() or ""
    ensure("all-reduce" not in program, "a deferred update has a collective")
    expected = {"count": len(values), "largest": values.max()}
    mean = values.astype(np.float64).mean()
    for form, state in {
        "shard_map": reduced(sharded),
        "the deferred form": step(deferred, sharded),
    }.items():
        values = state.compute()
        for name, value in expected.items():
            same = values[name] == value
            ensure(same, f"{name} in {form} is {values[name]}, not {value}")
        # XLA sums within a batch in float32.
        near = abs(float(values["mean"]) - mean) < 1e-5
        ensure(near, f"mean in {form} is {values['mean']}, not {mean}")
    count = "1 local device is" if mesh.size == 1 else f"{mesh.size} local devices are"
    return f"{count} right, in shard_map and deferred"
