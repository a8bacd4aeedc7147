"""Metrics trace under strict types and ranks, compute no float64, and widen integers.

These laws look at traced programs, so that nothing is compiled for them but one step
of each metric.
"""

import re

import jax
import numpy as np
import pytest
from cases import CASES
from support.laws import draw, expected

from jaxmetrics.core import equations, traced_program

pytestmark = pytest.mark.sampled(14)


NARROW = [np.dtype(name) for name in ("int8", "uint8", "int16", "uint16")]
every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def step(metric, outputs):
    metric = metric.update(**outputs).merge(metric)
    return metric, metric.compute()


def step_of(case):
    """Return the step of a metric, without a value that only the host computes."""
    if "jit" not in case.without:
        return step
    return lambda metric, outputs: metric.update(**outputs).merge(metric)


def traced(case):
    """Lower for TPU and run a step with 64-bit types, strict promotion and ranks."""
    outputs = draw(case)
    with (
        jax.enable_x64(True),
        jax.numpy_dtype_promotion("strict"),
        jax.numpy_rank_promotion("raise"),
    ):
        program = jax.jit(step_of(case)).trace(case.metric, outputs)
        text = program.lower(lowering_platforms=("tpu",)).as_text()
        update = jax.jit(lambda m, o: m.update(**o))
        return text, update(case.metric, outputs).compute()


@every_case
def test_no_float64_on_a_tpu_under_x64_and_nothing_promotes(case):
    text, value = traced(case)
    # Python numbers are weak scalars of 64 bits until they meet an array.
    wide = [line for line in text.splitlines() if re.search(r"\dxf64>", line)]
    assert not wide, f"{case.name}: {wide[:3]}"
    np.testing.assert_allclose(
        np.asarray(value, np.float64),
        np.asarray(expected(case, draw(case)), np.float64),
        rtol=case.tolerance,
        atol=case.tolerance,
    )


def with_integers_of(dtype, outputs):
    """Return the outputs with the integers that fit as another type; None if none."""
    info = np.iinfo(dtype)
    narrowed = {
        name: x.astype(dtype)
        for name, x in outputs.items()
        if x.dtype.kind == "i" and x.min() >= info.min and x.max() <= info.max
    }
    return {**outputs, **narrowed} if narrowed else None


def operations_on(dtypes, program):
    """Return the operations that read arrays of some types, in called programs too."""
    names = []
    for equation in equations(program):
        inner = list(equation.programs())
        read = {getattr(x.aval, "dtype", None) for x in equation.operands}
        if not inner and read & set(dtypes):
            names.append(equation.name)
        for called in inner:
            names += operations_on(dtypes, called)
    return names


@pytest.mark.parametrize("dtype", NARROW, ids=str)
@every_case
def test_narrow_integers_are_widened_before_anything_else(case, dtype):
    outputs = with_integers_of(dtype, draw(case))
    if outputs is None:
        return
    program = traced_program(step_of(case), case.metric, outputs)
    assert set(operations_on(NARROW, program)) == {"convert_element_type"}


def test_an_operation_on_a_narrow_integer_is_found():
    program = traced_program(jax.jit(lambda x: x == 300), np.zeros(3, np.uint8))
    assert operations_on(NARROW, program)
