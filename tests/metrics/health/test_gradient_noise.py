"""GradientNoiseScale on gradients of known noise, from all kinds of loops."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P

import jaxmetrics as jm
from jaxmetrics import telemetry

SIZE, MICROBATCHES, EXAMPLES = 256, 8, 4
NOISE_SCALE = 50.0


def gradient(rng):
    """Return G; examples have gradients G + noise, of covariance Sigma."""
    g = rng.normal(size=SIZE)
    return np.float32(g / np.linalg.norm(g))


def gradients(rng, updates, mean):
    """Return gradients of microbatches, `[updates, microbatches, parameters]`."""
    deviation = np.sqrt(NOISE_SCALE / SIZE / EXAMPLES)
    noise = rng.normal(0, deviation, (updates, MICROBATCHES, SIZE))
    return np.float32(mean + noise)


@pytest.fixture(scope="module")
def synthetic():
    rng = np.random.default_rng(0)
    return gradients(rng, 400, gradient(rng))


METRIC = jm.GradientNoiseScale(MICROBATCHES, EXAMPLES)


def test_accumulated_microbatches_give_the_known_scale(synthetic):
    @jax.jit
    def step(metric, microbatches):
        def accumulate(total, grads):
            return total + grads, telemetry.grad_norm(grads)

        total, norms = jax.lax.scan(accumulate, jnp.zeros(SIZE), microbatches)
        norm = telemetry.grad_norm(total / MICROBATCHES)
        return metric.update(micro_norms=norms, norm=norm)

    metric = METRIC
    for microbatches in synthetic:
        metric = step(metric, microbatches)
    assert metric.compute() == pytest.approx(NOISE_SCALE, rel=0.05)


def test_noisy_updates_that_tell_nothing_alone_tell_the_scale_together():
    rng = np.random.default_rng(1)
    mean = gradient(rng)
    noise = rng.normal(0, np.sqrt(NOISE_SCALE / SIZE), (8000, 2, SIZE))
    norms = np.linalg.norm(mean + noise, axis=-1)
    norm = np.linalg.norm((mean + noise).mean(1), axis=-1)
    metric = jm.GradientNoiseScale(2)
    alone = [jm.evaluate(metric, micro_norms=norms[i], norm=norm[i]) for i in range(20)]
    assert np.isinf(alone).sum() > 5  # a mean of ratios would be inf
    halves = (slice(0, 3000), slice(3000, None))
    first, second = (metric.update(micro_norms=norms[i], norm=norm[i]) for i in halves)
    assert first.merge(second).compute() == pytest.approx(NOISE_SCALE, rel=0.05)


def test_the_loop_of_multi_steps_gives_the_same(synthetic):
    inner = optax.chain(telemetry.monitor(groups={}, around=optax.sgd(0.1)))
    tx = optax.MultiSteps(inner, MICROBATCHES)

    @jax.jit
    def step(metric, state, grads):
        _, state = tx.update({"w": grads}, state, {"w": jnp.ones(SIZE)})
        metric = metric.update(
            micro_norms=telemetry.grad_norm(grads),
            norm=telemetry.monitored(state)["grad/norm"],
            updated=tx.has_updated(state),
        )
        return metric, state

    metric, state = METRIC, tx.init({"w": jnp.ones(SIZE)})
    for grads in synthetic[:20].reshape(-1, SIZE):
        metric, state = step(metric, state, grads)
    norms = np.linalg.norm(synthetic[:20], axis=-1)
    norm = np.linalg.norm(synthetic[:20].mean(1), axis=-1)
    expected = jm.evaluate(METRIC, micro_norms=norms, norm=norm)
    assert metric.compute() == pytest.approx(expected, rel=1e-4)


def test_devices_are_microbatches_and_a_deferred_state_adds_no_collective(synthetic):
    mesh = jax.make_mesh((MICROBATCHES,), ("data",), axis_types=(AxisType.Auto,))

    @functools.partial(
        jax.shard_map, mesh=mesh, in_specs=P("data"), out_specs=(P("data"), P())
    )
    def norms(grads):
        mean = jax.lax.pmean(grads[0], "data")
        return telemetry.grad_norm(grads)[None], telemetry.grad_norm(mean)

    @jax.jit
    def step(metric, grads):
        local, norm = norms(grads)
        return metric.update(micro_norms=local, norm=norm)

    metric = METRIC.deferred(mesh)
    text = step.lower(metric, synthetic[0]).compile().as_text()
    assert text.count(" all-reduce(") == 1  # of the gradients
    for grads in synthetic:
        metric = step(metric, grads)
    assert metric.compute() == pytest.approx(NOISE_SCALE, rel=0.05)


@pytest.mark.parametrize("partition", [{}, dict(micro_norms=P(), norm=P())])
def test_a_deferred_state_takes_accumulated_norms_however_partitioned(
    synthetic, partition
):
    mesh = jax.make_mesh((MICROBATCHES,), ("data",), axis_types=(AxisType.Auto,))
    norms = np.linalg.norm(synthetic, axis=-1)
    norm = np.linalg.norm(synthetic.mean(1), axis=-1)
    metric, expected = METRIC.deferred(mesh, **partition), METRIC
    for i in range(3):
        metric = metric.update(micro_norms=norms[i], norm=norm[i])
        expected = expected.update(micro_norms=norms[i], norm=norm[i])
    assert metric.compute() == pytest.approx(expected.compute(), rel=1e-5)


def test_one_psum_of_two_numbers_serves_gradients_that_are_sharded(synthetic):
    mesh = jax.make_mesh((MICROBATCHES,), ("data",), axis_types=(AxisType.Auto,))

    @jax.jit
    @functools.partial(
        jax.shard_map,
        mesh=mesh,
        in_specs=(P(), P(None, "data")),
        out_specs=P(),
    )
    def step(metric, grads):
        def update(metric, local):
            mean = jax.lax.psum_scatter(local, "data", tiled=True) / MICROBATCHES
            squares = jnp.stack([(local**2).sum(), (mean**2).sum()])
            small, large = jax.lax.psum(squares, "data")
            outputs = dict(micro_norms=(small / MICROBATCHES) ** 0.5, norm=large**0.5)
            return metric.update(**outputs), None

        return jax.lax.scan(update, metric, grads[:, 0])[0]

    metric = step(METRIC.empty(), synthetic)
    assert metric.compute() == pytest.approx(NOISE_SCALE, rel=0.05)


def test_by_hand():
    # Of 4 microbatches of 2: m = 7, q = 4; |G|^2 = (16 - 7) / 3, tr = 2 * 4 * 3 / 3.
    metric = jm.GradientNoiseScale(4, 2)
    value = jm.evaluate(metric, micro_norms=[7**0.5] * 4, norm=2.0)
    assert value == pytest.approx(8 / 3, rel=1e-6)


def test_a_gradient_lost_in_the_noise_has_an_infinite_scale():
    metric = jm.GradientNoiseScale(2)
    assert jm.evaluate(metric, micro_norms=[2.0, 2.0], norm=2**0.5) == np.inf
    assert jm.evaluate(metric, micro_norms=[2.0, 2.0], norm=1.0) == np.inf
    exactly = jm.GradientNoiseScale(4)
    assert jm.evaluate(exactly, micro_norms=[2.0] * 4, norm=1.0) == np.inf


def test_equal_microbatches_have_no_noise_even_after_rounding():
    metric = jm.GradientNoiseScale(2)
    assert jm.evaluate(metric, micro_norms=[1.0, 1.0], norm=1.0000001) == 0


def test_without_a_complete_update_it_is_nan():
    metric = jm.GradientNoiseScale(2)
    value = jm.evaluate(metric, micro_norms=1.0, norm=np.nan, updated=False)
    assert np.isnan(value)
    assert np.isnan(jm.evaluate(metric, micro_norms=[1.0, np.nan], norm=1.0))


def test_one_microbatch_and_a_wrong_number_are_refused():
    with pytest.raises(ValueError, match="one batch size does not tell the noise"):
        jm.GradientNoiseScale(1)
    with pytest.raises(ValueError, match="microbatch_size is 0"):
        jm.GradientNoiseScale(2, 0)
    with pytest.raises(ValueError, match="Configure microbatches=3"):
        jm.GradientNoiseScale(2).update(micro_norms=[1.0, 1.0, 1.0], norm=1.0)
    with pytest.raises(ValueError, match="Configure microbatches=2"):
        jm.GradientNoiseScale(4).update(micro_norms=[1.0, 1.0], norm=1.0)
    with pytest.raises(ValueError, match=r"norm \(2,\).*Exchange them"):
        jm.GradientNoiseScale(2).update(micro_norms=1.0, norm=[1.0, 1.0])


def test_norms_may_be_integers_whose_squares_are_not():
    metric = jm.GradientNoiseScale(2, 16)
    norms = np.int32([200_000, 200_000])
    value = jm.evaluate(metric, micro_norms=norms, norm=np.float32(3**0.5 * 1e5))
    assert value == pytest.approx(16, rel=1e-5)


@pytest.mark.parametrize("unit", [0, 1e-25, 1e25])
def test_norms_without_a_square_have_no_scale(unit):
    metric = jm.GradientNoiseScale(2)
    norms = np.float32([2 * unit, 2 * unit])
    value = jm.evaluate(metric, micro_norms=norms, norm=np.float32(unit))
    assert np.isnan(value)
