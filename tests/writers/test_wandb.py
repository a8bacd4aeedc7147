"""Rows sent to Weights & Biases, read back from its offline files."""

import json
import logging
import math
import os
import signal
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from support import wandb_file
from support.processes import run_python

from jaxmetrics import LogConfig
from jaxmetrics.record import Media, Record
from jaxmetrics.writers import WandB, _wandb_run
from jaxmetrics.writers._wandb_file import read_state
from jaxmetrics.writers._wandb_rows import WandbRows
from jaxmetrics.writers._wandb_run import call_within

ADDED_FIELDS = ("_step", "_timestamp", "_runtime")


def record(step, split="train", **values):
    values = {f"{split}/{name}": value for name, value in values.items()}
    return Record(step, split, values, float(step))


def run_offline(script, *arguments, **environment):
    """Run a script without network and credentials."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("WANDB_")}
    script = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n{script}"
    return run_python(script, *arguments, env=clean | environment)


def run_files(run_dir):
    """Return the files of the attempts of a run, in order."""
    files = run_dir.glob("wandb/*run-*/*.wandb")
    return sorted(file for file in files if not file.parent.is_symlink())


def logged_rows(file):
    """Return the rows of a file without the fields that wandb adds."""
    return [
        {key: value for key, value in row.items() if key not in ADDED_FIELDS}
        for row in wandb_file.rows(file)
    ]


def records_of_kind(file, kind):
    return [
        getattr(record, kind)
        for record in wandb_file.records(file)
        if record.WhichOneof("record_type") == kind
    ]


def summary(file):
    """Return the summary after all its updates."""
    values = {}
    for update in records_of_kind(file, "summary"):
        values |= wandb_file.items(update.update)
    return values


def many(step, keys):
    """Return values under so many keys of 20 characters."""
    return {f"a_name_of_some_16_{n:03d}": step / (n + 3) for n in range(keys)}


def histograms(count):
    """Return a record of so many histograms, with their number as its step."""
    rng = np.random.default_rng(count)
    values = {f"train/layer_{n:02d}": rng.normal(size=1000) for n in range(count)}
    return Media(count, "train", values, 0.0, kind="histogram")


# The next tests read the files of this script, which are complete once it has ended.

SESSION = """
import json, logging, sys
from pathlib import Path
import numpy as np
import wandb
from test_wandb import histograms, many, record
from jaxmetrics import TrainingLogger
from jaxmetrics.record import Record
from jaxmetrics.writers import WandB, _wandb_run
from jaxmetrics.record import Media

root = Path(sys.argv[1])
assert sys.argv[2] == "--api_key=hush"

# Attempts of one run: new, restored from a checkpoint, started again.
def make():
    return TrainingLogger("project", "name", root=root, console=False,
        writers=[WandB("offline", every=1)], tags=("tpu", "", "x" * 70, "tpu"),
        hparams={"lr": 3e-4, "model": {"layers": 2}, "api_key": "hush"})

with make() as logger:
    print("hush")
    for step, keys in enumerate((1, 10, 100), 1):
        logger.log_step(step, many(step, keys), tokens=step * 2**40)
    state = logger.state()
    logger.log_step(4, loss=-1.0)
with make() as logger:
    logger.load_state(state)
    logger.log_step(4, loss=np.float32(0.1), bad=float("nan"), big=2**70)
    logger.log_step(4, split="val", loss=4.0)
with make() as logger:
    logger.log_step(5, loss=5.0)
    logger.log_step(6, loss=float("-inf"))

# A run of the user, open at the same time.
user_run = wandb.init(mode="offline", dir=str(root / "user"))
def open_writer(name, **options):
    (root / name).mkdir(exist_ok=True)
    writer = WandB("offline", **options)
    writer.open(root / name, None)
    return writer

writer = open_writer("histograms")
for step in (1, 2, 10):
    assert writer.write(histograms(step))
writer.close()

writer = open_writer("media")
for kind, value in {
    "histogram": np.float32([1.0, np.nan, 3.0]),
    "image": np.zeros((4, 5, 3), np.uint8),
    "text": "<b>",
    "table": (["word", "n"], [["a", 1], ["b", None]]),
}.items():
    media = Media(3, "train", {f"train/{kind}": value}, 0.0, kind=kind)
    assert writer.write(writer.select(media))
state = writer.state()
writer.close()
assert wandb.run is user_run
user_run.log({"user": 1})
user_run.finish()

# Control: steps that go back, if they are passed to wandb itself.
(root / "steps").mkdir()
with wandb.init(mode="offline", dir=str(root / "steps")) as control:
    for step in (1, 2, 3, 4, 2, 3):
        control.log({"loss": float(step)}, step=step)

# A checkpoint restored in another directory continues its run.
writer = open_writer("moved")
writer.load_state(state | {"step": 3})
assert writer.write(record(4, loss=4.0))
writer.close()

# A budget that is used up, and remains so after a restart.
logging.basicConfig(format="%(message)s", level=logging.WARNING)
dropped = []
for attempt in range(2):
    writer = open_writer("budget", max_wandb_mb=0.03)
    for step in range(150 * attempt, 150 * attempt + 150):
        writer.write(record(step, loss=step / 3, last=step))
    for number, health in enumerate((2, 0)):
        alarm = {"health/nonfinite": health, "val/loss": 1.0}
        writer.write(Record(step + number, "val", alarm, 0.0))
    writer.close()
    dropped.append(writer.counters["dropped_budget"])

# Records of one step are one row, until a second has passed.
now = [0.0]
writer = open_writer("joined", clock=lambda: now[0])
charged = []
def note():
    charged.append(writer.counters["estimated_upload_bytes"])
for split, values in (
    ("train", {"a": 1.0, "b": 1.0}), ("train", {"b": 2.0}), ("val", {"c": 3.0}),
):
    writer.write(record(1, split, **values))
note()
for now[0] in (0.9, 1.0, 2.0):
    writer.idle()
    note()
writer.write(record(1, "val", c=4.0))
writer.flush()
writer.write(record(1, "val", c=5.0))
arrays = {"val/recall": [0.5, 1.0], "val/matrix": [[1.0, 2.0], [3.0, 4.0]]}
for step in range(2, 14):
    writer.write(Record(step, "val", {}, 0.0, arrays=arrays))
writer.close()

for name, steps in {
    "at 99": range(99, 1000, 100), "epochs": range(1, 11), "each": range(1, 121),
}.items():
    with TrainingLogger("loops", name.replace(" ", "_"), root=root, console=False,
            writers=[WandB("offline")]) as logger:
        for step in steps:
            logger.log_step(step, loss=1.0)
print(json.dumps({"media": state, "dropped": dropped, "charged": charged}))
"""


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    """Directory of all runs, the reported counters, and the standard error."""
    root = tmp_path_factory.mktemp("runs")
    finished = run_offline(SESSION, root, "--api_key=hush")
    assert finished.returncode == 0, finished.stderr
    report = json.loads(finished.stdout.splitlines()[-1])
    return root, report, finished.stderr


@pytest.fixture(scope="module")
def run_dir(session):
    """Directory of the run of three attempts."""
    return session[0] / "project" / "name"


def test_every_row_has_its_step_and_attempt(run_dir):
    first, second, third = (logged_rows(file) for file in run_files(run_dir))
    assert [row["trainer/step"] for row in first] == [1, 2, 3, 4]
    for step, (row, keys) in enumerate(zip(first, (1, 10, 100)), 1):
        assert row == {
            **{f"train/{name}": value for name, value in many(step, keys).items()},
            "tokens": step * 2**40,
            "trainer/step": step,
            "trainer/attempt": 1,
        }
    assert second[0]["train/loss"] == pytest.approx(0.1, rel=1e-7)
    assert np.isnan(second[0]["train/bad"])
    assert second[0]["train/big"] == 2.0**70
    assert second[1] == {"val/loss": 4.0, "trainer/step": 4, "trainer/attempt": 2}
    assert [(r["trainer/step"], r["train/loss"]) for r in third] == [
        (5, 5.0),
        (6, float("-inf")),
    ]
    assert {row["trainer/attempt"] for row in third} == {3}


def test_steps_passed_to_wandb_itself_would_lose_rows(session):
    (file,) = run_files(session[0] / "steps")
    assert [row["loss"] for row in logged_rows(file)] == [1.0, 2.0, 3.0, 4.0]  # of six


def test_attempts_continue_one_run(run_dir):
    runs = [records_of_kind(file, "run")[0] for file in run_files(run_dir)]
    run_id = json.loads((run_dir / "run.json").read_text())["run_id"]
    assert [run.run_id for run in runs] == [run_id] * 3
    assert {run.project for run in runs} == {"project"}
    assert {run.display_name for run in runs} == {"name"}
    for file in run_files(run_dir):
        assert len(records_of_kind(file, "exit")) == 1  # finished


def test_tags_are_shortened_and_empty_ones_removed(run_dir):
    (run,) = records_of_kind(run_files(run_dir)[0], "run")
    assert list(run.tags) == ["tpu", "x" * 64]


def test_the_configuration_has_no_secrets_and_nothing_else_is_captured(run_dir):
    (run,) = records_of_kind(run_files(run_dir)[0], "run")
    config = {item.key: json.loads(item.value_json) for item in run.config.update}
    config.pop("_wandb")
    assert config == {"lr": 3e-4, "model": {"layers": 2}, "api_key": "<redacted>"}
    for kind in ("environment", "stats", "output_raw", "files", "artifact"):
        assert not records_of_kind(run_files(run_dir)[0], kind)
    for file in run_dir.rglob("*"):
        if file.is_file():
            assert b"hush" not in file.read_bytes(), file


def test_the_axis_of_all_values_is_the_step(run_dir):
    first, rest, *keys = records_of_kind(run_files(run_dir)[0], "metric")
    assert first.name == "trainer/step"
    assert (rest.glob_name, rest.step_metric) == ("*", "trainer/step")
    assert {key.step_metric for key in keys} <= {"trainer/step"}


def test_the_summary_has_the_best_value_of_keys_of_known_direction(tmp_path):
    writer = WandB("offline")
    writer.open(tmp_path, None)
    for step, loss in enumerate((3.0, 1.0, 2.0), 1):
        values = {"val/loss": loss, "val/accuracy": loss / 10, "grad/norm": loss}
        writer.write(Record(step, "val", values | {"odd.loss": 1.0}, float(step)))
    writer.close()
    _, _, *keys = records_of_kind(run_files(tmp_path)[0], "metric")
    kept = {k.name: (k.summary.min, k.summary.max, k.summary.last) for k in keys}
    assert kept == {
        "val/loss": (True, False, True),
        "val/accuracy": (False, True, True),
    }
    assert {key.step_metric for key in keys} == {"trainer/step"}


def test_the_charge_is_the_size_of_the_history_within_two_percent(run_dir):
    first = list(wandb_file.rows(run_files(run_dir)[0]))
    rows = WandbRows()
    for step, keys in enumerate((1, 10, 100), 1):
        values = {f"train/{name}": value for name, value in many(step, keys).items()}
        before = rows.budget.used
        rows.take(Record(step, "train", values, 0.0, tokens=step * 2**40))
        history = len(json.dumps(first[step - 1]))
        charged = rows.budget.used - before
        # A row has two clocks of wandb, with up to 12 digits more or fewer.
        assert charged == pytest.approx(history, rel=0.02, abs=12)
        # Control: without the fields that wandb adds.
        assert charged - 73 != pytest.approx(history, rel=0.01, abs=12)


def test_counts_alone_are_a_row():
    rows = WandbRows()
    axes = {"trainer/step": 2, "trainer/attempt": 1}
    assert rows.take(Record(2, "train", {}, 0.0, tokens=5)) == ({"tokens": 5} | axes, 1)
    assert rows.take(Record(2, "train", {}, 0.0)) == ({}, True)


def test_histograms_are_charged_within_two_percent(session):
    rows = WandbRows()
    (file,) = run_files(session[0] / "histograms")
    for row in wandb_file.rows(file):
        before = rows.budget.used
        rows.take(histograms(row["trainer/step"]))
        charged = rows.budget.used - before
        assert charged == pytest.approx(len(json.dumps(row)), rel=0.02)


def test_the_charge_is_saved_and_never_refunded(run_dir):
    saved = json.loads((run_dir / "wandb.json").read_text())
    closed = closing_counters(run_dir)
    used = [counters["estimated_upload_bytes"] for counters in closed]
    assert used == sorted(used)
    assert saved["estimated_upload_bytes"] == used[-1]
    sent = sum(
        len(json.dumps(row))
        for file in run_files(run_dir)
        for row in wandb_file.rows(file)
    )
    assert sent < used[-1] < sent * 1.05 + 3 * 200  # and three summaries
    sizes = [file.stat().st_size for file in run_files(run_dir)]
    assert [counters["offline_file_bytes"] for counters in closed] == sizes
    assert [c["written"] for c in closed] == [4, 2, 2]


def closing_counters(run_dir):
    lines = (run_dir / "events.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    return [e["writers"]["wandb"] for e in events if e["event"] == "close"]


def test_media_are_sent_and_charged(session):
    root, report, _ = session
    (file,) = run_files(root / "media")
    histogram, image, text, table = logged_rows(file)
    assert sum(histogram["train/histogram/values"]) == 2
    assert len(histogram["train/histogram/bins"]) == 65
    assert histogram["train/histogram_nonfinite"] == 1
    assert (image["train/image/width"], image["train/image/height"]) == (5, 4)
    assert table["train/table/nrows"] == 2
    files = {f.suffix: f for f in (file.parent / "files").rglob("*.*") if f.is_file()}
    assert set(files) == {".png", ".html", ".json"}
    assert "<pre>&lt;b&gt;</pre>" in files[".html"].read_text()
    rows = sum(len(json.dumps(row)) for row in wandb_file.rows(file))
    file_bytes = sum(f.stat().st_size for f in files.values())
    charged = report["media"]["estimated_upload_bytes"]
    assert charged == pytest.approx(rows + file_bytes, rel=0.1)


def test_a_run_of_the_user_is_not_touched(session):
    (file,) = run_files(session[0] / "user")
    assert [row["user"] for row in logged_rows(file)] == [1]
    assert len(records_of_kind(file, "exit")) == 1


def test_a_checkpoint_continues_its_run_in_another_directory(session):
    root, report, _ = session
    first, moved = sorted(run_files(root / "moved"), key=lambda f: len(logged_rows(f)))
    assert logged_rows(first) == []
    assert records_of_kind(moved, "run")[0].run_id == report["media"]["id"]
    assert [row["trainer/step"] for row in logged_rows(moved)] == [4]
    saved = json.loads((root / "moved" / "wandb.json").read_text())
    assert saved["id"] == report["media"]["id"]
    assert saved["estimated_upload_bytes"] > report["media"]["estimated_upload_bytes"]


def test_rows_are_thinned_at_80_percent_of_the_budget_and_stopped_at_100(session):
    root, report, stderr = session
    files = run_files(root / "budget")
    assert len({records_of_kind(file, "run")[0].run_id for file in files}) == 1
    history = [row for file in files for row in wandb_file.rows(file)]
    trained = [row for row in history if "train/last" in row]
    steps = [row["trainer/step"] for row in trained]
    first_gap = next(n for n, step in enumerate(steps) if n != step)
    sent = sum(len(json.dumps(row)) for row in trained[:first_gap])
    assert sent == pytest.approx(0.8 * 30_000, rel=0.03)
    assert not (np.diff(steps[first_gap:]) % 2).any()
    assert len(steps) - first_gap > 2
    alarms = [row for row in history if "health/nonfinite" in row]
    # An alarm out of a row that is thinned, the next row, an alarm at the limit.
    assert [(row["health/nonfinite"], "val/loss" in row) for row in alarms] == [
        (2, False),
        (0, True),
        (2, False),
    ]
    saved = json.loads((root / "budget" / "wandb.json").read_text())
    total = sum(len(json.dumps(row)) for row in history)
    assert total < saved["estimated_upload_bytes"] <= 30_000
    last = summary(files[-1])
    assert last["train/last"] == 299  # although it was not sent
    complete = [row for row in logged_rows(files[-1]) if len(row) > 3]  # no alarms
    assert last["dropped_budget"] == report["dropped"][1]
    assert last["dropped_budget"] + len(complete) == 152
    complete = [row for row in logged_rows(files[0]) if len(row) > 3]
    assert report["dropped"][0] + len(complete) == 152
    warnings = [line for line in stderr.splitlines() if "W&B is not sent" in line]
    assert ["second row" in w for w in warnings] == [True, True, False]
    assert "all but alarms" in warnings[2]


def test_records_of_one_step_and_split_are_one_row_until_a_second_has_passed(session):
    root, report, _ = session
    (file,) = run_files(root / "joined")
    rows = [row for row in logged_rows(file) if row["trainer/step"] == 1]
    axes = {"trainer/step": 1, "trainer/attempt": 1}
    assert rows == [
        {"train/a": 1.0, "train/b": 2.0, **axes},
        {"val/c": 3.0, **axes},
        {"val/c": 4.0, **axes},  # after a second of silence
        {"val/c": 5.0, **axes},  # after a flush
    ]
    before, at_900_ms, at_a_second, later = report["charged"]
    assert before == at_900_ms < at_a_second == later


def test_arrays_are_values_by_index_or_one_heatmap_in_ten(session):
    (file,) = run_files(session[0] / "joined")
    rows = {row["trainer/step"]: row for row in logged_rows(file)}
    for step in range(2, 14):
        assert (rows[step]["val/recall/0"], rows[step]["val/recall/1"]) == (0.5, 1.0)
        assert ("val/matrix/format" in rows[step]) == (step in (2, 12))
    assert rows[2]["val/matrix/format"] == "png"


@pytest.mark.parametrize(
    ("loop", "sent"),
    [
        ("at_99", list(range(99, 1000, 100))),
        ("epochs", [1, 10]),
        ("each", [1, 50, 100, 120]),
    ],
)
def test_the_rows_of_ordinary_loops_are_those_that_a_person_expects(
    session, loop, sent
):
    (file,) = run_files(session[0] / "loops" / loop)
    assert [row["trainer/step"] for row in logged_rows(file)] == sent


def test_rows_beyond_a_thousand_per_minute_are_left_out_with_one_warning(caplog):
    rows = WandbRows(clock=lambda: 0.0)
    with caplog.at_level(logging.WARNING, "jaxmetrics"):
        complete = [rows.take(record(step, loss=step))[1] for step in range(1200)]
    assert complete == [True] * 1000 + [False] * 200
    assert rows.counters["dropped_rate"] == 200
    assert rows.summary()["train/loss"] == 1199
    (warning,) = caplog.records
    assert "1,000 rows a minute" in warning.getMessage()


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        (2**63 - 1, 2**63 - 1),
        (2**63, 2.0**63),
        (-(2**63), -(2**63)),
        (-(2**63) - 1, -(2.0**63)),
        (10**400, math.inf),
        (-(10**400), -math.inf),
    ],
    ids=str,
)
def test_integers_beyond_64_bits_are_sent_as_floats(value, sent):
    row, complete = WandbRows().take(record(1, count=value))
    assert complete and row["train/count"] == sent
    assert type(row["train/count"]) is type(sent)


def test_nothing_to_send_is_complete():
    empty = Media(1, "train", {"train/h": np.zeros(0)}, 0.0, kind="histogram")
    assert WandbRows().take(empty) == ({}, True)


def test_over_budget_only_alarms_that_ring_are_sent():
    rows = WandbRows(megabytes=0.01, used=5000)  # 804 bytes are left, and 100 of alarms
    rows.budget.refusal(700, "train")
    values = {"health/nonfinite": 3, "health/spikes": 0, "train/loss": 2.0}
    row, complete = rows.take(Record(7, "train", values, 0.0))
    assert not complete
    assert row == {"health/nonfinite": 3, "trainer/step": 7, "trainer/attempt": 1}
    assert rows.summary()["train/loss"] == 2.0


def test_a_summary_has_only_values_not_sent_since():
    now = [0.0]
    rows = WandbRows(clock=lambda: now[0])
    for step in range(1001):
        rows.take(record(step, loss=step, accuracy=1.0))
    now[0] = 1.0
    rows.take(record(1001, loss=1001))
    summary = rows.summary()
    assert "train/loss" not in summary  # the last one was sent
    assert summary["train/accuracy"] == 1.0


def test_at_most_ten_thousand_keys_are_sent(caplog):
    rows = WandbRows()
    with caplog.at_level(logging.WARNING, "jaxmetrics"):
        for step in range(3):
            values = {f"train/k{n}": 1.0 for n in range(10_002)}
            row, complete = rows.take(Record(step, "train", values, 0.0))
            assert complete
            assert len(row) == 10_002  # with step and attempt
    assert rows.counters["dropped_keys"] == 6
    (warning,) = caplog.records
    assert "'train/k10000'" in warning.getMessage()


@pytest.mark.parametrize("key", [3, None, "", "_private", "x" * 257])
def test_a_key_that_wandb_refuses_is_left_out_and_counted(key):
    rows = WandbRows()
    row, complete = rows.take(Record(1, "train", {key: 1.0, "train/loss": 2.0}, 0.0))
    assert complete
    assert row == {"train/loss": 2.0, "trainer/step": 1, "trainer/attempt": 1}
    assert rows.take(Record(2, "train", {key: 1.0}, 0.0)) == ({}, False)
    assert rows.counters["dropped_keys"] == 2


@pytest.mark.parametrize("key", ["", "_private"])
def test_a_new_name_that_wandb_refuses_is_an_error(key):
    with pytest.raises(ValueError, match="rename="):
        WandB(rename={"train/loss": key})


def test_a_summary_fits_in_its_reserved_bytes():
    rows = WandbRows(megabytes=0.0)
    values = {f"train/k{n}": n / 3 for n in range(1000)}
    assert rows.take(Record(1, "train", values, 0.0)) == ({}, False)
    summary = rows.summary()
    assert 50 < len(summary) < 200
    assert (
        3900
        < len(json.dumps(summary))
        <= 4096
        == pytest.approx(rows.budget.used, rel=0.05)
    )


def test_settings_of_the_logger_are_defaults():
    writer = WandB()
    assert writer.every == 1
    writer.configure(LogConfig(log_every=7, max_wandb_mb=3.0))
    assert (writer.every, writer.max_wandb_mb) == (7, 3.0)
    writer = WandB(every=2, max_wandb_mb=9.0)
    writer.configure(LogConfig())
    assert (writer.every, writer.max_wandb_mb) == (2, 9.0)


def test_a_mode_is_online_or_offline():
    with pytest.raises(ValueError, match="mode='disabled'"):
        WandB("disabled")


def test_a_missing_package_is_named_with_its_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(ImportError, match=r"pip install jaxmetrics\[wandb\]"):
        WandB().open(tmp_path, None)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"id":5}',
        '{"id":""}',
        '{"id":["a"]}',
        '{"id":"../../x"}',
        '{"id":"a\\u0000b"}',
        '{"id":"\\ud800"}',
        f'{{"id":"{"x" * 3000}"}}',
        '{"id":"a","estimated_upload_bytes":"many"}',
        '{"id":"a","estimated_upload_bytes":null}',
        '{"id":"a","estimated_upload_bytes":-1}',
        '{"id":"a","estimated_upload_bytes":1e99}',
    ],
)
def test_a_damaged_wandb_json_is_set_aside(tmp_path, text):
    file = tmp_path / "wandb.json"
    for name in ("wandb.json.damaged", "wandb.json.damaged-2"):
        file.write_text(text)
        with pytest.warns(UserWarning, match=rf"wandb\.json is damaged .*{name}"):
            assert read_state(file) == {}
        assert not file.exists() and (tmp_path / name).read_text() == text


def test_a_wandb_json_of_an_earlier_version_is_read(tmp_path):
    (tmp_path / "wandb.json").write_text('{"id":"a.b-c_1"}')
    expected = {"id": "a.b-c_1", "estimated_upload_bytes": 0}
    assert read_state(tmp_path / "wandb.json") == expected


def test_a_call_that_takes_too_long_is_abandoned(monkeypatch):
    monkeypatch.setattr(_wandb_run, "_GRACE_SECONDS", 0.0)
    gate = threading.Event()
    text = r"within 0.01 s \(finish_timeout=0.01, .*larger finish_timeout="
    with pytest.raises(TimeoutError, match=text):
        call_within(0.01, gate.wait, "finish_timeout")
    gate.set()
    assert call_within(60.0, lambda: 3, "finish_timeout") == 3
    with pytest.raises(KeyError):
        call_within(60.0, lambda: {}["missing"], "finish_timeout")


SLOW_START = """
import threading
import wandb
from jaxmetrics import TrainingLogger
from jaxmetrics.writers import WandB, _wandb_run

wandb.init = lambda **options: threading.Event().wait()
_wandb_run._GRACE_SECONDS = 0.0
with TrainingLogger("p", "run", root=sys.argv[1], console=False,
                    writers=[WandB(sys.argv[2], init_timeout=0.1)]) as logger:
    logger.log_step(1, loss=1.0)
    logger.flush()
    counters = logger.counters()
print(counters["wandb"]["failed"], counters["metrics.jsonl"]["written"])
"""


@pytest.mark.parametrize("mode", ["online", "offline"])
def test_a_run_goes_on_without_a_wandb_that_does_not_start(tmp_path, mode):
    finished = run_offline(SLOW_START, tmp_path, mode)
    assert (finished.stdout, finished.returncode) == ("1 1\n", 0), finished.stderr
    (warning,) = [x for x in finished.stderr.splitlines() if "could not start" in x]
    assert "W&B could not start" in warning and "init_timeout=0.1" in warning
    assert "within 0.1 s" in warning and "goes on without W&B" in warning


DEAD_CORE = """
import psutil
from jaxmetrics import TrainingLogger
from jaxmetrics.writers import WandB, _wandb_run

with TrainingLogger("p", "run", root=sys.argv[1],
                    writers=[WandB("offline", every=1)], console=False) as logger:
    logger.log_step(1, loss=1.0)
    assert logger.flush()
    for process in psutil.Process().children(recursive=True):
        if "core" in process.name():
            process.kill()
            process.wait()
    for step in range(2, 20):
        logger.log_step(step, loss=1.0)
    logger.flush()
    counters = logger.counters()
    assert counters["wandb"]["failed"] == 3, counters
    assert counters["wandb"]["skipped"] == 14, counters  # step 2 waited for step 3
    assert counters["metrics.jsonl"]["written"] == 19, counters
    assert not logger.close(20.0)
print("closed")
"""


def test_a_dead_wandb_process_neither_raises_nor_hangs(tmp_path):
    finished = run_offline(DEAD_CORE, tmp_path)
    assert finished.stdout == "closed\n", finished.stderr
    assert finished.returncode == 0
    assert "Writer wandb failed" in finished.stderr


NO_CONNECTION = """
import os
from pathlib import Path
from support import wandb_file
from jaxmetrics.record import Record
from jaxmetrics.writers import WandB, _wandb_run

for name in ("no_key", "no_server"):
    if name == "no_server":
        os.environ["WANDB_API_KEY"] = "0" * 40
        os.environ["WANDB_BASE_URL"] = "http://127.0.0.1:9"
    path = Path(sys.argv[1]) / name
    path.mkdir()
    writer = WandB(init_timeout=1.0)
    writer.open(path, None)
    assert writer.write(Record(1, "train", {"train/loss": 1.0}, 0.0))
    writer.close()
    (file,) = path.glob("wandb/offline-run-*/*.wandb")
    (row,) = wandb_file.rows(file)
    assert row["train/loss"] == 1.0
    run_id = writer.state()["id"]
    assert f'"id":"{run_id}"' in (path / "wandb.json").read_text()
    print(run_id)
"""


def test_without_a_connection_a_run_is_offline_with_one_warning(tmp_path):
    finished = run_offline(NO_CONNECTION, tmp_path, HOME=str(tmp_path))
    assert finished.returncode == 0, finished.stderr
    warnings = [
        line for line in finished.stderr.splitlines() if "could not start" in line
    ]
    for warning, run_id in zip(warnings, finished.stdout.split(), strict=True):
        assert f"wandb sync --id {run_id} " in warning


def test_a_writer_without_a_run_refuses_records_and_closes():
    writer = WandB("offline")
    with pytest.raises(RuntimeError, match="no run"):
        writer.write(record(1, loss=1.0))
    writer.close()


PREEMPTED = """
import os, signal, sys
from jaxmetrics import TrainingLogger
from jaxmetrics.writers import WandB, _wandb_run
logger = TrainingLogger("p", "run", root=sys.argv[1],
    writers=[WandB("offline", every=1)], install_sigterm=len(sys.argv) > 2)
for step in range(1, 11):
    logger.log_step(step, loss=1.0)
assert logger.flush()
os.kill(os.getpid(), signal.SIGTERM)
logger.log_step(11, loss=1.0)
raise AssertionError("SIGTERM had no effect")
"""


@pytest.mark.parametrize("handled", [True, False])
def test_a_handled_sigterm_loses_no_row(tmp_path, handled):
    finished = run_offline(PREEMPTED, tmp_path, *["handled"] * handled)
    assert finished.returncode == -signal.SIGTERM, finished.stderr
    (file,) = run_files(tmp_path / "p" / "run")
    steps = [row["trainer/step"] for row in logged_rows(file)]
    assert steps == list(range(1, 12)) if handled else len(steps) < 10
