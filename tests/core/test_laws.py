"""Laws of every metric on one device, tested with each row of `tests/cases/`.

One program holds all metrics that have to be compiled for a law, so that a hundred
more rows take about a minute. A failure names its metric.
"""

import pickle

import cases
import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from jax import lax
from support.laws import (
    LARGE,
    ROWS,
    Compilations,
    assert_same,
    assert_value,
    bits,
    counts,
    draw,
    expected,
    faults,
    host,
    member,
    rounded,
    scores_and_classes,
    spoiled,
    take,
    types,
    with_bad_classes,
    with_bad_probs,
    with_large_counts,
    with_nan,
)

import jaxmetrics as jm

# The first test compiles the programs of all metrics.
pytestmark = pytest.mark.timeout(1800)

CASES = cases.sample(23)
BATCHES = 6
PARTS = dict(none=slice(0), first=slice(1), rest=slice(1, ROWS))
NANS = ("nan 0", "nan 1")  # in the first and the second output of floats
SPLITS = ("split 1", "split 2", "split 3")
VARIANTS = (
    "whole",
    *SPLITS,
    "permuted",
    "masked",
    "spoiled",
    "broken",
    "bad classes",
    "bad probs",
    *NANS,
    "nothing",
    *"abc",
)
MERGES = {
    "empty, whole": ("empty", "whole"),
    "whole, empty": ("whole", "empty"),
    "empty, empty": ("empty", "empty"),
    "empty, broken": ("empty", "broken"),
    "broken, empty": ("broken", "empty"),
    "ab": ("a", "b"),
    "ba": ("b", "a"),
    "bc": ("b", "c"),
    "first, rest": ("first", "rest"),
}
MORE_MERGES = {
    "(ab)c": ("ab", "c"),
    "a(bc)": ("a", "bc"),
    "first, rest, none": ("first, rest", "none"),
    "large, whole": ("large", "whole"),
}
KEEP = np.random.default_rng(1).random(ROWS) < 0.7


NOT_CLASSES = {
    "panoptic quality": "its integers are pairs of a class and a segment",
}
BLIND_TO_NAN = {
    "count": "it counts entries, whatever they are",
    "last": "the last value is not NaN",
    "non-finite count": "the value counts it",
    "histogram": "the row compares the counts of bins, of which NaN has none",
    "histogram in decades": "as above",
    "histogram weighted": "as above",
}


def by_name(case):
    return case.name


with_faults = pytest.mark.parametrize(
    "case", [c for c in CASES if faults(c.metric)], ids=by_name
)
every_case = pytest.mark.parametrize("case", CASES, ids=by_name)


def without(*laws):
    """The cases for which laws hold."""
    held = [case for case in CASES if not case.without.keys() & set(laws)]
    return pytest.mark.parametrize("case", held, ids=by_name)


@jax.jit
def observed(outputs):
    """The state of each part of each metric's outputs, parts by their own shapes."""
    return {
        case.name: {
            part: case.metric.from_model_output(**batch)
            for part, batch in outputs[case.name].items()
        }
        for case in CASES
    }


@jax.jit
def streamed(outputs, masks):
    """A scan over batches for each variant: `masks` is `[variants, batches, rows]`."""

    def stream(outputs, masks):
        def step(states, mask):
            more = {
                name: state.update(**outputs[name], mask=mask)
                for name, state in states.items()
            }
            return more, None

        return lax.scan(step, {c.name: c.metric.empty() for c in CASES}, masks)[0]

    return jax.vmap(stream)(outputs, masks)


def streamed_by_row(metric, outputs, mask):
    """A scan over single rows, without the axis of rows: labels are scalars."""

    def step(state, row):
        outputs, keep = row
        return state.update(**outputs, mask=keep), None

    def stream(metric, outputs, mask):
        return lax.scan(step, metric, (outputs, mask))[0]

    # It runs once: optimising its machine code would cost more.
    options = {"xla_backend_optimization_level": 0}
    return jax.jit(stream, compiler_options=options)(metric, outputs, mask)


@jax.jit
def merged(left, right):
    merge = jax.vmap(lambda a, b: a.merge(b))
    return {name: merge(left[name], right[name]) for name in left}


@jax.jit
def computed(states):
    return {name: state.compute() for name, state in states.items()}


HOST_ONLY = {case.name for case in CASES if "jit" in case.without}


@pytest.fixture(scope="session")
def outputs():
    return {case.name: draw(case) for case in CASES}


@pytest.fixture(scope="session")
def stacked(outputs):
    """The final states, one for each variant along the leading axis."""
    variants = {c.name: stack(variants_of(c, outputs[c.name])) for c in CASES}
    return host(streamed(variants, np.stack([masks_of(v) for v in VARIANTS])))


@pytest.fixture(scope="session")
def states(outputs, stacked):
    """State by metric and variant, part or merge."""
    parts = {
        name: {part: take(batch, rows) for part, rows in PARTS.items()}
        | {"bfloat16": rounded(batch)}
        for name, batch in outputs.items()
    }
    states = host(observed(parts))
    for case in CASES:
        variants = states[case.name]
        variants |= {v: member(stacked[case.name], i) for i, v in enumerate(VARIANTS)}
        variants["empty"] = case.metric
        variants["large"] = with_large_counts(variants["whole"])
    for merges in (MERGES, MORE_MERGES):
        operands = list(merges.values())
        operands += operands[:1] * (
            len(MERGES) - len(operands)
        )  # one shape: one program
        left, right = (
            {
                name: stack([variants[pair[i]] for pair in operands])
                for name, variants in states.items()
            }
            for i in (0, 1)
        )
        results = host(merged(left, right))
        for name, variants in states.items():
            variants |= {key: member(results[name], i) for i, key in enumerate(merges)}
    return states


def variants_of(case, outputs):
    nonsense = spoiled(outputs, KEEP)
    mixed = take(outputs, permutation())
    changed = dict(permuted=mixed, spoiled=nonsense, broken=nonsense)
    changed["bad classes"] = with_bad_classes(case, outputs, KEEP)
    changed["bad probs"] = with_bad_probs(outputs, KEEP)
    changed |= {nan: with_nan(case, outputs, KEEP, i) for i, nan in enumerate(NANS)}
    return [changed.get(variant, outputs) for variant in VARIANTS]


def masks_of(variant):
    """Which rows each batch has, `[batches, rows]`."""
    batch = np.arange(BATCHES)[:, None]
    row = np.arange(ROWS)
    match variant:
        case "masked" | "spoiled":
            return (batch == 0) & KEEP
        case "nothing":
            return np.zeros((BATCHES, ROWS), bool)
        case "a" | "b" | "c":
            return (batch == 0) & (row % 3 == "abc".index(variant))
        case "split 1" | "split 2" | "split 3":
            rng = np.random.default_rng(SPLITS.index(variant))
            cuts = np.sort([0, 1, *rng.integers(0, ROWS, BATCHES - 3)])
            return np.searchsorted(cuts, row, "right") == batch
        case _:
            return (batch == 0) & (row >= 0)


def permutation():
    return np.random.default_rng(2).permutation(ROWS)


def stack(trees):
    return jax.tree.map(lambda *x: np.stack(x), *trees)


def test_the_splits_have_empty_batches_and_batches_of_one_row():
    sizes = np.concatenate([masks_of(split).sum(1) for split in SPLITS])
    assert {0, 1} < set(sizes) and sizes.sum() == ROWS * len(SPLITS)


@every_case
def test_agrees_with_the_reference(case, states, outputs):
    value = states[case.name]["whole"].compute()
    assert_value(case, value, expected(case, outputs[case.name]))


@every_case
def test_reads_bfloat16(case, states, outputs):
    value = states[case.name]["bfloat16"].compute()
    assert_value(case, value, expected(case, rounded(outputs[case.name])))


@every_case
def test_computes_float64_or_integers_on_the_host(case, states):
    value = states[case.name]["whole"].compute()
    assert isinstance(value, int) or value.dtype in (np.float64, np.int64)


@every_case
def test_nothing_computes_as_declared(case, states):
    value = case.metric.compute()
    assert_value(case, value, np.broadcast_to(case.empty, np.shape(value)))


@without("identity in bits")
def test_empty_is_the_identity_bit_by_bit(case, states):
    variants = states[case.name]
    assert bits(variants["empty, whole"]) == bits(variants["whole"])
    assert bits(variants["whole, empty"]) == bits(variants["whole"])
    assert bits(variants["empty, empty"]) == bits(case.metric)


@without("identity in bits")
def test_empty_is_the_identity_of_a_state_that_saw_nonsense(case, states):
    variants = states[case.name]
    assert bits(variants["empty, broken"]) == bits(variants["broken"])
    assert bits(variants["broken, empty"]) == bits(variants["broken"])


@without("empty batch")
def test_a_batch_of_no_rows_or_all_masked_is_empty(case, states):
    assert bits(states[case.name]["none"]) == bits(case.metric)
    assert bits(states[case.name]["nothing"]) == bits(case.metric)


@every_case
def test_every_state_has_the_types_of_the_empty_one(case, states):
    traced = jax.eval_shape(case.metric.update, **draw(case))
    assert types(traced) == types(case.metric)
    for state in states[case.name].values():
        assert types(state) == types(case.metric)


@every_case
def test_merge_is_associative(case, states):
    variants = states[case.name]
    assert_same(case, variants["(ab)c"], variants["a(bc)"])


@without("commutativity")
def test_merge_is_commutative(case, states):
    assert_same(case, states[case.name]["ab"], states[case.name]["ba"])


@without("split")
def test_merged_batches_are_the_whole(case, states):
    variants = states[case.name]
    assert_same(case, variants["first, rest, none"], variants["whole"])


@pytest.mark.parametrize("split", SPLITS)
@without("split")
def test_a_scan_over_any_split_is_the_whole(case, split, states):
    assert_same(case, states[case.name][split], states[case.name]["whole"])


@without("permutation")
def test_the_order_of_rows_does_not_matter(case, states):
    assert_same(case, states[case.name]["permuted"], states[case.name]["whole"])


@every_case
def test_large_counts_are_exact(case, states):
    variants = states[case.name]
    large, whole = counts(variants["large"]), counts(variants["whole"])
    for name, count in counts(variants["large, whole"]).items():
        assert np.all(large[name] == LARGE)
        np.testing.assert_array_equal(count, large[name] + whole[name])


@every_case
def test_a_mask_removes_rows(case, states, outputs):
    right = expected(case, take(outputs[case.name], KEEP))
    assert_value(case, states[case.name]["masked"].compute(), right)


@without("split", "rank 0")
def test_rows_one_by_one_are_the_batch(case, states):
    state = host(streamed_by_row(case.metric, draw(case), KEEP))
    assert_same(case, state, states[case.name]["masked"])


@every_case
def test_no_state_holds_a_nan_unless_the_data_do(case, states):
    for variant in ("whole", "masked", "none", "nothing", "empty", "first, rest"):
        for path, x in jax.tree_util.tree_leaves_with_path(states[case.name][variant]):
            is_float = x.dtype.kind == "f"
            assert not (is_float and np.isnan(x).any()), f"{variant}: {path}"


@every_case
def test_nonsense_in_masked_rows_changes_no_bit(case, states):
    variants = states[case.name]
    assert bits(variants["masked"]) == bits(variants["spoiled"])


def assert_only_faults_differ(state, masked):
    """Check that rows were counted as faults, and are as if they were masked."""
    counted, others = faults(state), bits(masked)
    assert counted != faults(masked), "no fault was counted"
    assert {**bits(state), **counted} == {**others, **counted}


@with_faults
def test_classes_out_of_range_are_counted_and_change_nothing_else(case, states):
    if case.name in NOT_CLASSES or not scores_and_classes(case)[1]:
        return
    variants = states[case.name]
    assert_only_faults_differ(variants["bad classes"], variants["masked"])


@pytest.mark.parametrize(
    "case", [c for c in CASES if "probs" in draw(c, 1)], ids=by_name
)
def test_probabilities_outside_of_0_and_1_are_counted_as_invalid(case, states):
    variants = states[case.name]
    assert_only_faults_differ(variants["bad probs"], variants["masked"])


@pytest.mark.parametrize("variant", NANS)
@every_case
def test_a_nan_is_in_the_value_or_counted(case, variant, states):
    outputs = len(scores_and_classes(case)[0])
    if case.name in BLIND_TO_NAN or NANS.index(variant) >= outputs:
        return
    whole, state = states[case.name]["whole"], states[case.name][variant]
    if faults(state) == faults(whole):
        nans = [np.isnan(np.float64(x.compute())).sum() for x in (whole, state)]
        assert nans[0] < nans[1], f"{state} computes {state.compute()}"


@every_case
def test_eager_is_jitted_and_changes_no_input(case, states):
    outputs = draw(case)
    state = case.metric.update(**outputs)
    assert_same(case, state, states[case.name]["whole"])
    for name, x in draw(case).items():
        np.testing.assert_array_equal(outputs[name], x)


@pytest.fixture(scope="session")
def stacked_values(stacked):
    return host(computed({n: x for n, x in stacked.items() if n not in HOST_ONLY}))


@every_case
def test_an_ensemble_computes_each_member(case, stacked, states):
    value = stacked[case.name].compute()
    for i, variant in enumerate(VARIANTS):
        value_of_one = states[case.name][variant].compute()
        np.testing.assert_array_equal(value[i], value_of_one)


@without("jit")
def test_compute_under_jit_is_the_hosts_in_float32(case, stacked_values, stacked):
    value = stacked_values[case.name]
    assert value.dtype == np.float32
    assert_value(case, value, stacked[case.name].compute(), max(case.tolerance, 1e-6))


def test_many_steps_are_one_trace_and_one_compilation(outputs):
    traces = []

    def step(states, outputs):
        traces.append(1)
        return {name: states[name].update(**outputs[name]) for name in states}

    train = jax.jit(step, donate_argnums=0)
    mesh = jax.sharding.Mesh(jax.devices()[:1], ("data",))
    states = {case.name: case.metric.place(mesh).empty() for case in CASES}
    on_device = jax.device_put(outputs)
    with Compilations() as compilations:
        for _ in range(3):
            states = train(states, on_device)
    assert (len(traces), compilations.count) == (1, 1)


@every_case
def test_pickle_keeps_every_bit(case, states):
    state = states[case.name]["whole"]
    again = pickle.loads(pickle.dumps(state))
    assert bits(again) == bits(state)
    assert jax.tree.structure(again) == jax.tree.structure(state)


@every_case
def test_a_state_is_saved_by_the_names_of_its_leaves(case, states):
    state = states[case.name]["whole"]
    saved = jm.state_dict(state)
    assert list(saved) == list(state.plain())
    assert [x.tobytes() for x in saved.values()] == [
        np.asarray(x).tobytes() for x in jax.tree.leaves(state)
    ]


@pytest.fixture(scope="session")
def restored(states, tmp_path_factory):
    """All states after an orbax round trip into templates of empty metrics."""
    saved = {name: jax.device_put(state["whole"]) for name, state in states.items()}
    empty = {case.name: jax.device_put(case.metric) for case in CASES}
    template = jax.tree.map(ocp.utils.to_shape_dtype_struct, empty)
    with ocp.CheckpointManager(tmp_path_factory.mktemp("orbax")) as manager:
        manager.save(1, args=ocp.args.StandardSave(saved))
        manager.wait_until_finished()
        return host(manager.restore(1, args=ocp.args.StandardRestore(template)))


@every_case
def test_a_checkpoint_keeps_every_bit(case, restored, states):
    state = states[case.name]["whole"]
    assert bits(restored[case.name]) == bits(state)
    assert jax.tree.structure(restored[case.name]) == jax.tree.structure(state)


@settings(max_examples=10, deadline=None, derandomize=True, database=None)
@given(
    batch=arrays(np.int32, (len(VARIANTS), ROWS), elements=st.integers(0, BATCHES - 1))
)
def test_counts_keep_every_bit_under_any_split(batch, outputs, states):
    repeated = {name: stack([x] * len(VARIANTS)) for name, x in outputs.items()}
    masks = batch[:, None, :] == np.arange(BATCHES)[:, None]
    results = host(streamed(repeated, masks))
    for case in CASES:
        if case.exact and "permutation" not in case.without:
            whole = bits(states[case.name]["whole"])
            for i in range(len(VARIANTS)):
                assert bits(member(results[case.name], i)) == whole, case.name
