"""Last and best values of a summary are those of the whole record, or unknown."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxmetrics.record import (
    AppendFile,
    RunSummary,
    RunValues,
    _index,
    _recent,
    _run_summary,
    _run_values,
    dumps,
    read_lines,
    read_progress,
    read_recent,
    recent_level,
)

KEYS = ("train/loss", "val/accuracy", "val/score_x", "grad/norm")
BETTER = {"val/score_x": "max"}
NUMBERS = st.sampled_from([0.5, 1.0, 2.0, 3.0, math.nan, math.inf])
ROWS = st.lists(
    st.tuples(st.integers(0, 12), st.dictionaries(st.sampled_from(KEYS), NUMBERS)),
    max_size=25,
)


def row(step, values):
    return {"step": step, "split": "train", "time": float(step), **values}


def append(folder, rows, summary):
    with AppendFile(folder / "metrics.jsonl") as file:
        for step, values in rows:
            summary.values.take_directions(BETTER)
            line = row(step, values)
            file.write_line(dumps(line))
            summary.add(line, file.position)


def columns_of(folder):
    """Return the values of each key by step, by reading the record as a reader does."""
    columns = {key: {} for key in KEYS}
    for line in read_lines(folder / "metrics.jsonl")[0]:
        for key in KEYS:
            if key in line:
                columns[key][line["step"]] = float(line[key])
    return {key: dict(sorted(c.items())) for key, c in columns.items() if c}


def check(values, folder, exactly):
    """Compare with the record; unknown values are allowed unless `exactly`."""
    check_level(values, folder, exactly)
    for key, column in columns_of(folder).items():
        step, last = list(column.items())[-1]
        if (known := values.last(key)) is not None:
            assert known.step == step
            assert known.value == last or math.isnan(known.value) and math.isnan(last)
        assert known is not None or not exactly
        finite = {n: v for n, v in column.items() if math.isfinite(v)}
        sign = {"train/loss": 1, "val/accuracy": -1, "val/score_x": -1}.get(key)
        best = min(finite, key=lambda n: sign * finite[n]) if sign and finite else None
        if (known := values.best(key)) is not None:
            assert known == (finite[best], best)
        is_overwritten = not values.is_known(key)
        assert known is not None or best is None or is_overwritten


def check_level(values, folder, exactly):
    """Compare the level of the training loss with that of the record."""
    column = columns_of(folder).get("train/loss")
    level = values.recent("train/loss")
    if column and (level is not None or exactly):
        x, y = map(np.array, zip(*column.items()))
        assert level == pytest.approx(recent_level(x, y).median, nan_ok=True)


@pytest.fixture(scope="module", autouse=True)
def _few_recent_records():
    """Let levels be of 2 to 4 records, so that short records have more."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_recent, "_MIN_RECORDS", 2)
        patch.setattr(_recent, "_MAX_RECORDS", 4)
        patch.setattr(_recent, "_SHARE", 0.25)
        # Synced to disk for each example, which takes most of the time.
        patch.setattr(_run_summary, "edit_run_json", lambda folder, edit: None)
        yield


@given(before=ROWS, after=ROWS)
@settings(max_examples=150, deadline=None)
def test_values_are_those_of_the_columns_or_unknown(tmp_path_factory, before, after):
    folder = tmp_path_factory.mktemp("run")
    summary = RunSummary(folder)
    append(folder, before, summary)
    summary.write({})
    append(folder, after, summary)
    check(summary.values, folder, exactly=True)
    check(read_progress(folder, better=BETTER).values, folder, exactly=True)
    steps = [step for step, _ in before + after]
    if len(steps) == len(set(steps)):
        assert all(map(summary.values.is_known, KEYS))
    summary.write({}, "closed")
    assert not read_progress(folder, better=BETTER).values.has_unknown
    check(summary.values, folder, exactly=True)


@given(ROWS, ROWS, ROWS, st.integers(0, 12), st.booleans())
@settings(max_examples=150, deadline=None)
@pytest.mark.parametrize("kind", ["step", "position", "state"])
def test_values_after_a_cut_are_right_or_unknown(
    tmp_path_factory, kind, before, lost, after, step, is_reopened
):
    folder = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_index, "_SEGMENT_BYTES", 150)
        summary = RunSummary(folder)
        append(folder, before, summary)
        position, state = summary.index.position, summary.state()
        append(folder, lost, summary)
        summary.write({})
        if is_reopened:
            summary = RunSummary(folder)
        with AppendFile(folder / "metrics.jsonl") as file:
            if kind == "step":
                file.cut_after_step(step, "cut", summary.index.line_steps(step))
                summary.note_cut_after(step)
            else:
                file.cut(position, "cut")
                summary.note_cut(position, state if kind == "state" else None)
        cut = any(n > step for n, _ in before + lost) if kind == "step" else lost
        check(summary.values, folder, exactly=kind == "state" or not cut)
        append(folder, after, summary)
        check(summary.values, folder, exactly=kind == "state")
        summary.write({})
        check(
            read_progress(folder, better=BETTER).values, folder, exactly=kind == "state"
        )


def test_a_better_value_after_a_cut_is_the_best_one():
    values = RunValues()
    for step, loss in enumerate((3.0, 1.0, 2.0), 1):
        values.add(row(step, {"train/loss": loss}))
    values.cut_after(1)
    assert values.last("train/loss") is values.best("train/loss") is None
    assert values.last_values() == values.best_values() == {} and values.has_unknown
    values.add(row(2, {"train/loss": 2.0}))
    assert values.last("train/loss") == (2.0, 2) and not values.is_known("train/loss")
    values.add(row(3, {"train/loss": 0.5}))
    assert values.best("train/loss") == (0.5, 3) and values.is_known("train/loss")
    assert values.last_values() == {"train/loss": 0.5}
    assert values.best_values() == {"train/loss": (0.5, 3)}


def test_a_summary_of_an_earlier_version_has_the_level_of_the_rows_at_its_end(tmp_path):
    summary = RunSummary(tmp_path)
    losses = [(n, {"train/loss": 9.0 if n < 90 else n % 2}) for n in range(100)]
    append(tmp_path, losses, summary)
    summary.write({})
    path = tmp_path / "summary.json"
    old = {n: v for n, v in json.loads(path.read_text()).items() if n != "recent"}
    path.write_text(json.dumps(old))
    progress = read_progress(tmp_path)
    assert progress.values.recent("train/loss") is None
    assert not progress.values.has_unknown  # so that not all of it is read
    read_recent(tmp_path, progress)
    assert progress.values.recent("train/loss") == 0.5
    summary = RunSummary(tmp_path)  # which goes on with the run
    append(tmp_path, [(n, {"train/loss": 7.0}) for n in range(100, 110)], summary)
    assert summary.values.recent("train/loss") == 7.0


def test_a_level_after_a_cut_is_unknown_until_enough_rows_follow():
    values = RunValues()
    for step in range(20):
        values.add(row(step, {"train/loss": float(step)}))
    assert values.recent_values() == {"train/loss": 17.5}
    values.cut_after(16)  # one of the last four is left
    assert values.recent("train/loss") is None and values.has_unknown
    for step in (17, 18, 19):
        values.add(row(step, {"train/loss": 1.0}))
    assert values.recent("train/loss") == 1.0


def test_texts_that_stand_for_numbers_are_numbers_and_others_are_not():
    values = RunValues()
    values.add(
        {"step": 1, "split": "train", "a/loss": 2, "b": [1], "c": "x", "d": None}
    )
    values.add({"step": 2, "split": "train", "a/loss": "NaN"})
    values.add({"kind": "text", "step": 3, "split": "train", "a/loss": 9.0})
    values.add({"step": "4", "a/loss": 9.0})
    assert [*values.last_values()] == ["a/loss"]
    assert math.isnan(values.last("a/loss").value)
    assert values.best("a/loss") == (2, 1)


@pytest.mark.parametrize("split", [{}, {"split": 3}, {"split": None}])
def test_a_row_without_a_split_may_have_texts_that_stand_for_numbers(split):
    values = RunValues()
    values.add({"step": 1, **split, "a/loss": "NaN"})
    values.add({"step": 2, **split, "a/loss": 1.0})
    assert values.last("a/loss") == (1.0, 2) == values.best("a/loss")


def test_of_very_many_keys_the_later_ones_have_no_values(monkeypatch):
    monkeypatch.setattr(_run_values, "_MAX_KEYS", 5)
    values = RunValues()
    for step in range(9):
        values.add(row(step, {f"train/k{step}": 1.0, "train/loss": step}))
    assert len(values) == 5 and values.last("train/loss") == (8, 8)
    assert not values.is_known("train/k8") and values.is_known("train/k1")
    assert not RunValues.from_state(values.state()).is_known("train/other")


@pytest.mark.parametrize(
    "damage",
    [
        {"last": None},
        {"last": {"train/loss": "high"}},
        {"last_step": {}},
        {"last_step": {"train/loss": "1"}},
        {"best": {"a": 1.0}, "best_step": {"a": 1}},
        {"best_step": {}},
        {"best_step": {"train/loss": 1.5}},
    ],
)
def test_a_damaged_state_is_not_used(damage):
    values = RunValues()
    values.add(row(1, {"train/loss": math.inf}))
    values.add(row(2, {"train/loss": 1.0}))
    assert RunValues.from_state(values.state()).best("train/loss") == (1.0, 2)
    assert RunValues.from_state(values.state() | damage) is None
    assert RunValues.from_state([damage]) is None is RunValues.from_state(0.5)


def test_levels_taken_from_the_record_go_on_with_later_rows():
    rows = [{"step": n, "split": "train", "train/loss": 1.0} for n in range(1, 5)]
    values = RunValues()
    for row in rows[:3]:
        values.add(row)
    state = values.state()
    del state["recent"]  # as an earlier version wrote it
    values = RunValues.from_state(state)
    values.add(rows[3])
    assert values.lacks_recent
    values.take_recent(rows)
    for step in range(5, 31):
        values.add({"step": step, "split": "train", "train/loss": 2.0})
    assert values.recent("train/loss") == 2.0 and not values.lacks_recent


def test_a_level_may_be_unknown_where_the_last_and_the_best_value_are_known():
    values = RunValues()
    for step in range(100):
        values.add({"step": step, "split": "train", "train/loss": 1.0})
    values.make_unknown()
    values.add({"step": 100, "split": "train", "train/loss": 0.5})
    assert values.is_known("train/loss") and values.has_unknown
