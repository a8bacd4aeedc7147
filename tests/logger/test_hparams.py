"""The configuration of a run, in every file and writer that shows it."""

import argparse
import collections
import dataclasses
import json
import math
import os
from pathlib import Path

import jax.numpy as jnp
import pytest
from support import wandb_file
from support.processes import run_python
from tensorboard import context
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.plugin_event_multiplexer import (
    EventMultiplexer,
)
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.hparams import api_pb2, backend_context, list_session_groups

from jaxmetrics import Run, TrainingLogger
from jaxmetrics.interop.clu import metric_writer
from jaxmetrics.record import Media, _run_json, hparams_of
from jaxmetrics.writers import CSV, JSONL, Memory, TensorBoard
from jaxmetrics.writers._wandb_rows import WandbRows


def in_run_json(run_dir):
    return hparams_of(json.loads((run_dir / "run.json").read_text()))


def by_attempt(run_dir):
    run = json.loads((run_dir / "run.json").read_text())
    return [attempt["hparams"] for attempt in run["attempts"]]


def in_tensorboard(run_dir):
    """Return what TensorBoard's page of hyperparameters lists, by run."""
    events = EventMultiplexer()
    events.AddRunsFromDirectory(str(run_dir))
    events.Reload()
    provider = MultiplexerDataProvider(events, str(run_dir))
    response = list_session_groups.Handler(
        context.RequestContext(),
        backend_context.Context(TBContext(data_provider=provider)),
        "",
        api_pb2.ListSessionGroupsRequest(
            slice_size=10, allowed_statuses=api_pb2.Status.values()
        ),
    ).run()
    return {
        group.name: {
            name: getattr(value, value.WhichOneof("kind"))
            for name, value in group.hparams.items()
        }
        for group in response.session_groups
    }


def tables_in_tensorboard(run_dir):
    events = EventAccumulator(str(run_dir / "tensorboard")).Reload()
    tag = "hparams/text_summary"
    if tag not in events.Tags()["tensors"]:
        return []
    return [
        (event.step, event.tensor_proto.string_val[0].decode())
        for event in events.Tensors(tag)
    ]


def body_of(text):
    """Return the lines of a table below its head."""
    return text.splitlines()[2:]


@pytest.fixture
def make(tmp_path):
    """Create loggers of one run."""

    def make(*writers, **options):
        return TrainingLogger("p", "run", root=tmp_path, writers=writers, **options)

    return make


SESSION = """
import sys, types
from jaxmetrics import TrainingLogger
from jaxmetrics.interop.clu import metric_writer
from jaxmetrics.writers import JSONL, TensorBoard, WandB

def make(name, **options):
    writers = [JSONL(), TensorBoard(), WandB("offline", every=1)]
    return TrainingLogger("p", name, root=sys.argv[1], writers=writers, **options)

HPARAMS = {"lr": 0.1, "model": {"layers": 2}, "api_key": "hush"}
with make("initial", hparams=HPARAMS) as logger:
    logger.log_step(1, loss=1.0)
with make("later") as logger:
    logger.log_step(1, loss=1.0)
    logger.log_hparams(HPARAMS)
with make("clu") as logger:
    writer = metric_writer(logger)
    writer.write_hparams(HPARAMS)
    writer.write_scalars(1, {"loss": 1.0})
with make("added", hparams={"lr": 0.1, "layers": 2}) as logger:
    logger.log_step(7, loss=1.0)
    logger.log_hparams({"layers": 3, "hf_token": "hush"})
"""


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    """Return the folder of runs that were configured in different ways."""
    root = tmp_path_factory.mktemp("runs")
    clean = {k: v for k, v in os.environ.items() if not k.startswith("WANDB_")}
    done = run_python(SESSION, root, env=clean)
    assert done.returncode == 0, done.stderr
    return root / "p"


def in_wandb(run_dir):
    """Return the configuration in a run's offline file, with all updates."""
    (file,) = run_dir.glob("wandb/offline-run-*/*.wandb")
    config = {}
    for record in wandb_file.records(file):
        kind = record.WhichOneof("record_type")
        if kind == "run":
            config |= wandb_file.items(record.run.config.update)
        elif kind == "config":
            config |= wandb_file.items(record.config.update)
    config.pop("_wandb")
    return config


@pytest.mark.parametrize("name", ["initial", "later", "clu"])
def test_a_configuration_is_the_same_everywhere_whenever_it_is_logged(session, name):
    run_dir = session / name
    hparams = {"lr": 0.1, "model": {"layers": 2}, "api_key": "<redacted>"}
    assert (
        in_run_json(run_dir) == Run.load(run_dir).config == in_wandb(run_dir) == hparams
    )
    flat = {"lr": 0.1, "model/layers": 2.0, "api_key": "<redacted>"}
    assert in_tensorboard(run_dir) == {"tensorboard": flat}
    assert tables_in_tensorboard(run_dir) == []


def test_added_values_are_shown_too(session):
    run_dir = session / "added"
    hparams = {"lr": 0.1, "layers": 3, "hf_token": "<redacted>"}
    assert in_run_json(run_dir) == in_wandb(run_dir) == hparams
    assert in_tensorboard(run_dir) == {"tensorboard": {"lr": 0.1, "layers": 2.0}}
    ((step, table),) = tables_in_tensorboard(run_dir)
    assert step == 7
    assert body_of(table) == [
        "| lr | 0.1 |",
        "| layers | 3 |",
        "| hf_token | <redacted> |",
    ]


def test_no_file_holds_a_secret_of_a_configuration(session):
    for file in session.rglob("*"):
        assert not file.is_file() or b"hush" not in file.read_bytes(), file


@dataclasses.dataclass
class Configuration:
    lr: float = 0.1
    folder: Path = Path("data")


@pytest.mark.parametrize(
    "hparams", [Configuration(), argparse.Namespace(lr=0.1, folder=Path("data"))]
)
def test_a_dataclass_and_a_namespace_are_configurations(make, hparams):
    memory = Memory()
    with make(memory) as logger:
        logger.log_hparams(hparams)
    (record,) = memory.records
    assert isinstance(record, Media) and record.kind == "hparams"
    assert record.values == in_run_json(logger.run_dir) == {"lr": 0.1, "folder": "data"}


@pytest.mark.parametrize("hparams", [0.1, ["lr"], None, "lr"])
def test_a_value_without_names_is_refused(make, hparams):
    with make() as logger, pytest.raises(TypeError, match="expected a mapping"):
        logger.log_hparams(hparams)


class Private:
    def __init__(self):
        self._lr = 0.1


class Broken(collections.UserDict):
    def keys(self):
        raise RuntimeError("not ready")


@pytest.mark.parametrize("hparams", [Private(), Broken(), Private])
def test_an_unreadable_configuration_is_named_and_loses_nothing_else(
    make, hparams, caplog
):
    memory = Memory()
    with make(memory, hparams=hparams) as logger:
        (warned,) = caplog.messages
        assert type(hparams).__name__ in warned and "Pass a mapping" in warned
        with pytest.raises(
            TypeError, match=f"got a {type(hparams).__name__}, of which"
        ):
            logger.log_hparams(hparams)
        logger.log_hparams({"lr": 0.1, "nested": hparams})
        logger.log_step(1, loss=1.0)
    config = in_run_json(logger.run_dir)
    assert config.keys() == {"hparams", "lr", "nested"} and config["lr"] == 0.1
    assert [record.values for record in memory.records][1] == {"train/loss": 1.0}


def test_values_that_cannot_be_recorded_are_one_warning(make, caplog):
    memory = Memory()
    with make(memory, hparams={"lr": 0.1, "a": Private(), "b": Private()}) as logger:
        assert len(caplog.messages) == 1
        logger.log_hparams({"width": 3, "c": {"d": Private()}})
    first, second = caplog.messages
    assert f"a (a {__name__}.Private), b (a {__name__}.Private)" in first
    assert f"c.d (a {__name__}.Private)" in second
    assert memory.records[0].values["width"] == 3


def test_a_configuration_of_any_size_leaves_a_run_that_can_be_continued(make, caplog):
    prompts = ["x " * 2500] * 500
    logger = make(hparams={"prompts": prompts, "lr": 0.1})
    logger.log_hparams(prompts=prompts)
    with pytest.warns(UserWarning, match="texts of more than") as caught:
        logger.describe(notes=prompts)
        logger.ledger.event("notes", notes=prompts)
    assert len(caught) == 2
    assert logger.close()
    assert caplog.text.count("texts of more than 2,097,152 bytes") == 2
    assert Run.load(logger.run_dir).config["lr"] == 0.1


def test_what_run_json_has_no_room_for_is_left_out(make, monkeypatch, caplog):
    logger = make(hparams={"lr": 0.1})
    monkeypatch.setattr(_run_json, "WHOLE_LIMIT", 3000)
    logger.log_hparams(text="x" * 3000)
    logger.log_hparams(width=8)
    assert caplog.text.count("The last addition to run.json is left out") == 1
    assert logger.close()
    assert make(hparams={"text": "y" * 3000}).close()
    assert "The configuration of this attempt is left out" in caplog.text
    assert Run.load(logger.run_dir).config == {"lr": 0.1, "width": 8}


def test_writers_get_the_values_that_run_json_has(make):
    memory = Memory()
    with make(memory) as logger:
        logger.log_hparams({"limit": math.inf, "seed": 2**70, 1: (2, 3)})
    values = {"limit": "Infinity", "seed": str(2**70), "1": [2, 3]}
    assert memory.records[0].values == in_run_json(logger.run_dir) == values


def test_each_attempt_keeps_its_configuration_and_the_run_has_their_union(make, caplog):
    with make(hparams={"lr": 0.1, "model": {"layers": 2}, "seed": 1}) as logger:
        logger.log_hparams({"parameters": 5})
    with make(hparams={"lr": 0.2, "model": {"layers": 2}, "clip": 1.0}) as logger:
        pass
    with make() as logger:
        pass
    with make(hparams={"lr": 0.2}) as logger:
        logger.log_hparams({"parameters": 6})
        logger.log_hparams({"parameters": 6, "lr": 0.2})
    assert by_attempt(logger.run_dir) == [
        {"lr": 0.1, "model": {"layers": 2}, "seed": 1, "parameters": 5},
        {"lr": 0.2, "model": {"layers": 2}, "clip": 1.0},
        {},
        {"lr": 0.2, "parameters": 6},
    ]
    union = {"lr": 0.2, "model": {"layers": 2}, "seed": 1, "parameters": 6, "clip": 1.0}
    assert Run.load(logger.run_dir).config == union
    changes = [
        f"Attempt 2 of {logger.run_dir} has another configuration than those before: "
        "lr from 0.1 to 0.2, clip to 1.0 (not set before). run.json keeps both.",
        f"Attempt 4 of {logger.run_dir} has another configuration than those before: "
        "parameters from 5 to 6. run.json keeps both.",
    ]
    assert caplog.messages == changes


@pytest.mark.parametrize(
    "hparams", [{"lr": math.nan}, {"set": {"a", "b", "c"}, "type": jnp.bfloat16}]
)
def test_the_same_configuration_is_no_change(make, caplog, hparams):
    for _ in range(2):
        with make(hparams=hparams) as logger:
            logger.log_hparams(hparams)
    assert by_attempt(logger.run_dir)[0] == by_attempt(logger.run_dir)[1]
    assert not caplog.messages


def test_writers_of_a_later_attempt_get_the_union(make):
    with make(hparams={"lr": 0.1, "width": 2}):
        pass
    with make(TensorBoard(), hparams={"lr": 0.2}) as logger:
        logger.log_step(1, loss=1.0)
    assert in_tensorboard(logger.run_dir) == {"tensorboard": {"lr": 0.2, "width": 2.0}}


@pytest.mark.parametrize("attempts", [[], [{"attempt": 1}, {"attempt": 2}]])
def test_a_configuration_of_schema_1_is_continued(make, tmp_path, attempts, caplog):
    run_dir = tmp_path / "p" / "run"
    run_dir.mkdir(parents=True)
    old = {"lr": 0.1, "width": 2}
    run = {"schema": 1, "run_id": "a", "hparams": old, "attempts": attempts}
    (run_dir / "run.json").write_text(json.dumps(run))
    assert Run.load(run_dir).config == old
    with make(hparams={"lr": 0.2}) as logger:
        pass
    assert by_attempt_or_none(logger.run_dir)[-2:] == [old, {"lr": 0.2}]
    assert Run.load(run_dir).config == {"lr": 0.2, "width": 2}
    assert "lr from 0.1 to 0.2" in caplog.text


def by_attempt_or_none(run_dir):
    run = json.loads((run_dir / "run.json").read_text())
    assert run["schema"] == 2 and "hparams" not in run
    return [attempt.get("hparams") for attempt in run["attempts"]]


def test_an_initial_configuration_without_names_is_kept(make):
    with make(TensorBoard(), hparams=[1, 2]) as logger:
        logger.log_hparams({"lr": 0.1})
    assert in_run_json(logger.run_dir) == {"hparams": [1, 2], "lr": 0.1}
    assert in_tensorboard(logger.run_dir) == {"tensorboard": {"hparams": "[1,2]"}}
    ((_, table),) = tables_in_tensorboard(logger.run_dir)
    assert body_of(table) == ["| hparams | [1,2] |", "| lr | 0.1 |"]


def test_keys_rename_and_every_do_not_apply_to_a_configuration(make):
    memory = Memory(keys="val/*", rename={"lr": "x"}, every=10)
    with make(memory) as logger:
        logger.log_hparams({"lr": 0.1})
    assert [record.values for record in memory.records] == [{"lr": 0.1}]


def test_files_of_rows_do_not_hold_a_configuration(make):
    with make(JSONL(), CSV()) as logger:
        logger.log_step(1, loss=1.0)
        logger.log_hparams({"lr": 0.1})
    assert b"lr" not in (logger.run_dir / "metrics.jsonl").read_bytes()
    assert len(Run.load(logger.run_dir)) == 1


def test_a_configuration_is_not_among_latest_values(make):
    with make(Memory()) as logger:
        logger.log_step(1, loss=1.0)
        logger.log_hparams({"lr": 0.1})
        logger.log_step(1, accuracy=0.5)
        assert logger.flush()
        assert logger.latest() == {"train/loss": 1.0, "train/accuracy": 0.5}


def test_a_restarted_run_that_logs_the_same_configuration_repeats_nothing(make):
    for _ in range(3):
        with make(TensorBoard()) as logger:
            logger.log_hparams({"lr": 0.1})
    assert in_tensorboard(logger.run_dir) == {"tensorboard": {"lr": 0.1}}
    assert tables_in_tensorboard(logger.run_dir) == []


def test_a_restore_keeps_a_configuration_logged_later(make):
    with make(TensorBoard()) as logger:
        logger.log_step(1, loss=1.0)
        state = logger.state()
        logger.log_hparams({"lr": 0.1})
        logger.flush()
        logger.load_state(state)
        logger.log_step(2, loss=1.0)
    assert in_run_json(logger.run_dir) == {"lr": 0.1}
    assert in_tensorboard(logger.run_dir) == {"tensorboard": {"lr": 0.1}}


def test_a_full_disk_under_run_json_stops_neither_writers_nor_training(
    make, monkeypatch, caplog
):
    def full(*_):
        raise OSError("disk full")

    memory = Memory()
    with make(memory) as logger:
        monkeypatch.setattr("jaxmetrics.logger._run_directory.edit_run_json", full)
        logger.log_hparams({"lr": 0.1})
        monkeypatch.undo()
    assert "cannot be written (disk full)" in caplog.text
    assert len(memory.records) == 1
    assert in_run_json(logger.run_dir) == {"lr": 0.1}  # written at the close


@pytest.mark.parametrize("content", [None, b"{"])
def test_a_lost_or_damaged_run_json_stops_no_training(make, content, caplog):
    memory = Memory()
    with make(memory) as logger:
        file = logger.run_dir / "run.json"
        file.unlink() if content is None else file.write_bytes(content)
        logger.log_hparams({"lr": 0.1})
    assert memory.records[0].values == {"lr": 0.1}
    if content is None:  # written anew, so that the run can be continued
        with make() as again:
            assert again.run_dir == logger.run_dir
        assert Run.load(logger.run_dir).config == {"lr": 0.1}
    else:
        assert "cannot be written" in caplog.text


def test_a_closed_logger_refuses_a_configuration(make):
    logger = make()
    logger.close()
    with pytest.raises(ValueError, match="is closed"):
        metric_writer(logger).write_hparams({"lr": 0.1})


def test_a_configuration_over_the_limit_is_not_sent_to_wandb(caplog):
    rows = WandbRows(megabytes=0.01)
    before = rows.budget.used
    assert rows.charge({"lr": 0.1})
    assert rows.budget.used - before == len('{"lr": 0.1}')
    assert not rows.charge({"text": "x" * 6000})
    assert rows.counters["dropped_budget"] == 1
    assert "no room for the 6,012 bytes" in caplog.text


def test_names_may_be_passed_directly(make):
    with make() as logger:
        logger.log_hparams(lr=0.1)
        logger.log_hparams({"lr": 0.2, "width": 8}, width=16)
    assert Run.load(logger.run_dir).config == {"lr": 0.2, "width": 16}
