"""Entries of a metrics log."""

import math

import ml_dtypes
import numpy as np
import pytest

from jaxmetrics.record import MetricsEntry, dumps, loads


def entry(**changes):
    fields = {
        "step": 3,
        "wall_time_ms": 12.5,
        "loss": 2.5,
        "grad_norm": 1.0,
        "throughput_samples_per_sec": 64.0,
    }
    return MetricsEntry(**fields | changes)


def test_an_entry_is_written_with_its_fields_in_order_and_extra_values_by_name():
    line = entry(extra={"b": 2, "a": np.float32(0.5)}).line()
    assert list(line) == [
        *("step", "wall_time_ms", "loss", "grad_norm"),
        *("throughput_samples_per_sec", "extra"),
    ]
    assert list(line["extra"].items()) == [("a", 0.5), ("b", 2)]


@pytest.mark.parametrize("loss", [2.5, math.inf, -math.inf, 2, np.float16(0.5)])
def test_an_entry_is_read_back(loss):
    written = entry(loss=loss, extra={"x": 2**70, "bad": math.inf})
    read = MetricsEntry.from_row(loads(dumps(written.line())))
    assert read == written
    assert type(read.loss) is float and type(read.step) is int


def test_nan_is_read_back():
    read = MetricsEntry.from_row(loads(dumps(entry(loss=math.nan).line())))
    assert math.isnan(read.loss)


@pytest.mark.parametrize(
    "value", [np.int64(7), np.uint8(7), np.array(7), 7, ml_dtypes.bfloat16(7)]
)
def test_numbers_of_any_type_are_extra_values(value):
    assert entry(extra={"x": value}).extra == {"x": 7}


@pytest.mark.parametrize("step", [0, 2**63 - 1])
def test_the_smallest_and_largest_steps(step):
    assert entry(step=step).step == step


@pytest.mark.parametrize("step", [-1, 2**63])
def test_steps_out_of_range_are_refused(step):
    with pytest.raises(ValueError, match=f"step {step}, expected 0 to"):
        entry(step=step)


@pytest.mark.parametrize("step", [1.0, True, "1", None])
def test_steps_of_other_types_are_refused(step):
    with pytest.raises(TypeError, match="MetricsEntry got"):
        entry(step=step)


@pytest.mark.parametrize("value", [True, "1", None, [1.0], 1j])
def test_values_that_are_not_numbers_are_refused(value):
    with pytest.raises(TypeError, match="MetricsEntry got loss=.*expected a number"):
        entry(loss=value)
    with pytest.raises(TypeError, match="MetricsEntry got x="):
        entry(extra={"x": value})


def test_an_integer_too_large_for_a_float_is_refused():
    with pytest.raises(ValueError, match="loss that is too large for a float"):
        entry(loss=10**400)


@pytest.mark.parametrize("extra", [[1], "x", {1: 2.0}])
def test_extra_values_need_names(extra):
    with pytest.raises(TypeError, match="whose keys are strings"):
        entry(extra=extra)


@pytest.mark.parametrize("field", ["step", "loss", "throughput_samples_per_sec"])
def test_a_row_without_a_field_is_refused(field):
    row = entry().line()
    del row[field]
    with pytest.raises(TypeError, match=f"a row without {field}"):
        MetricsEntry.from_row(row)


def test_unknown_fields_and_missing_extra_values_are_accepted():
    row = entry().line() | {"later": 1}
    del row["extra"]
    assert MetricsEntry.from_row(row) == entry()
