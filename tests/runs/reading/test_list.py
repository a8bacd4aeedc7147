"""A list of runs says of each what reading it whole would say."""

import dataclasses
import json
import math
import os
import time

import numpy as np
import pytest
from support.open_run import open_run
from support.runs import epoch, row, write_epochs, write_run

from jaxmetrics import TrainingLogger, runs
from jaxmetrics.record import (
    AppendFile,
    RunSummary,
    locked_inodes,
    read_progress,
    read_run_json,
    recent_level,
    write_run_json,
)
from jaxmetrics.runs.reading import Run, RunList, RunNotFoundError, _entry, _state
from jaxmetrics.runs.reading._where import Names

EVENTS = [{"event": "start"}, {"event": "close", "time": "2026-01-01T00:00:00+00:00"}]
LONG_AGO = 1_700_000_000.0


def make(root, name, rows=(), events=EVENTS, mtime=LONG_AGO, **header):
    """Write a run that was changed at a time; events without a close did not end."""
    folder = write_run(root / name, rows, events, **header)
    for path in folder.iterdir():
        os.utime(path, (mtime, mtime))
    return folder


def losses(*values, split="train"):
    return [
        row(n, split, **{f"{split}/loss": value}) for n, value in enumerate(values, 1)
    ]


@pytest.fixture
def sweep(tmp_path):
    for n, (rate, seed, loss) in enumerate(
        [(0.1, 0, 3.0), (0.1, 1, 1.0), (0.2, 0, 2.0)]
    ):
        hparams = {"opt": {"lr": rate}, "seed": seed, "total_steps": 4}
        rows = losses(5.0, loss)
        rows.append(row(2, "val", **{"val/accuracy": loss / 10}))
        make(tmp_path, f"sweep/r{n}", rows, hparams=hparams)
    return tmp_path


def logged(root, name="one", **options):
    """Write a run with a logger, and return its folder."""
    with TrainingLogger("p", name, root=root, console=False, **options) as logger:
        for step, loss in enumerate((3.0, 1.0, 2.0), 1):
            logger.log_step(step, loss=loss, lr=0.1)
        logger.log_step(2, split="val", loss=4.0)
        logger.ledger.event("alarm", kind="spike", key="train/loss")
    return logger.run_dir


def test_an_entry_says_what_the_summary_and_the_rows_after_it_say(tmp_path):
    folder = logged(tmp_path, hparams={"a": {"lr": 0.1}, "seed": 3, "layers": [1, 2]})
    with AppendFile(folder / "metrics.jsonl") as file:
        file.write_line('{"step":4,"split":"train","time":9.0,"train/loss":0.5}')
    with open(folder / "events.jsonl", "a") as file:
        file.write('{"event":"alarm","key":"train/loss"}\n')
    os.utime(folder / "metrics.jsonl", (LONG_AGO, LONG_AGO))
    (entry,) = runs.list(tmp_path)
    assert (entry.id, entry.project, entry.name) == ("p/one", "p", "one")
    assert (entry.state, entry.step, entry.elapsed) == ("closed", 4, 9.0)
    assert (entry.attempts, entry.alarms, entry.problem) == (1, 2, None)
    assert entry.updated == LONG_AGO and abs(entry.created - time.time()) < 3600
    assert entry.hparams == {"a.lr": 0.1, "seed": 3, "layers": "[1,2]"}
    assert entry.last == {"train/loss": 0.5, "lr/lr": 0.1, "val/loss": 4.0}
    assert entry.best == {"train/loss": (0.5, 4), "val/loss": (4.0, 2)}
    assert entry.chosen_by == ("val/loss", "min", 4.0, 4.0, 2, "best", 4.0)
    assert entry.recent == {"train/loss": 1.5}
    (folder / "summary.json").unlink()
    (again,) = runs.list(tmp_path)
    assert again == dataclasses.replace(entry, state="crashed")  # no close at the end


def test_only_the_rows_after_the_summary_are_read(tmp_path, monkeypatch):
    folder = logged(tmp_path)
    monkeypatch.setattr(_entry, "_MAX_BYTES", 10)
    (entry,) = runs.list(tmp_path)
    assert (entry.problem, entry.step) == (None, 3)
    (folder / "summary.json").unlink()
    (entry,) = runs.list(tmp_path)
    assert "are in no summary.json that fits" in entry.problem
    assert entry.step is None and entry.name == "one"


def test_values_that_the_summary_does_not_know_are_read(tmp_path):
    folder = make(tmp_path, "p/one", losses(3.0, 1.0, 2.0))
    summary = RunSummary(folder)
    summary.values.cut_after(1)
    for state in ("running", "closed"):
        summary.write({}, state)
        # Once the run is closed, its summary knows them, and no list reads them again.
        assert read_progress(folder).values.has_unknown == (state == "running")
        (entry,) = runs.list(tmp_path)
        assert entry.best == {"train/loss": (1.0, 2)}
        assert entry.last == {"train/loss": 2.0}
    assert entry.state == "closed"


@pytest.mark.parametrize("form", ["written", "earlier version", "without a summary"])
def test_without_an_evaluation_one_lucky_batch_does_not_make_a_run_the_best(
    tmp_path, form
):
    for name, level, lucky in (("good", 1.0, 1.0), ("lucky", 2.0, 0.1)):
        with TrainingLogger("p", name, root=tmp_path, console=False) as logger:
            for step in range(40):
                logger.log_step(step, loss=lucky if step == 35 else level)
        path = logger.run_dir / "summary.json"
        summary = json.loads(path.read_text())
        assert summary.pop("recent")["train/loss"]["values"][-1] == level
        if form == "earlier version":
            path.write_text(json.dumps(summary))
        elif form == "without a summary":
            path.unlink()
    listed = runs.list(tmp_path, sort="recent(train/loss)")
    assert [entry.name for entry in listed] == ["good", "lucky"]
    assert [entry.chosen_by[-2:] for entry in listed] == [
        ("recent", 1.0),
        ("recent", 2.0),
    ]
    names, rows = listed.table()
    assert names[2] == "recent train/loss" and [row[2] for row in rows] == ["1", "2"]
    assert [e.name for e in runs.list(tmp_path, "recent(train/loss) > 1.5")] == [
        "lucky"
    ]
    assert runs.compare([tmp_path / "p"]).ranked() == ["good", "lucky"]
    with pytest.raises(KeyError, match="which no run has; similar names are train"):
        runs.list(tmp_path, sort="recent(train/los)")


def test_the_level_of_a_run_that_was_killed_and_resumed_is_that_of_its_record(tmp_path):
    def level():
        (entry,) = runs.list(tmp_path)
        steps, values = Run.load(tmp_path / "p" / "r")["train/loss"]
        assert entry.recent["train/loss"] == recent_level(steps, values).median
        return entry.recent["train/loss"]

    def log(logger, first, last, loss):
        for step in range(first, last):
            logger.log_step(step, loss=loss + step % 2)
        logger.flush()

    options = {"root": tmp_path, "console": False}
    with TrainingLogger("p", "r", **options) as logger:
        log(logger, 1, 300, 5.0)
        state = logger.state()
        log(logger, 300, 600, 1.0)  # lost: logged after the state was taken
        assert level() == 1.5
    with TrainingLogger("p", "r", **options) as logger:
        logger.load_state(state)
        log(logger, 300, 310, 3.0)
        assert level() == 4.0


class TestState:
    def test_a_run_whose_lock_is_held_is_running_and_then_closed(self, tmp_path):
        logger = TrainingLogger("p", "one", root=tmp_path, console=False)
        logger.log_step(1, loss=1.0)
        logger.flush()
        os.utime(logger.run_dir / "metrics.jsonl", (LONG_AGO, LONG_AGO))
        assert runs.list(tmp_path)[0].state == "running"
        logger.close()
        assert runs.list(tmp_path)[0].state == "closed"
        logger = TrainingLogger("p", "one", root=tmp_path, console=False)
        assert runs.list(tmp_path)[0].state == "running"
        logger.close()

    @pytest.mark.parametrize(
        ("loss", "events", "age", "state"),
        [
            (1.0, EVENTS, 0, "closed"),
            (1.0, EVENTS[:1], 60, "running"),
            (1.0, EVENTS[:1], 3600, "crashed"),
            (1.0, [], 3600, "crashed"),
            ("NaN", EVENTS, 0, "diverged"),
            ("Infinity", EVENTS[:1], 60, "diverged"),
        ],
    )
    def test_without_a_lock_events_and_the_last_change_decide(
        self, tmp_path, loss, events, age, state
    ):
        make(tmp_path, "p/one", losses(1.0, loss), events, time.time() - age)
        assert runs.list(tmp_path)[0].state == state

    def test_a_run_is_crashed_as_soon_as_its_process_is_killed(self, tmp_path):
        with open_run(tmp_path):
            assert runs.list(tmp_path)[0].state == "running"
        assert runs.list(tmp_path)[0].state == "crashed"

    @pytest.mark.parametrize("scope", ["another machine", None])
    def test_a_lock_that_is_not_seen_says_nothing(self, tmp_path, scope):
        with open_run(tmp_path):
            pass
        run = read_run_json(tmp_path / "p/one")
        run["attempts"][-1]["lock_scope"] = scope
        write_run_json(tmp_path / "p/one", run)
        assert runs.list(tmp_path)[0].state == "running"
        hour_ago = time.time() - 3600
        os.utime(tmp_path / "p/one/metrics.jsonl", (hour_ago, hour_ago))
        assert runs.list(tmp_path)[0].state == "crashed"

    def test_a_run_that_opens_or_closes_meanwhile_is_not_crashed(
        self, tmp_path, monkeypatch
    ):
        logger = TrainingLogger("p", "one", root=tmp_path, console=False)
        logger.log_step(1, loss=1.0)
        logger.flush()
        summary = (logger.run_dir / "summary.json").read_bytes()
        seen = iter([frozenset(), locked_inodes()])
        monkeypatch.setattr(_state, "locked_inodes", lambda: next(seen))
        assert runs.list(tmp_path)[0].state == "running"
        monkeypatch.undo()
        logger.close()
        (logger.run_dir / "summary.json").write_bytes(summary)
        assert runs.list(tmp_path)[0].state == "closed"

    def test_a_mirror_has_no_lock(self, tmp_path):
        root, mirror = tmp_path / "runs", tmp_path / "mirror"
        logger = TrainingLogger("p", "one", root=root, console=False, mirror=mirror)
        logger.log_step(1, loss=1.0)
        logger.state()
        assert logger.wait_for_mirror(60)
        assert runs.list(mirror)[0].state == "running"
        logger.close()

    def test_a_spike_that_is_over_is_no_divergence(self, tmp_path):
        make(tmp_path, "p/one", losses("NaN", 1.0))
        assert runs.list(tmp_path)[0].state == "closed"


@pytest.mark.parametrize(
    ("hparams", "total"),
    [
        ({"steps": 50, "total_steps": 200}, 200),
        ({"train": {"max_steps": 200}, "eval": {"max_steps": 5}}, 200),
        ({"a": {"train": {"num_steps": 5}}, "Train_cfg": {"num_steps": 200}}, 200),
        ({"eval": {"num_steps": 5}, "train": {"num_steps": 200}}, 200),
        ({"optimizer": {"schedule": {"steps": 10}}, "ode": {"max_steps": 9}}, None),
        ({"eval_cfg": {"total_steps": 5}, "schedule": {"total_steps": 200}}, 200),
        ({"num_steps": "many", "x": {"train_steps": 200.0}}, 200),
        ({"warmup_steps": 10, "steps": True}, None),
        ({"steps": 0}, None),
        ({"steps": 2.0**63, "train": {"steps": 200}}, 200),
    ],
)
def test_progress_follows_from_the_usual_names(tmp_path, hparams, total):
    folder = make(tmp_path, "p/one", losses(*[1.0] * 50), [], time.time())
    (folder / "run.json").write_text(json.dumps({"hparams": hparams}))
    (entry,) = runs.list(tmp_path)
    assert entry.total_steps == total
    assert entry.progress == (0.25 if total else None)
    assert entry.time_left == (300.0 if total else None)  # of 100 seconds so far


def test_only_a_running_run_has_time_left(sweep):
    entry = runs.list(sweep)[0]
    assert (entry.progress, entry.time_left) == (0.5, None)


def test_runs_that_differ_in_their_seed_have_one_group(sweep):
    make(sweep, "other/r0", losses(1.0), hparams={"opt": {"lr": 0.1}, "seed": 0})
    groups = [entry.group for entry in runs.list(sweep)]
    assert groups == ["other/r0", "sweep: lr=0.1", "sweep: lr=0.1", "sweep: lr=0.2"]


@pytest.fixture
def diverging(tmp_path):
    """Three runs, of which the one with the best evaluations diverges after them."""
    for name, rate, values, train in [
        ("lost", 1.0, (0.1, 0.2), "NaN"),
        ("early", 0.1, (0.3, 0.9), 1.0),
        ("late", 0.2, (0.5, 0.4), 1.0),
        ("low", 0.3, (0.8, 0.7), 1.0),
    ]:
        rows = [*losses(*values, split="val"), row(9, **{"train/loss": train})]
        rows.append(row(9, "val", **{"val/accuracy": 0.9 if name == "lost" else 0.5}))
        make(tmp_path, f"p/{name}", rows, hparams={"lr": rate}, run_name=name)
    make(tmp_path, "p/none", [row(1, **{"train/loss": 2.0})], run_name="none")
    return tmp_path


def test_runs_that_diverged_are_last_in_every_order_of_a_metric(diverging):
    def names(sort):
        return [entry.name for entry in runs.list(diverging, sort=sort)]

    assert names("val/loss") == ["early", "late", "low", "none", "lost"]
    assert names("best(val/loss)") == names("val/loss")
    assert names("-val/loss") == ["low", "late", "early", "none", "lost"]
    assert names("last(val/loss)") == ["late", "low", "early", "none", "lost"]
    assert names("val/accuracy")[-1] == names("train/loss")[-1] == "lost"
    assert names("lr")[-2:] == ["lost", "none"]  # a configuration compares
    comparison = runs.compare([diverging / "p"], target={"val/loss": 0.35})
    assert comparison.ranked() == names("val/loss")
    for sort in ("val/loss", "-val/loss", "last(val/loss)"):
        assert runs.compare([diverging / "p"], sort=sort).ranked() == names(sort)
    (relation,) = comparison.relations
    assert relation.runs == 3 and "1.0" not in relation.means
    text = comparison.to_markdown()
    assert "1 run that diverged is last" in text
    assert "left out, and 1 run that diverged." in text and "1, diverged" in text


def test_the_order_is_told_and_agrees_with_the_column(diverging):
    listed = runs.list(diverging, sort="val/loss")
    assert listed.order_note == (
        "Sorted by best val/loss, lower first; 1 run that diverged is last."
    )
    names, rows = listed.table()
    column = [row[names.index("best val/loss")] for row in rows]
    assert column == ["0.3", "0.4", "0.7", "–", "0.1"]
    assert names.count("best val/loss") == 1
    assert listed[:1].order_note == "Sorted by best val/loss, lower first."
    assert listed.where("lr < 0.25").order_note == listed[:1].order_note
    assert runs.list(diverging).order_note == ""
    for sort, column in (("val/accuracy", "best val/accuracy"), ("alarms", "alarms")):
        names, rows = runs.list(diverging, sort=sort).table()
        assert names[4] == column and all(len(row) == len(names) for row in rows)


def test_given_directions_decide_on_best_values_and_orders(diverging):
    listed = runs.list(diverging, sort="val/loss", better={"val/loss": "max"})
    assert [entry.name for entry in listed] == ["early", "low", "late", "none", "lost"]
    assert listed[0].best["val/loss"] == (0.9, 2)
    assert listed.better["val/loss"] == "max"
    assert listed.order_note.startswith("Sorted by best val/loss, higher first")
    ranked = runs.compare([diverging / "p"], better={"val/loss": "max"}).ranked()
    assert ranked == [entry.name for entry in listed]
    with pytest.raises(ValueError, match="expected 'min' or"):
        runs.list(diverging, better={"val/loss": "up"})
    with pytest.raises(KeyError, match="similar names are val/loss"):
        runs.list(diverging, better={"val/los": "max"})


def test_runs_are_selected_and_sorted(sweep):
    make(sweep, "sweep/empty", [])
    listed = runs.list(sweep, where="lr < 0.15", sort="train/loss")
    assert [entry.name for entry in listed] == ["r1", "r0"]
    names = {
        "val/accuracy": ["r0", "r2", "r1", "empty"],  # higher is better
        "`val/accuracy`": ["r0", "r2", "r1", "empty"],
        "best(`val/accuracy`)": ["r0", "r2", "r1", "empty"],
        "-val/accuracy": ["r1", "r2", "r0", "empty"],
        "best(train/loss)": ["r1", "r2", "r0", "empty"],
        "-name": ["r2", "r1", "r0", "empty"],
        "-lr": ["r2", "r0", "r1", "empty"],
    }
    for sort, expected in names.items():
        assert [entry.name for entry in runs.list(sweep, sort=sort)] == expected
    with pytest.raises(KeyError, match="similar names are seed"):
        runs.list(sweep, where="sead == 1")


def test_a_root_may_be_a_project_or_a_run(sweep):
    for root, count in ((sweep, 3), (sweep / "sweep", 3), (sweep / "sweep/r1", 1)):
        listed = runs.list(root)
        assert len(listed) == count
        assert {entry.project for entry in listed} == {"sweep"}
        assert "sweep/r1" in [entry.id for entry in listed]


def test_an_empty_root_has_no_runs_and_a_missing_one_is_an_error(tmp_path):
    assert list(runs.list(tmp_path, where="lr > 1", sort="val/loss")) == []
    assert "0 runs" in runs.list(tmp_path)._repr_html_()
    with pytest.raises(RunNotFoundError, match="There is no folder"):
        runs.list(tmp_path / "none")


def test_damaged_runs_are_rows_with_a_problem(sweep):
    (make(sweep, "sweep/a") / "run.json").write_text("{")
    make(sweep, "sweep/b", [*losses(1.0), "no json"])
    (make(sweep, "sweep/c") / "metrics.jsonl").unlink()
    (sweep / "sweep/c/metrics.jsonl").symlink_to("/dev/zero")
    folder = make(sweep, "sweep/d", losses(1.0))
    (folder / "events.jsonl").unlink()
    (folder / "events.jsonl").mkdir()
    (folder / "summary.json").write_text('{"position": 3, "last": []}')
    entries = {entry.name: entry for entry in runs.list(sweep)}
    assert (entries["a"].alarms, entries["a"].attempts) == (0, 0)
    problems = {name: entry.problem for name, entry in entries.items()}
    assert problems.pop("a").startswith("run.json: ")
    assert problems.pop("b") == "1 line is damaged in metrics.jsonl"
    assert problems.pop("c").startswith("metrics.jsonl: it is not a regular file, ")
    assert problems == dict.fromkeys(("d", "r0", "r1", "r2"))


def test_epochs_and_mirrored_runs_are_listed(tmp_path):
    root, mirror = tmp_path / "runs", tmp_path / "mirror"
    write_epochs(root / "p/epochs", epoch(0, 2.0), epoch(1, 1.0), config={"lr": 0.5})
    logged(tmp_path / "local", mirror=mirror)
    (entry,) = runs.list(root)
    assert (entry.step, entry.best["train/loss"]) == (1, (1.0, 1))
    assert entry.attempts == 1  # though nothing counts them
    assert entry.state is None and runs.list(root).table()[1][0][1] == "–"
    (entry,) = runs.list(mirror)
    assert (entry.id, entry.state, entry.step) == ("p/one", "closed", 3)
    assert entry.path == str(mirror / "p/one") and entry.problem is None
    assert entry.best["train/loss"] == (1.0, 2)
    assert abs(entry.updated - time.time()) < 3600


def test_a_list_is_a_sequence_with_a_table_json_and_a_data_frame(sweep):
    listed = runs.list(sweep)
    assert [entry.name for entry in listed[1:]] == ["r1", "r2"]
    assert listed[-1].name == "r2" and len(listed[:2]) == 2
    rows = json.loads(listed.to_json())
    assert rows[0]["best"]["train/loss"] == {"value": 3.0, "step": 2}
    assert rows[0]["chosen_by"]["key"] == "val/accuracy"
    frame = listed.to_pandas()
    assert frame["hparams.opt.lr"].tolist() == [0.1, 0.1, 0.2]
    assert frame["best(train/loss)"].tolist() == [3.0, 1.0, 2.0]
    assert frame["val/accuracy"].tolist() == [0.3, 0.1, 0.2]
    html = listed._repr_html_()
    assert "3 runs in" in html and "best val/accuracy" in html
    assert listed.better == {"train/loss": "min", "val/accuracy": "max"}
    assert listed.varied == ["opt.lr", "seed"]


def list_of(*configurations, **fields):
    entries = [
        runs.RunEntry(f"p/{n}", "", "p", str(n), hparams=hparams, **fields)
        for n, hparams in enumerate(configurations)
    ]
    return RunList("runs", entries, Names.of(entries))


def test_a_notebook_shows_fifty_runs_and_the_number_of_the_others():
    assert "more" not in list_of(*[{}] * 50)._repr_html_()
    html = list_of(*[{}] * 1051)._repr_html_()
    assert "and 1,001 more" in html and "p/49" in html and "p/50" not in html


def test_a_table_has_the_first_six_short_values_that_differ():
    first = {"opt.lr": 0.25, "text": "x" * 24, "long": "x", **dict.fromkeys("abcde", 1)}
    second = {"text": None, "long": "x" * 25, **dict.fromkeys("abcde", 2)}
    names, rows = list_of(first, second).table()
    assert names[4:] == ["lr", "text", "a", "b", "c", "d"]
    assert [row[4:6] for row in rows] == [["0.25", "x" * 24], ["–", "–"]]
    nested = list_of({"a.lr": 1, "b.lr": math.inf}, {"a.lr": 2, "b.lr": "auto"})
    names, rows = nested.table()
    assert names[4:] == ["a.lr", "b.lr"]
    assert [row[4:] for row in rows] == [["1", "inf"], ["2", "auto"]]


def test_a_table_has_the_best_and_last_values_by_which_most_runs_are_judged(sweep):
    make(sweep, "sweep/r3", losses(0.25), hparams={"seed": 0})
    names, rows = runs.list(sweep).table()
    assert names[2:4] == ["best val/accuracy", "last val/accuracy"]
    assert [row[2:4] for row in rows] == [["0.3"] * 2, ["0.1"] * 2, ["0.2"] * 2] + [
        ["–", "–"]
    ]


def test_a_frame_has_a_key_with_the_name_of_a_field_under_another_name(tmp_path):
    make(tmp_path, "p/one", [{**losses(1.0)[0], "state": 7.0}])
    frame = runs.list(tmp_path).to_pandas()
    assert frame["state"].tolist() == ["closed"] and frame["state (2)"].tolist() == [7]


def test_a_table_shows_the_progress_of_a_running_run():
    fields = dict(step=1500, total_steps=6000, elapsed=90.0)
    for state, step in (("running", "1,500 (25%)"), ("closed", "1,500")):
        ((_, shown, *values),) = list_of({}, state=state, **fields).table()[1]
        assert (shown, values) == (state, [step, "1m30s"])
    assert list_of({}).table() == (
        ["run", "state", "step", "training time"],
        [["p/0", "crashed", "–", "–"]],
    )
    listed = list_of({}, state="closed", problem="torn").where("state == 'damaged'")
    ((_, shown, *_),) = listed.table()[1]
    assert shown == "damaged"


def test_texts_of_a_run_are_shown_as_text(tmp_path):
    make(tmp_path, "p/one", losses(math.e), hparams={"a": "<b>"}, run_name="<i>x")
    make(tmp_path, "p/two", losses(math.e), hparams={"a": "c"})
    html = runs.list(tmp_path)._repr_html_()
    assert "<b>" not in html and "&lt;b&gt;" in html


def test_links_to_themselves_and_to_folders_are_told_apart(tmp_path):
    make(tmp_path, "p/one", losses(1.0))
    (tmp_path / "p" / "loop").symlink_to("loop")
    (tmp_path / "p" / "nowhere").symlink_to("missing")
    (tmp_path / "p" / "two").symlink_to("one")
    assert [entry.id for entry in runs.list(tmp_path)] == ["p/one", "p/two"]


def test_a_secret_in_one_run_of_many_is_not_shown(tmp_path):
    for name, note in (("a", "fine"), ("b", "hf_abcdefghijklmnopqrst")):
        make(tmp_path, f"p/{name}", losses(1.0), hparams={"note": note, "lr": 0.1})
    notes = [entry.hparams["note"] for entry in runs.list(tmp_path)]
    assert notes == ["fine", "<redacted>"]


def test_a_run_in_memory_is_listed_as_its_record(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    rows = [
        row(n, **{"train/loss": rng.normal() / n, "lr/lr": rng.integers(9) / 8})
        for n in range(1, 700)
    ]
    rows[5]["train/loss"] = rows[-2]["train/loss"] = "NaN"
    rows += [row(n, "val", **{"val/f1": rng.integers(5) / 4}) for n in (99, 400, 600)]
    rows += [row(n, **{"train/loss": -float(n)}) for n in (640, 641)]  # logged again
    rows += ["damaged", row(650, "val", **{"val/f1": "Infinity", "wers": 0.5})]
    path = make(tmp_path, "p/one", rows, better={"wers": "max"})
    with pytest.warns(UserWarning):
        run = Run.load(path, errors="skip")
    monkeypatch.setattr(_entry, "_FEW_BYTES", 0)
    reader = _entry.EntryReader(time.time())
    entry = reader.read(path, ("p", "one"))
    monkeypatch.setattr(_entry, "_MAX_BYTES", 0)  # the record is not read again
    of_run = reader.read(path, ("p", "one"), run)
    assert of_run.to_dict() == entry.to_dict() and entry.recent
