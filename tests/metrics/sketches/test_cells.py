"""Counting into cells: scatter and product agree, and each platform gets its own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmetrics as jm
from jaxmetrics import core
from jaxmetrics.metrics.sketches import _cells


@pytest.mark.parametrize("cells", [1, 64, 257, 6003])
def test_a_product_counts_cells_as_a_scatter_does(cells):
    rng = np.random.default_rng(10)
    index = jnp.asarray(rng.integers(-2, cells + 3, 9000), jnp.int32)
    index = jnp.where(index < 0, cells, index)
    scatter = jax.jit(core.cells_by_scatter, static_argnums=1)(index, cells)
    product = jax.jit(core.cells_by_product, static_argnums=1)(index, cells)
    np.testing.assert_array_equal(scatter, product)
    expected = np.bincount(index, minlength=cells)[:cells]
    np.testing.assert_array_equal(product, expected)


@pytest.mark.parametrize("bits", [3, 17, 32])
def test_a_product_counts_bits_as_a_scatter_does(bits):
    rng = np.random.default_rng(11)
    index = rng.integers(0, 40, 5000).astype(np.int32)
    words = rng.integers(0, 2**bits, 5000).astype(np.uint32)
    scatter = jax.jit(_cells.bits_by_scatter, static_argnums=(2, 3))
    product = jax.jit(_cells.bits_by_product, static_argnums=(2, 3))
    counts = scatter(index, words, 37, bits)
    np.testing.assert_array_equal(counts, product(index, words, 37, bits))
    in_cell = words[index == 8]
    expected = [in_cell.size, *((in_cell >> bit & 1).sum() for bit in range(bits))]
    assert counts[8].tolist() == expected


@pytest.mark.parametrize(
    "metric",
    [jm.Quantiles(), jm.DistinctCount(), jm.CountMin(), jm.TopItems()],
    ids=lambda metric: type(metric).__name__,
)
def test_a_program_for_tpu_has_no_scatter_and_one_for_cpu_has(metric):
    values = np.zeros(512, np.int32)
    traced = jax.jit(lambda x: metric.update(values=x)).trace(values)
    for platform, has_scatter in (("cpu", True), ("tpu", False)):
        text = traced.lower(lowering_platforms=(platform,)).as_text()
        assert ("stablehlo.scatter" in text) is has_scatter
