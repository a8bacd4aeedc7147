"""The laws that every metric keeps over devices, for all metrics in one collection.

Each form runs two batches over eight devices, with padding (the last device's rows
among it) or without, and must agree with the reference and the other forms. A form's
program is compiled once for all metrics; where it breaks a law, the failure looks for
the metrics that break it alone.
"""

import contextlib
import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import cases
import jax
import numpy as np
import pytest
from jax import lax
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from support.laws import (
    ROWS,
    Compilations,
    assert_same,
    assert_value,
    collective_arrays,
    collectives,
    draw,
    expected,
    host,
    spoiled,
    take,
    types,
)

import jaxmetrics as jm

# The first test of a form compiles its program for all metrics.
pytestmark = pytest.mark.timeout(1800)

CASES = cases.sample(37)
STEPS = 2
KEEP = np.random.default_rng(4).random(ROWS) < 0.8
KEEP[-5:] = False  # more than the last device's rows


class Form(NamedTuple):
    """Compilation of a step and placement of its state."""

    axes: tuple[str, ...] = ("data",)
    rows: tuple[str, ...] = ("data",)
    kind: AxisType = AxisType.Auto
    set_mesh: bool = False
    deferred: bool = False
    inside: str = "jit"
    devices: int = 8
    padded: bool = True

    @property
    def mesh(self):
        """The devices along one axis, or four by two."""
        shape = (self.devices,) if len(self.axes) == 1 else (4, 2)
        devices = np.array(jax.devices()[: self.devices]).reshape(shape)
        return Mesh(devices, self.axes, axis_types=(self.kind,) * len(self.axes))

    def context(self):
        """`jax.set_mesh`, where the form has it."""
        return jax.set_mesh(self.mesh) if self.set_mesh else contextlib.nullcontext()


EXPLICIT = AxisType.Explicit
FORMS = {
    "one device": Form(devices=1),
    "auto": Form(padded=False),
    "auto, set_mesh": Form(set_mesh=True),
    "explicit": Form(kind=EXPLICIT, padded=False),
    "explicit, set_mesh": Form(kind=EXPLICIT, set_mesh=True),
    "shard_map": Form(inside="shard_map", padded=False),
    "shard_map, total reduced": Form(inside="shard_map, total reduced"),
    "shard_map, check_vma=False": Form(inside="shard_map, check_vma=False"),
    "deferred": Form(deferred=True),
    "deferred, explicit": Form(kind=EXPLICIT, deferred=True, padded=False),
    "deferred, data x model": Form(
        ("data", "model"), kind=EXPLICIT, set_mesh=True, deferred=True
    ),
    "deferred, data x fsdp in scan": Form(
        ("data", "fsdp"), ("data", "fsdp"), deferred=True, inside="scan"
    ),
}
DEFERRED = [name for name, form in FORMS.items() if form.deferred]

# Each program runs a few times: optimising its machine code would cost more.
jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


def held(form, *laws):
    """Return the cases that a form takes and for which the given laws hold."""
    laws = (*laws, "deferred") if form.deferred else laws
    laws = (*laws, "total reduced") if "total reduced" in form.inside else laws
    return [case for case in CASES if not case.without.keys() & set(laws)]


def every_case_and_form(*laws):
    """Each form with each case for which the laws hold."""
    return pytest.mark.parametrize(
        ("case", "form"),
        [
            pytest.param(case, name, id=f"{case.name}-{name}")
            for name, form in FORMS.items()
            for case in held(form, *laws)
        ],
    )


every_deferred_case = pytest.mark.parametrize(
    "case", held(FORMS["deferred"]), ids=lambda case: case.name
)


class Program(NamedTuple):
    """Return the step of a form, its empty state and its batches."""

    step: Callable[..., Any]
    empty: Any
    batches: list[dict[str, jax.Array]]
    traces: list[str]


class Run(NamedTuple):
    """What a form's steps left, and the step for more."""

    step: Callable[..., Any]
    batches: list[dict[str, jax.Array]]
    state: Any
    total: jm.Collection
    traces: int
    compilations: int
    optimized: str


def collection(chosen):
    """Return the metrics of cases, each with its own outputs."""
    metrics = {}
    for case in chosen:
        argument = {output: argument for argument, output in case.reads.items()}
        metrics[case.name] = case.metric.on(
            **{argument.get(x, x): f"{case.name}: {x}" for x in draw(case)}
        )
    return jm.Collection(**metrics)


def outputs_of(chosen, padded):
    """The outputs of cases and the mask, if padded, `[steps, rows, ...]`."""
    outputs = {"mask": KEEP} if padded else {}
    for case in chosen:
        batch = spoiled(draw(case), KEEP) if padded else draw(case)
        outputs |= {f"{case.name}: {name}": x for name, x in batch.items()}
    return {x: v.reshape(STEPS, -1, *v.shape[1:]) for x, v in outputs.items()}


def step_of(form):
    """The step's function."""

    def update(state, outputs):
        return state.update(**outputs)

    def reduced(state, outputs):
        return state.merge(state.from_model_output(**outputs).reduce(form.rows))

    def scanned(state, outputs):
        return lax.scan(lambda s, o: (update(s, o), None), state, outputs)[0]

    def total_reduced(state, outputs):
        return state.update(**outputs).reduce(form.rows)

    if form.inside in ("jit", "scan"):
        return dict(jit=update, scan=scanned)[form.inside]
    return jax.shard_map(
        total_reduced if "total" in form.inside else reduced,
        mesh=form.mesh,
        in_specs=(P(), P(form.rows)),
        out_specs=P(),
        check_vma="False" not in form.inside,
    )


def program(form, chosen=None):
    """The step under jit with a donated state, and what it is called with."""
    chosen = held(form) if chosen is None else chosen
    traces, function = [], step_of(form)

    def step(state, outputs):
        traces.append(form.inside)
        return function(state, outputs)

    outputs = outputs_of(chosen, form.padded)
    if form.inside == "scan":
        batches, spec = [outputs], P(None, form.rows)
    else:
        batches, spec = [take(outputs, i) for i in range(STEPS)], P(form.rows)
    metrics = collection(chosen)
    if form.deferred:
        state = metrics.deferred(form.mesh, form.rows)
    else:
        state = metrics.place(form.mesh)
    placed = jax.device_put(batches, NamedSharding(form.mesh, spec))
    return Program(jit(step, donate_argnums=0), state.empty(), placed, traces)


@functools.cache
def run(name):
    """Run a form, once for all tests."""
    form = FORMS[name]
    with form.context():
        step, state, batches, traces = program(form)
        with Compilations() as compilations:
            optimized = step.lower(state, batches[0]).compile().as_text()
            for outputs in batches:
                state = step(state, outputs)
        total = reduction(state) if form.deferred else state
    counted = (len(traces), compilations.count)
    if not form.deferred:  # whose step is called again
        step.clear_cache()  # Linux limits the memory maps of a process
    return Run(step, batches, state, host(total), *counted, optimized)


@jit
def reduction(state):
    return state.reduce()


@jit
def merged(state, other):
    return state.merge(other)


def guilty(form):
    """Return the metrics whose own program has a collective."""
    names = []
    for case in held(form):
        step, state, batches, _ = program(form, [case])
        text = step.lower(state, batches[0]).compile().as_text()
        names += [case.name] * bool(collectives(text))
    return names


def keeps_rows(metric):
    """Return whether a metric, or one within it, has a leaf that holds the rows."""
    inner = [getattr(metric, field.name) for field in dataclasses.fields(metric)]
    children = jax.tree.leaves(inner, is_leaf=lambda x: isinstance(x, jm.Metric))
    children = [child for child in children if isinstance(child, jm.Metric)]
    kinds = {type(leaf.kind).__name__ for leaf in metric._layout.leaves.values()}
    return "Buffer" in kinds or any(map(keeps_rows, children))


def state_bytes(case):
    """Return the size of the empty state."""
    return sum(np.asarray(x).nbytes for x in jax.tree.leaves(case.metric.empty()))


def exchanged(chosen, rows):
    """Return what devices exchange of a batch of so many rows, and not of a state."""
    form, shapes = FORMS["auto"], {}
    for case in chosen:
        for name, x in draw(case, 8).items():
            shape = (rows, *x.shape[1:])
            place = NamedSharding(form.mesh, P("data"))
            array = jax.ShapeDtypeStruct(shape, x.dtype, sharding=place)
            shapes[f"{case.name}: {name}"] = array
    state = collection(chosen).place(form.mesh).empty()
    step = jit(lambda state, outputs: state.update(**outputs))
    text = step.lower(state, shapes).compile().as_text()
    return {name for name, size in collective_arrays(text).items() if size >= rows}


def by_family(chosen):
    """Return cases by their family; those of wrappers are one too."""
    names = {case.name for case in chosen}
    families = {**cases.FAMILIES, "wrappers": cases.wrappers.CASES}
    parts = {f: [x for x in rows if x.name in names] for f, rows in families.items()}
    return {family: part for family, part in parts.items() if part}


SHARDED = by_family(x for x in cases.sample(31) if not keeps_rows(x.metric))


@pytest.mark.parametrize("family", SHARDED)
def test_a_sharded_batch_stays_on_its_devices_under_plain_jit(family):
    """A batch has more rows than any state has bytes; so has what is gathered of it.

    But for buffers, whose state is the rows. Only rows are sharded: if a second axis of
    weighted scores is too, their histograms gather them.
    """
    chosen = SHARDED[family]
    rows = 1 << max(17, *(state_bytes(case).bit_length() for case in chosen))
    if arrays := exchanged(chosen, rows):
        names = [case.name for case in chosen if exchanged([case], rows)]
        pytest.fail(f"{sorted(arrays)} in the update of {names}")


@every_case_and_form("split")
def test_agrees_with_the_reference(case, form):
    right = expected(case, take(draw(case), KEEP if FORMS[form].padded else ...))
    assert_value(case, run(form).total[case.name].compute(), right)


@every_case_and_form()
def test_forms_agree(case, form):
    other = run("one device" if FORMS[form].padded else "auto")
    assert_same(case, run(form).total[case.name], other.total[case.name])


@pytest.mark.parametrize("form", FORMS)
def test_many_steps_are_one_trace_and_one_compilation(form):
    assert (run(form).traces, run(form).compilations) == (1, 1)


@pytest.mark.parametrize("form", DEFERRED)
def test_a_deferred_step_has_no_collective(form):
    if operations := collectives(run(form).optimized):
        pytest.fail(f"{sorted(set(operations))} in the update of {guilty(FORMS[form])}")


@pytest.mark.parametrize("form", FORMS)
def test_no_step_calls_the_host(form):
    assert "callback" not in run(form).optimized


@pytest.mark.parametrize("form", DEFERRED)
def test_the_reduction_of_all_metrics_is_three_collectives(form):
    with FORMS[form].context():
        lowered = reduction.lower(run(form).state)
        optimized = collectives(lowered.compile().as_text())
    assert set(optimized) == {"all-reduce"} and len(optimized) <= 3
    assert lowered.as_text().count("stablehlo.all_reduce") <= 3


@pytest.fixture(scope="session")
def folded():
    """The deferred state's shards merged along their leading axis."""
    return host(reduction(host(run("deferred").state.state)))


@every_deferred_case
def test_shards_fold_along_the_leading_axis(case, folded):
    assert_same(case, folded[case.name], run("deferred").total[case.name])


@pytest.fixture(scope="session")
def merge_of_batches():
    """Count each batch in its own deferred state, merge both, then reduce."""
    step, batches, state, *_ = run("deferred")
    first, second = (step(state.empty(), outputs) for outputs in batches)
    return host(reduction(merged(first, second)))


@every_deferred_case
def test_deferred_states_merge(case, merge_of_batches):
    assert_same(case, merge_of_batches[case.name], run("deferred").total[case.name])


@every_deferred_case
def test_a_deferred_batch_of_no_rows_has_the_types_of_any_other(case):
    """Of no rows a part of a program is constant, which no shard has of its own."""
    state = case.metric.deferred(Form(devices=2).mesh)
    outputs = take(draw(case), slice(0))
    traced = jax.eval_shape(
        lambda state, outputs: state.update(**outputs), state, outputs
    )
    assert types(traced) == types(state)
