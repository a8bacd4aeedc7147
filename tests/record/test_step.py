"""Steps and scalars that users pass."""

import math

import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

import jaxmetrics as jm
from jaxmetrics.record import check_step, scalar


@pytest.mark.parametrize("step", [0, 7, np.int64(7), np.array(7), 2**40])
def test_integers_of_the_host_are_steps(step):
    assert check_step(step) == step
    assert type(check_step(step)) is int


@pytest.mark.parametrize("step", [True, 1.0, "1", None, jnp.int32(1), np.ones(1, int)])
def test_other_types_are_not_steps(step):
    with pytest.raises(TypeError, match=r"log_text\(\) got a step of type"):
        check_step(step, "log_text")


@pytest.mark.parametrize(
    ("step", "advice"),
    [
        ({"loss": 1.0}, r"The step comes first: log_step\(step, values\)\."),
        (jm.Accuracy(), r"The step comes first: log_step\(step, values\)\."),
        (jnp.int32(1), r"int\(step\) of a device value waits"),
        (3.0, "Pass 3."),
        ("1", "Count optimizer updates"),
    ],
)
def test_what_is_passed_in_place_of_a_step_is_advised(step, advice):
    with pytest.raises(TypeError, match=advice):
        check_step(step)


def test_a_negative_step_is_refused():
    with pytest.raises(ValueError, match=r"log_step\(\) got step -1"):
        check_step(-1)


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (3, 3),
        (0.5, 0.5),
        (2**80, 2**80),
        (True, 1),
        (np.bool_(False), 0),
        (np.uint64(2**64 - 1), 2**64 - 1),
        (np.float32(0.5), 0.5),
        (np.longdouble(0.5), 0.5),
        (ml_dtypes.bfloat16(0.5), 0.5),
        (jnp.float32(0.5), 0.5),
        (np.array(2), 2),
    ],
)
def test_single_real_numbers_become_python_numbers(value, number):
    assert scalar(value) == number
    assert type(scalar(value)) is type(number)


@pytest.mark.parametrize(
    "value",
    [np.ma.masked, np.ma.array([7], mask=True), np.ma.mean(np.ma.masked_all(3))],
)
def test_a_masked_value_is_no_data(value):
    assert math.isnan(scalar(value))
    assert scalar(np.ma.array([7])) == 7


@pytest.mark.parametrize(
    "value", [[1.0], np.zeros(2), 1j, np.complex64(1), "1", None, np.datetime64(0, "s")]
)
def test_other_values_are_not_scalars(value):
    with pytest.raises(TypeError, match="is not a number"):
        scalar(value)
