"""Exact sums: the same bits in any order, in any batches, on any number of devices."""

import functools
import math
import pickle

import cases
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from jax import lax
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from support.laws import (
    ROWS,
    assert_value,
    bits,
    collectives,
    draw,
    expected,
    host,
    member,
    take,
)

import jaxmetrics as jm
from jaxmetrics.core import configuration_of

LIMBS = 12  # words of a reproducible sum


def holds_exact_sums(metric):
    """Whether a metric, or one inside, has a leaf of an exact sum."""
    if isinstance(metric, jm.Collection):
        return any(holds_exact_sums(inside) for _, inside in metric.items())
    kinds = [type(layout.kind).__name__ for layout in metric._layout.leaves.values()]
    inside = [getattr(metric, name) for name in metric._children]
    return "ExactSum" in kinds or any(map(holds_exact_sums, inside))


def reproducible_cases():
    """The rows with a sum, and the reproducible metric of each."""
    chosen = {}
    for case in cases.sample(17):
        if case.without.keys() & {"permutation", "commutativity", "split", "deferred"}:
            continue
        try:
            metric = case.metric.reproducible()
        except TypeError as error:
            assert "has no reproducible form" in str(error)
            continue
        if holds_exact_sums(metric):
            chosen[case.name] = (case, metric)
    return chosen


CASES = reproducible_cases()
every_case = pytest.mark.parametrize("name", CASES)

ORDER = np.random.default_rng(3).permutation(ROWS)
VARIANTS = ("whole", "permuted", "split 1", "split 2", *"abc")
BATCHES = 3

# Each program runs once or twice: optimising its machine code would cost more.
jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


def masks_of(variant):
    """Which rows each batch has, `[batches, rows]`."""
    if variant in ("whole", "permuted"):
        number = np.zeros(ROWS)
    elif variant in "abc":
        number = np.where(np.arange(ROWS) % 3 == "abc".index(variant), 0, BATCHES)
    else:
        number = np.random.default_rng(int(variant[-1])).integers(0, BATCHES, ROWS)
    return number == np.arange(BATCHES)[:, None]


@jit
def streamed(outputs, masks):
    """The states after a scan over batches, for each variant."""

    def stream(outputs, masks):
        def step(states, mask):
            return {
                name: state.update(**outputs[name], mask=mask)
                for name, state in states.items()
            }, None

        empty = {name: metric.empty() for name, (_, metric) in CASES.items()}
        return lax.scan(step, empty, masks)[0]

    return jax.vmap(stream)(outputs, masks)


@jit
def merged(a, b):
    merge = jax.vmap(lambda a, b: a.merge(b))
    return {name: merge(a[name], b[name]) for name in a}


@pytest.fixture(scope="module")
def outputs():
    return {name: draw(case) for name, (case, _) in CASES.items()}


@pytest.fixture(scope="module")
def states(outputs):
    """State by metric and variant, and the merges of a, b and c in two orders."""
    variants = {
        name: stack([take(x, ORDER) if v == "permuted" else x for v in VARIANTS])
        for name, x in outputs.items()
    }
    stacked = host(streamed(variants, np.stack([masks_of(v) for v in VARIANTS])))
    states = {
        name: {v: member(stack, i) for i, v in enumerate(VARIANTS)}
        for name, stack in stacked.items()
    }
    for pairs in ({"ab": "a b", "bc": "b c"}, {"(ab)c": "ab c", "(bc)a": "bc a"}):
        a, b = (
            {
                n: stack([of[pair.split()[i]] for pair in pairs.values()])
                for n, of in states.items()
            }
            for i in (0, 1)
        )
        results = host(merged(a, b))
        for name, of in states.items():
            of |= {key: member(results[name], i) for i, key in enumerate(pairs)}
    return states


def stack(trees):
    return jax.tree.map(lambda *x: np.stack(x), *trees)


@pytest.mark.parametrize(
    "variant", ["permuted", "split 1", "split 2", "(ab)c", "(bc)a"]
)
@every_case
def test_no_order_of_rows_batches_or_merges_changes_a_bit(name, variant, states):
    assert bits(states[name][variant]) == bits(states[name]["whole"])


@every_case
def test_the_value_is_that_of_the_reference(name, states, outputs):
    case, _ = CASES[name]
    value = states[name]["whole"].compute()
    assert_value(case, value, expected(case, outputs[name]))


COMPUTED = (
    "BitsPerByte",
    "BitsPerToken",
    "BoxIoU",
    "CRPS",
    "CosineSimilarity",
    "CrossEntropy",
    "GeneralizedDice",
    "GeometricMean",
    "JensenShannonDivergence",
    "KLDivergence",
    "KLToReference",
    "LogCoshError",
    "LossByPosition",
    "MeanSquaredLogError",
    "MultiScaleSSIM",
    "PSNR",
    "PassAtK",
    "PermutationInvariant",
    "Perplexity",
    "PolicyKL",
    "PredictiveEntropy",
    "ROUGE",
    "RootMeanSquaredLogError",
    "SISDR",
    "SISNR",
    "SNR",
    "SSIM",
    "SequenceMean",
    "SpectralAngle",
    "SpreadSkill",
    "TotalVariation",
    "TweedieDeviance",
    "ZLoss",
)
"""Metrics of logarithms, exponentials, or sums and products within a row.

Their rounding depends on the compiler and the row's place in a vector.
"""


def collection_and_outputs(outputs, names):
    """The metrics in one collection, each with outputs of its own."""
    metrics, batch = {}, {}
    for name in names:
        case, metric = CASES[name]
        argument = {output: argument for argument, output in case.reads.items()}
        own = outputs[name]
        metrics[name] = metric.on(**{argument.get(x, x): f"{name}: {x}" for x in own})
        batch |= {f"{name}: {x}": v for x, v in own.items()}
    return jm.Collection(metrics), batch


def on_devices(count, outputs, names):
    """The total of the deferred form on a number of devices."""
    metrics, batch = collection_and_outputs(outputs, names)
    mesh = Mesh(np.array(jax.devices()[:count]), ("data",))
    placed = jax.device_put(batch, NamedSharding(mesh, P("data")))
    state = metrics.deferred(mesh)
    step = jit(lambda s, o: s.update(**o)).lower(state, placed).compile()
    assert not collectives(step.as_text())
    return host(jit(lambda s: s.reduce())(step(state, placed)))


@pytest.fixture(scope="module")
def on_eight(outputs):
    return on_devices(8, outputs, CASES)


@every_case
def test_eight_devices_change_no_bit(name, on_eight, states):
    if type(CASES[name][0].metric).__name__ in COMPUTED:
        case, _ = CASES[name]
        assert_value(case, on_eight[name].compute(), states[name]["whole"].compute())
        return
    whole = [x.tobytes() for x in jax.tree.leaves(states[name]["whole"])]
    assert [x.tobytes() for x in jax.tree.leaves(on_eight[name])] == whole


@pytest.mark.parametrize("count", [1, 2, 4])
def test_the_number_of_devices_changes_no_bit(count, outputs, on_eight):
    names = {"mean weighted", "accuracy weighted", "calibration error", "mean by group"}
    names = sorted(names & on_eight.keys())
    total = on_devices(count, outputs, names)
    for name in names:
        leaves = [x.tobytes() for x in jax.tree.leaves(total[name])]
        assert leaves == [x.tobytes() for x in jax.tree.leaves(on_eight[name])], name


def test_a_sharded_batch_under_jit_changes_no_bit():
    values = np.random.default_rng(0).normal(size=8 * 9000).astype(np.float32)
    update = jax.jit(lambda m, v: m.update(values=v))
    mesh = Mesh(np.array(jax.devices()), ("data",))
    placed = jax.device_put(values, NamedSharding(mesh, P("data")))
    metric = jm.Sum().reproducible()
    assert bits(update(metric.place(mesh), placed)) == bits(update(metric, values))
    text = update.lower(metric.place(mesh), placed).compile().as_text()
    gathered = [line for line in text.splitlines() if " all-gather(" in line]
    assert all("[8]" in line.split("all-gather(")[0] for line in gathered)


def test_the_reduction_is_one_sum_of_integers():
    metrics = jm.Collection(a=jm.Mean(weighted=True), b=jm.Sum()).reproducible()
    body = jax.shard_map(
        lambda m: jax.tree.map(lambda x: x[0], m).reduce("data"),
        mesh=Mesh(np.array(jax.devices()), ("data",)),
        in_specs=P("data"),
        out_specs=P(),
    )
    stack = jax.tree.map(lambda x: np.stack([x] * 8), metrics)
    text = jax.jit(body).lower(stack).compile().as_text()
    assert collectives(text) == ["all-reduce"]


@jax.jit
def counted(metric, outputs):
    return metric.from_model_output(**outputs)


def total_of(metric, **outputs):
    return counted(metric, outputs)


floats = st.floats(width=32, allow_nan=False, allow_infinity=False)


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(values=arrays(np.float32, 40, elements=floats), order=st.permutations(range(40)))
def test_any_finite_values_sum_as_math_fsum(values, order):
    state = total_of(jm.Sum().reproducible(), values=values)
    assert state.compute() == math.fsum(values.astype(float))
    assert bits(total_of(jm.Sum().reproducible(), values=values[order])) == bits(state)


@pytest.mark.parametrize("last", [0, 2.0**-20, 2.0**-149, -(2.0**-149)])
def test_a_sum_near_the_midpoint_of_two_doubles_is_rounded_once(last):
    values = np.float32([2.0**53, 1, last])
    state = total_of(jm.Sum().reproducible(), values=values)
    assert state.compute() == 2.0**53 + (2 if last > 0 else 0)


SIZES = (0, 1, 8191, 8193, 70_000, 8 * 12_501, 1_000_003)


@pytest.mark.parametrize("size", SIZES)
def test_a_batch_of_any_size_is_exact(size):
    rng = np.random.default_rng(size)
    values = rng.normal(size=size) * np.exp(rng.uniform(-80, 80, size))
    values = values.astype(np.float32)
    state = total_of(jm.Sum().reproducible(), values=values)
    assert state.compute() == math.fsum(values.astype(float))


@pytest.mark.parametrize("shape", [(70_000, 3), (3, 9000, 5), (300, 40, 30), (64, 128)])
def test_batches_of_any_rank_are_exact(shape):
    values = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    state = total_of(jm.Sum().reproducible(), values=values)
    assert state.compute() == math.fsum(values.ravel().astype(float))


def test_columns_are_summed_each_by_itself():
    class Columns(jm.Metric):
        total: jm.Array = jm.sum_leaf("3", reproducible=True)

        def observe(self, *, values, mask=None):
            return dict(total=jm.total(values, mask, keep=1))

        def compute(self):
            return self.total

    values = np.random.default_rng(1).normal(size=(3000, 3)).astype(np.float32)
    values *= np.float32([1e-30, 1, 1e30])
    state = total_of(Columns(), values=values)
    expected = [math.fsum(column) for column in values.T.astype(float)]
    np.testing.assert_array_equal(state.compute(), expected)


def test_integers_are_exact():
    values = np.random.default_rng(1).integers(-(2**31), 2**31, 9000).astype(np.int32)
    state = total_of(jm.Sum().reproducible(), values=values)
    assert state.compute() == int(values.astype(object).sum())


@pytest.mark.parametrize("size", [3 * 65_521, 1 << 22])
def test_many_values_with_all_bits_set_do_not_overflow(size):
    values = np.full(size, -np.nextafter(np.float32(2), np.float32(0)))
    state = total_of(jm.Sum().reproducible(), values=values)
    assert state.compute() == float(values[0]) * values.size


@pytest.mark.parametrize("cells", [3, 100])
@pytest.mark.parametrize("rows", [1000, (1 << 20) + 7])
def test_weights_are_summed_by_cell_exactly(cells, rows):
    rng = np.random.default_rng(rows)
    weights = np.exp(rng.uniform(-40, 40, rows)).astype(np.float32)
    index = rng.integers(0, cells, rows).astype(np.int32)

    class Weights(jm.Metric):
        cells: int = 1
        sums: jm.Array = jm.sum_leaf("cells", reproducible=True)

        def observe(self, *, index, values, mask=None):
            return dict(sums=jm.count_at(index, (self.cells,), mask, values))

        def compute(self):
            return self.sums

    state = total_of(Weights(cells), index=index, values=weights)
    expected = [math.fsum(weights[index == k].astype(float)) for k in range(cells)]
    np.testing.assert_array_equal(state.compute(), expected)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, math.inf], math.inf),
        ([-math.inf, 3e38], -math.inf),
        ([math.inf, -math.inf], math.nan),
        ([math.nan, math.inf], math.nan),
        ([3e38, 3e38, -3e38], float(np.float32(3e38))),
        ([1e-45, 1e-45], 2 * float(np.float32(1e-45))),
    ],
)
def test_infinities_nan_overflow_and_subnormals(values, expected):
    whole = jm.Sum().reproducible().update(values=np.float32(values))
    one_by_one = jm.Sum().reproducible()
    for value in values[::-1]:
        one_by_one = one_by_one.update(values=np.float32(value))
    np.testing.assert_equal([whole.compute(), one_by_one.compute()], [expected] * 2)
    assert bits(whole) == bits(one_by_one)


def test_under_jit_the_sum_is_rounded_once_to_float32():
    @jax.jit
    @jax.vmap
    def in_jit(values):
        return jm.Sum().reproducible().update(values=values).compute()

    rng = np.random.default_rng(0)
    values = rng.normal(size=(200, 50)) * np.exp(rng.uniform(-30, 30, (200, 1)))
    values = values.astype(np.float32)
    exact = [np.float32(math.fsum(row)) for row in values.astype(float)]
    np.testing.assert_array_equal(in_jit(values), exact)
    above_the_midpoint = np.float32([[2.0**24, 1, 2.0**-149]])
    assert in_jit(above_the_midpoint) == 2**24 + 2  # float64 would round twice
    special = [[math.inf, 0], [-math.inf, 0], [math.nan, 0]]
    np.testing.assert_array_equal(
        in_jit(np.float32(special)), [math.inf, -math.inf, math.nan]
    )


def test_many_merges_lose_nothing():
    @jax.jit
    def run(state, value):
        return lax.fori_loop(0, 10_000, lambda _, s: s.update(values=value), state)

    state = run(jm.Sum().reproducible().replace(total=1e30), np.float32(0.1))
    assert state.update(values=np.float32(-1e30)).compute() == pytest.approx(
        1e30 - float(np.float32(1e30)) + 10_000 * float(np.float32(0.1)), abs=0
    )


def test_a_plain_number_is_stored_exactly_and_one_beyond_is_refused():
    state = jm.Sum().reproducible()
    for value in (0.1, -(2**100), 2.0**-149, math.inf):
        assert state.replace(total=value).compute() == value
    with pytest.raises(ValueError, match="Sum.total: is beyond an exact sum"):
        state.replace(total=1e70)


def test_a_scalar_contribution_is_one_summand():
    class Steps(jm.Metric, scalars=True):
        total: jm.Array = jm.sum_leaf(reproducible=True)

        def observe(self, *, loss):
            return dict(total=loss)

        def compute(self):
            return self.total

    state = Steps()
    for loss in (1e8, 1e-8, -1e8):
        state = state.update(loss=np.float32(loss))
    assert state.compute() == float(np.float32(1e-8))


def test_a_contribution_that_is_summed_already_is_refused():
    class Summed(jm.Metric):
        total: jm.Array = jm.sum_leaf()

        def observe(self, *, values, mask=None):
            return dict(total=jm.total(values, mask).pair())

        def compute(self):
            return self.total

    Summed().update(values=np.ones(3))
    message = r"Summed.total: is reproducible, but got a pair.*Return total\(values"
    with pytest.raises(TypeError, match=message):
        Summed().reproducible().update(values=np.ones(3))


@pytest.mark.parametrize(
    ("metric", "reason"),
    [
        (jm.Variance(), "Variance has no reproducible form: its leaf 'moments'"),
        (jm.Std(), "Std has no reproducible form: its leaf 'moments'"),
        (jm.R2(), "R2 has no reproducible form: its leaf 'targets' merges means"),
        (jm.Moments(), "Moments has no reproducible form: it merges central moments"),
        (jm.Masked(jm.Std()), "Std has no reproducible form"),
        (jm.Collection(a=jm.Mean(), b=jm.Std()), "Std has no reproducible form"),
        (
            jm.AUROC(task="binary", weighted=True),
            "AUROC has no reproducible form: its leaf .* adds weights in float",
        ),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_a_metric_without_an_exact_form_is_refused_by_name(metric, reason):
    with pytest.raises(TypeError, match=reason):
        metric.reproducible()


def test_the_constructor_refuses_them_too():
    with pytest.raises(TypeError, match="Variance has no reproducible form"):
        jm.Variance(reproducible_sums=True)


MEAN = jm.Mean("loss")


@pytest.mark.parametrize(
    ("metric", "constructed"),
    [
        (MEAN, jm.Mean("loss", reproducible_sums=True)),
        (
            jm.Precision(classes=3, weighted=True),
            jm.Precision(classes=3, weighted=True, reproducible_sums=True),
        ),
        (
            jm.ByGroup(MEAN, by="domain", groups=3),
            jm.ByGroup(MEAN, by="domain", groups=3, reproducible_sums=True),
        ),
        (
            jm.Windowed(jm.Masked(MEAN), window=2),
            jm.Windowed(jm.Masked(MEAN), window=2, reproducible_sums=True),
        ),
    ],
    ids=["metric", "child", "copies", "nested"],
)
def test_the_constructor_gives_the_same_as_the_method(metric, constructed):
    made = metric.reproducible()
    assert holds_exact_sums(made)
    assert jax.tree.structure(made) == jax.tree.structure(constructed)
    assert bits(made) == bits(constructed) == bits(made.empty())
    assert jax.tree.structure(made) != jax.tree.structure(metric)
    assert bits(pickle.loads(pickle.dumps(made))) == bits(made)


def test_a_metric_inside_that_has_data_is_refused_or_kept():
    state = MEAN.update(loss=1.0)
    with pytest.raises(ValueError, match=r"Masked: reproducible_sums.*an empty metric"):
        jm.Masked(state, reproducible_sums=True)
    state = MEAN.reproducible().update(loss=1.0)
    assert jm.Masked(state, reproducible_sums=True).compute() == 1.0


def test_a_window_of_exact_sums_is_exact():
    recent = jm.Windowed(jm.Sum("x"), window=3).reproducible()
    for x in (5e20, 1e8, 1e-8, -1e8):
        recent = recent.update(x=np.float32(x))
    assert recent.compute() == float(np.float32(1e-8))


def test_a_collection_shares_what_is_equal():
    metrics = jm.Collection(a=MEAN, b=MEAN, c=jm.Accuracy()).reproducible()
    one = jm.Collection(a=MEAN, c=jm.Accuracy()).reproducible()
    assert len(jax.tree.leaves(metrics)) == len(jax.tree.leaves(one))


def test_the_configuration_names_it_only_when_set():
    plain, exact = configuration_of(MEAN), configuration_of(MEAN.reproducible())
    assert "reproducible_sums" not in plain["configuration"]
    assert exact["configuration"]["reproducible_sums"] is True
    assert repr(MEAN) == "Mean('loss')"
    assert repr(MEAN.reproducible()) == "Mean('loss').reproducible()"
    weighted = jm.Precision(classes=3, weighted=True).reproducible()
    assert repr(weighted) == "Precision(classes=3, weighted=True).reproducible()"


def test_states_of_both_forms_do_not_merge():
    with pytest.raises(TypeError, match=r"Mean\('loss'\).reproducible\(\) with Mean"):
        MEAN.reproducible().merge(MEAN)


def test_the_state_of_a_sum_is_48_bytes():
    assert jm.Sum().reproducible().total.nbytes == 4 * LIMBS


def test_metrics_in_the_auxiliary_output_of_a_loss_do_not_disturb_gradients():
    metric = jm.Mean("loss").reproducible()

    def loss(w):
        return (w * w).sum(), metric.update(loss=w * w)

    (value, state), slope = jax.value_and_grad(loss, has_aux=True)(jnp.ones(4))
    np.testing.assert_array_equal(slope, [2, 2, 2, 2])
    assert (value, state.compute()) == (4, 1)
