"""The configuration of a run, in every file and writer that shows it."""

import argparse
import dataclasses
import json
import os
from pathlib import Path

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
from jaxmetrics.record import Media
from jaxmetrics.writers import CSV, JSONL, Memory, TensorBoard
from jaxmetrics.writers._wandb_rows import WandbRows


def in_run_json(run_dir):
    return json.loads((run_dir / "run.json").read_text())["hparams"]


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
        monkeypatch.setattr("jaxmetrics.logger._run_directory.write_run_json", full)
        logger.log_hparams({"lr": 0.1})
        monkeypatch.undo()
    assert "run.json lacks ['lr'] (disk full)" in caplog.text
    assert len(memory.records) == 1


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
