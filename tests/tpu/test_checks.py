"""Each check finds what it looks for, and the metric that it comes from."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import CASES, Case, statistics, values
from tpu import checks
from tpu.metrics import compile_cases, complaint, lower_wide
from tpu.programs import compiled, mesh_of, program_of, replicated

import jaxmetrics as jm


class Eager(jm.Metric):
    count: jm.Array = jm.count_leaf()

    def observe(self, *, values, mask=None):
        return dict(count=jax.lax.psum(jm.count_elements(values, mask), "data"))

    def compute(self):
        return self.count


class Chatty(jm.Metric):
    sum: jm.Array = jm.sum_leaf()

    def observe(self, *, values, mask=None):
        total = jm.total(values, mask).value()
        jax.debug.callback(print, total)
        return dict(sum=total)

    def compute(self):
        return self.sum


class Asking(Chatty):
    def observe(self, *, values, mask=None):
        total = jm.total(values, mask).value()
        answer = jax.ShapeDtypeStruct(total.shape, total.dtype)
        return dict(sum=jax.pure_callback(np.negative, answer, total))


class Wide(Chatty):
    def observe(self, *, values, mask=None):
        return dict(sum=jm.total(values.astype(jnp.float64), mask))


class Floored(Chatty):
    def observe(self, *, values, mask=None):
        return dict(sum=jm.total(jnp.where(values > 0, values, -1.0), mask))


class Huge(Chatty):
    def observe(self, *, values, mask=None):
        table = jnp.sort(jnp.outer(values.ravel(), jnp.arange(2.0**35)), axis=0)
        return dict(sum=jm.total(table).value() + jm.total(values, mask).value())


def cases_with(metric):
    """Some sound metrics, and one more."""
    bad = Case("the bad one", metric, values, reference=np.nan)
    return [*CASES[:3], bad, *CASES[3:6]]


def found(metric, check, make=compile_cases, topology="v5e"):
    """What a check says of the deferred update of some metrics."""
    make = functools.partial(make, "deferred update", mesh_of(topology))
    return complaint(cases_with(metric), make, check)


@pytest.mark.parametrize("topology", ["v5e", "v5e, two slices"])
def test_an_eager_collective_is_found(topology):
    text = found(Eager(), checks.communication, topology=topology)
    assert "all-reduce" in text and text.startswith("'the bad one': ")


@pytest.mark.parametrize("topology", ["v5e", "v5e, two slices"])
@pytest.mark.parametrize("metric", [Chatty(), Asking()], ids=["debug", "pure"])
def test_a_callback_is_found(metric, topology):
    text = found(metric, checks.host_calls, topology=topology)
    assert "send" in text and text.startswith("'the bad one': ")


def test_float64_is_found():
    text = found(Wide(), checks.float64, make=lower_wide)
    assert "f64" in text and text.startswith("'the bad one': ")


def test_a_python_number_is_no_float64():
    text = lower_wide("deferred update", mesh_of("v5e"), cases_with(Floored()))
    assert "f64" in text and checks.float64(text) == []


def test_a_program_that_does_not_compile_is_a_fault():
    text = found(Huge(), checks.host_calls)
    assert "RESOURCE_EXHAUSTED" in text and text.startswith("'the bad one': ")


def test_a_fault_of_several_metrics_together_is_theirs():
    sound = CASES[:4]
    text = complaint(sound, len, lambda count: "too many" if count > 2 else "")
    assert text == f"{[case.name for case in sound]} together: too many"


@pytest.mark.parametrize("topology", ["v5e", "v5e, two slices"])
def test_collectives_for_each_metric_apart_are_more_than_three(topology):
    program = compile_cases("update", mesh_of(topology), statistics.CASES)
    assert checks.more_than_three_all_reduces(program)
    assert checks.host_calls(program) == []


def test_between_slices_a_large_all_reduce_may_be_split():
    large = jm.Collection(confusion=jm.ConfusionMatrix(classes=100))
    program = compiled(*program_of("reduction", large, {}, mesh_of("v5e, two slices")))
    assert program.collectives() == ["all-reduce", "all-gather"]
    assert checks.more_than_three_all_reduces(program) == []


def test_sound_metrics_are_not_blamed():
    assert found(jm.Sum(), checks.communication) == ""


def test_nothing_is_counted_in_another_type():
    one = replicated(np.ones(8, np.int32), mesh_of("v5e"))
    assert compiled(lambda x: x + x, [one]).arithmetic() == (0, 0)
