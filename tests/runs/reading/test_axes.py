import numpy as np
import pytest
from support.runs import loss_rows, named_run, write_run

from jaxmetrics.runs import Run
from jaxmetrics.runs.reading import axis_positions, series_on_axes, series_on_axis


def row(step, tokens=None, loss=1.0, split="train"):
    known = {} if tokens is None else {"tokens": tokens}
    return {"step": step, "split": split, f"{split}/loss": loss, **known}


def positions_of(folder, rows, **header):
    run = Run.load(write_run(folder, rows, **header))
    return run, axis_positions(run)


def test_records_without_tokens_lie_between_their_neighbors(tmp_path):
    rows = [row(10, 1000), row(20, 3000), row(15, split="val")]
    _, positions = positions_of(tmp_path, rows)
    np.testing.assert_array_equal(positions["tokens"], [1000, 2000, 3000])


def test_records_before_the_first_known_tokens_are_interpolated_from_zero(tmp_path):
    rows = [row(0, split="val"), row(4, split="val"), row(10, 1000)]
    _, positions = positions_of(tmp_path, rows)
    np.testing.assert_array_equal(positions["tokens"], [0, 400, 1000])


def test_records_after_the_last_known_tokens_have_no_position(tmp_path):
    _, positions = positions_of(tmp_path, [row(10, 1000), row(11, split="val")])
    np.testing.assert_array_equal(positions["tokens"], [1000, np.nan])


def test_of_records_at_one_position_the_last_one_counts(tmp_path):
    rows = [row(1, 10, loss=9.0), row(2, 10, loss=8.0), row(3, 20, loss=7.0)]
    run, positions = positions_of(tmp_path, rows)
    x, y = series_on_axis(run, "train/loss", positions["tokens"])
    np.testing.assert_array_equal(x, [10, 20])
    np.testing.assert_array_equal(y, [8, 7])


def test_axes_on_which_no_value_has_a_position_are_left_out(tmp_path):
    rows = [row(1, 10), row(2, split="val")]
    run, positions = positions_of(tmp_path, rows)
    x, y = series_on_axes(run, "val/loss", positions)
    assert list(x) == ["step"] and x["step"].tolist() == [2] and y.tolist() == [1]


@pytest.mark.parametrize(
    ("flops", "expected"), [({"per_step": 5.0}, [5, 10]), ({"per_token": 2}, [20, 40])]
)
def test_flops_are_counted_by_step_or_by_token(tmp_path, flops, expected):
    folder = named_run(tmp_path, "a", loss_rows(float, steps=(1, 2)), flops=flops)
    positions = axis_positions(Run.load(folder))
    np.testing.assert_array_equal(positions["flops"], expected)


@pytest.mark.parametrize("flops", [None, 3, {}, {"per_step": "many"}])
def test_without_usable_flops_there_is_no_such_axis(tmp_path, flops):
    _, positions = positions_of(tmp_path, [row(1, 10)], flops=flops)
    assert "flops" not in positions
