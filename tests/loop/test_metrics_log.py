"""A log of steps in one file: its format, its summary, damaged files."""

import json
import math

import numpy as np
import pytest
from support.faults import FullDisk

from jaxmetrics import MetricsEntry, MetricsLog, MetricsSummary, Run
from jaxmetrics.record import CorruptLineError

LINE = (
    '{"step": 1, "wall_time_ms": 12.5, "loss": 2.3, "grad_norm": 1.1, '
    '"throughput_samples_per_sec": 100.0, "extra": {"a": 1.5}}'
)


def entry(step, loss=1.0, **extra):
    return MetricsEntry(step, 10.0 * step, loss, 0.5, 64.0, extra)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "deep" / "er" / "steps.jsonl"


def test_an_empty_log_has_a_file_and_a_summary_of_zeros(path):
    log = MetricsLog.open(path)
    assert path.read_bytes() == b""
    assert log.is_empty() and len(log) == 0 and list(log) == []
    assert log.summary() == MetricsSummary(0, 0.0, 0.0, 0.0, 0.0, 0)


def test_a_line_has_the_fields_in_order_and_extra_sorted(path):
    log = MetricsLog.open(path)
    log.record(MetricsEntry(1, 12.5, 2.3, 1.1, 100.0, {"b": 2, "a": 1.5}))
    log.record(MetricsEntry(2, 25.0, 2.2, 1.0, 100.0))
    first, second = path.read_text().splitlines()
    assert list(json.loads(first)) == list(json.loads(LINE))
    assert json.loads(first) == json.loads(LINE) | {"extra": {"a": 1.5, "b": 2}}
    assert first.endswith('"extra":{"a":1.5,"b":2}}')
    assert second.endswith('"extra":{}}')


def test_entries_are_read_back_in_order(path):
    entries = [entry(step, 1 / step, lr=0.1 * step, nodes=2**60) for step in (1, 2, 9)]
    log = MetricsLog.open(str(path))
    for recorded in entries:
        log.record(recorded)
    reopened = MetricsLog.open(path)
    assert list(reopened) == list(log) == entries
    assert len(reopened) == 3 and not reopened.is_empty()
    assert reopened.summary() == log.summary()
    reopened.record(entry(10))
    assert [e.step for e in MetricsLog.open(path)] == [1, 2, 9, 10]


def test_a_summary_covers_finite_losses_and_counts_the_others(path):
    log = MetricsLog.open(path)
    for step, loss in enumerate([3.0, math.nan, 1.0, math.inf, 2.0], 1):
        log.record(entry(step, loss))
    expected = MetricsSummary(5, 50.0, 1.0, 2.0, 3.0, nonfinite_losses=2)
    assert log.summary() == expected
    assert MetricsLog.open(path).summary() == expected


def test_the_summary_without_a_finite_loss_is_nan(path):
    log = MetricsLog.open(path)
    log.record(entry(1, math.nan))
    summary = log.summary()
    assert summary.total_steps == summary.nonfinite_losses == 1
    assert math.isnan(summary.loss_min) and math.isnan(summary.loss_max)
    assert math.isnan(summary.loss_mean)


def test_the_mean_is_summed_in_float64(path):
    log = MetricsLog.open(path)
    losses = np.float32([1e8, 1.0, 1.0, 1.0])
    for step, loss in enumerate(losses, 1):
        log.record(entry(step, loss))
    assert log.summary().loss_mean == 25_000_000.75
    assert losses.sum() / 4 == 25_000_000  # float32 rounds the rest away


def test_values_that_are_not_finite_are_read_back(path):
    log = MetricsLog.open(path)
    log.record(MetricsEntry(1, math.inf, -math.inf, math.inf, 0.0, {"x": math.nan}))
    assert '"loss":"-Infinity"' in path.read_text()
    (read,) = MetricsLog.open(path)
    assert (read.wall_time_ms, read.loss) == (math.inf, -math.inf)
    assert math.isnan(read.extra["x"])


def test_blank_lines_and_unknown_fields_are_skipped_and_extra_may_be_absent(path):
    path.parent.mkdir(parents=True)
    row = json.loads(LINE)
    del row["extra"]
    path.write_text(f"\n{LINE}\n   \t\n{json.dumps(row | {'more': [1]})}\n\n")
    first, second = MetricsLog.open(path)
    assert first.extra == {"a": 1.5} and second.extra == {}


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("{nonsense", "not JSON"),
        ("[1]", "a JSON list"),
        ('{"step": 2}', "without wall_time_ms, loss"),
        (LINE.replace("2.3", '"high"'), "loss='high'"),
        (LINE.replace("2.3", "true"), "loss=True"),
        (LINE.replace("2.3", "null"), "loss=None"),
        (LINE.replace('"step": 1', '"step": 1.5'), "step of type float"),
        (LINE.replace('"step": 1', '"step": -1'), "step -1"),
        (LINE.replace('{"a": 1.5}', "[1]"), "extra="),
        (LINE.replace("1.5", "{}"), "a={}"),
    ],
)
def test_a_malformed_line_is_an_error_with_its_number(path, bad, reason):
    path.parent.mkdir(parents=True)
    text = f"{LINE}\n\n{bad}\n{LINE}\n"
    path.write_text(text)
    with pytest.raises(CorruptLineError, match="line 3") as error:
        MetricsLog.open(path)
    assert error.value.line == 3
    assert reason in str(error.value)
    assert path.read_text() == text


def test_an_incomplete_last_line_is_moved_away_with_a_warning(path):
    path.parent.mkdir(parents=True)
    path.write_text(f"{LINE}\n{LINE[:40]}")
    with pytest.warns(UserWarning, match="cut off by a kill"):
        log = MetricsLog.open(path)
    assert len(log) == 1
    assert path.with_name("steps.jsonl.torn").read_text() == LINE[:40]
    log.record(entry(2))
    assert [e.step for e in MetricsLog.open(path)] == [1, 2]


def test_entries_refused_by_a_full_disk_are_written_later(path, monkeypatch, caplog):
    log = MetricsLog.open(path)
    log.record(entry(1))
    before = path.read_bytes()
    with monkeypatch.context() as patch:
        FullDisk(patch).room = 20
        log.record(entry(2))
        log.record(entry(3))
        assert not log.flush()
        assert log.state() == {"entries": 1, "position": len(before)}
    assert len(log) == 3 and path.read_bytes() == before
    assert len(caplog.messages) == 1 and "Training goes on" in caplog.text
    log.record(entry(4))
    assert [e.step for e in MetricsLog.open(path)] == [1, 2, 3, 4]
    assert log.flush() and log.state()["entries"] == 4


def test_a_cut_refused_by_a_full_disk_is_made_with_the_next_entry(path, monkeypatch):
    log = MetricsLog.open(path)
    log.record(entry(1))
    state = log.state()
    log.record(entry(2))
    with monkeypatch.context() as patch:
        FullDisk(patch).room = 0
        log.load_state(state)
    assert [e.step for e in log] == [1]
    log.record(entry(3))
    assert [e.step for e in MetricsLog.open(path)] == [1, 3]
    assert path.with_name("steps.jsonl.after-restore").exists()


def test_a_file_changed_by_another_log_is_refused(path):
    first, second = MetricsLog.open(path), MetricsLog.open(path)
    second.record(entry(1))
    with pytest.raises(RuntimeError, match="another writer"):
        first.record(entry(1))
    assert first.is_empty() and len(MetricsLog.open(path)) == 1


def test_later_entries_are_moved_away_by_a_restore(path):
    log = MetricsLog.open(path)
    log.record(entry(1))
    state = log.state()
    log.record(entry(2))
    log.record(entry(3))
    rest = path.read_text().splitlines(keepends=True)[1:]
    log.load_state(state)
    assert [e.step for e in log] == [e.step for e in MetricsLog.open(path)] == [1]
    moved = path.with_name("steps.jsonl.after-restore")
    assert moved.read_text().splitlines(keepends=True) == rest
    log.record(entry(2))
    log.reset()
    assert log.is_empty() and MetricsLog.open(path).is_empty()
    assert path.with_name("steps.jsonl.after-restart").read_text().count("\n") == 2


def test_a_state_of_another_file_is_refused(path):
    log = MetricsLog.open(path)
    log.record(entry(1))
    before = path.read_bytes()
    with pytest.raises(ValueError, match="byte 7 is not the end of a line"):
        log.load_state({"entries": 0, "position": 7})
    assert len(log) == 1 and path.read_bytes() == before


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"step": 1.0}, TypeError, "step of type float"),
        ({"step": True}, TypeError, "step=True"),
        ({"step": -1}, ValueError, "step -1"),
        ({"step": 2**63}, ValueError, "2\\*\\*63"),
        ({"loss": "1.0"}, TypeError, "loss='1.0'"),
        ({"loss": np.ones(2)}, TypeError, "loss=array"),
        ({"extra": {1: 2.0}}, TypeError, "keys are strings"),
        ({"extra": {"a": None}}, TypeError, "a=None"),
    ],
)
def test_an_entry_with_a_wrong_value_is_refused_by_name(change, kind, message):
    fields = dict(step=1, wall_time_ms=1.0, loss=1.0, grad_norm=1.0)
    fields |= dict(throughput_samples_per_sec=1.0, extra={})
    with pytest.raises(kind, match=message):
        MetricsEntry(**fields | change)


def test_only_entries_are_recorded(path):
    with pytest.raises(TypeError, match="expected a MetricsEntry"):
        MetricsLog.open(path).record({"step": 1})


def test_scalars_of_devices_and_numpy_become_python_numbers(path):
    import jax.numpy as jnp

    log = MetricsLog.open(path)
    converted = MetricsEntry(
        np.int64(3), 1, jnp.float32(0.1), jnp.bfloat16(0.5), np.float16(2), {}
    )
    log.record(converted)
    assert list(MetricsLog.open(path)) == [converted]
    assert converted.loss == 0.10000000149011612
    assert type(converted.grad_norm) is float


def test_run_load_reads_the_file(path):
    log = MetricsLog.open(path)
    log.record(MetricsEntry(1, 10.0, 3.0, 0.5, 64.0, {"lr": 0.1, "loss": 9.0}))
    log.record(entry(2, math.nan))
    run = Run.load(path)
    names = ["wall_time_ms", "loss", "grad_norm", "throughput_samples_per_sec", "lr"]
    assert run.keys() == names
    steps, losses = run["loss"]
    assert steps.tolist() == [1, 2] and losses[0] == 3.0 and math.isnan(losses[1])
    assert [part.tolist() for part in run["lr"]] == [[1], [0.1]]
    assert run.summary()["seconds"] == 0.02
    assert run.path == path and run.events == []


def test_run_load_names_or_skips_a_damaged_line(path):
    log = MetricsLog.open(path)
    log.record(entry(1))
    with path.open("a") as file:
        file.write(LINE.replace("2.3", '"high"') + "\n" + LINE)
    with pytest.raises(CorruptLineError, match="line 2"):
        Run.load(path)
    run = Run.load(path, errors="skip")
    assert len(run) == 1
    ((name, number, _),) = run.bad
    assert (name, number) == ("steps.jsonl", 2)
