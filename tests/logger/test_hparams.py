"""A configuration, given at the start or later, in every place that shows it."""

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


def described(run_dir):
    return json.loads((run_dir / "run.json").read_text())["hparams"]


def in_tensorboard(run_dir):
    """What its own page of hyperparameters lists, by run."""
    events = EventMultiplexer()
    events.AddRunsFromDirectory(str(run_dir))
    events.Reload()
    provider = MultiplexerDataProvider(events, str(run_dir))
    listed = list_session_groups.Handler(
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
        for group in listed.session_groups
    }


def tables_in_tensorboard(run_dir):
    events = EventAccumulator(str(run_dir / "tensorboard")).Reload()
    tag = "hparams/text_summary"
    if tag not in events.Tags()["tensors"]:
        return []
    shown = events.Tensors(tag)
    return [(event.step, event.tensor_proto.string_val[0].decode()) for event in shown]


def rest_of(text):
    """The lines of a table below its head."""
    return text.splitlines()[2:]


@pytest.fixture
def make(tmp_path):
    """Make loggers of one run."""

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

WHOLE = {"lr": 0.1, "model": {"layers": 2}, "api_key": "hush"}
with make("given", hparams=WHOLE) as it:
    it.log_step(1, loss=1.0)
with make("later") as it:
    it.log_step(1, loss=1.0)
    it.log_hparams(WHOLE)
with make("clu") as it:
    writer = metric_writer(it)
    writer.write_hparams(WHOLE)
    writer.write_scalars(1, {"loss": 1.0})
with make("added", hparams={"lr": 0.1, "layers": 2}) as it:
    it.log_step(7, loss=1.0)
    it.log_hparams({"layers": 3, "hf_token": "hush"})
"""


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    """The folder of runs that were configured in different ways."""
    root = tmp_path_factory.mktemp("runs")
    clean = {k: v for k, v in os.environ.items() if not k.startswith("WANDB_")}
    done = run_python(SESSION, root, env=clean)
    assert done.returncode == 0, done.stderr
    return root / "p"


def in_wandb(run_dir):
    """The configuration of a run's offline file, all updates of it."""
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


@pytest.mark.parametrize("name", ["given", "later", "clu"])
def test_a_configuration_is_the_same_everywhere_whenever_it_is_given(session, name):
    run_dir = session / name
    whole = {"lr": 0.1, "model": {"layers": 2}, "api_key": "<redacted>"}
    assert described(run_dir) == Run.load(run_dir).config == in_wandb(run_dir) == whole
    flat = {"lr": 0.1, "model/layers": 2.0, "api_key": "<redacted>"}
    assert in_tensorboard(run_dir) == {"tensorboard": flat}
    assert tables_in_tensorboard(run_dir) == []


def test_what_is_added_is_shown_too(session):
    run_dir = session / "added"
    whole = {"lr": 0.1, "layers": 3, "hf_token": "<redacted>"}
    assert described(run_dir) == in_wandb(run_dir) == whole
    assert in_tensorboard(run_dir) == {"tensorboard": {"lr": 0.1, "layers": 2.0}}
    ((step, table),) = tables_in_tensorboard(run_dir)
    assert step == 7
    assert rest_of(table) == [
        "| lr | 0.1 |",
        "| layers | 3 |",
        "| hf_token | <redacted> |",
    ]


def test_no_secret_is_in_any_file(session):
    for file in session.rglob("*"):
        assert not file.is_file() or b"hush" not in file.read_bytes(), file


@dataclasses.dataclass
class Configuration:
    lr: float = 0.1
    folder: Path = Path("data")


@pytest.mark.parametrize(
    "given", [Configuration(), argparse.Namespace(lr=0.1, folder=Path("data"))]
)
def test_a_dataclass_and_a_namespace_have_names(make, given):
    memory = Memory()
    with make(memory) as logger:
        logger.log_hparams(given)
    (record,) = memory.records
    assert isinstance(record, Media) and record.kind == "hparams"
    assert record.values == described(logger.run_dir) == {"lr": 0.1, "folder": "data"}


@pytest.mark.parametrize("given", [0.1, ["lr"], None, "lr"])
def test_what_has_no_names_is_refused(make, given):
    with make() as logger, pytest.raises(TypeError, match="expected a mapping"):
        logger.log_hparams(given)


def test_a_configuration_without_names_keeps_its_place(make):
    with make(TensorBoard(), hparams=[1, 2]) as logger:
        logger.log_hparams({"lr": 0.1})
    assert described(logger.run_dir) == {"hparams": [1, 2], "lr": 0.1}
    assert in_tensorboard(logger.run_dir) == {"tensorboard": {"hparams": "[1,2]"}}
    ((_, table),) = tables_in_tensorboard(logger.run_dir)
    assert rest_of(table) == ["| hparams | [1,2] |", "| lr | 0.1 |"]


def test_it_goes_round_filters_names_and_intervals(make):
    memory = Memory(keys="val/*", rename={"lr": "x"}, every=10)
    with make(memory) as logger:
        logger.log_hparams({"lr": 0.1})
    assert [record.values for record in memory.records] == [{"lr": 0.1}]


def test_files_of_rows_do_not_have_it(make):
    with make(JSONL(), CSV()) as logger:
        logger.log_step(1, loss=1.0)
        logger.log_hparams({"lr": 0.1})
    assert b"lr" not in (logger.run_dir / "metrics.jsonl").read_bytes()
    assert len(Run.load(logger.run_dir)) == 1


def test_it_is_no_scalar_of_the_step(make):
    with make(Memory()) as logger:
        logger.log_step(1, loss=1.0)
        logger.log_hparams({"lr": 0.1})
        logger.log_step(1, accuracy=0.5)
        assert logger.flush()
        assert logger.latest() == {"train/loss": 1.0, "train/accuracy": 0.5}


def test_nothing_is_repeated_when_a_restarted_run_says_it_again(make):
    for _ in range(3):
        with make(TensorBoard()) as logger:
            logger.log_hparams({"lr": 0.1})
    assert in_tensorboard(logger.run_dir) == {"tensorboard": {"lr": 0.1}}
    assert tables_in_tensorboard(logger.run_dir) == []


def test_going_back_before_it_keeps_it(make):
    with make(TensorBoard()) as logger:
        logger.log_step(1, loss=1.0)
        state = logger.state()
        logger.log_hparams({"lr": 0.1})
        logger.flush()
        logger.load_state(state)
        logger.log_step(2, loss=1.0)
    assert described(logger.run_dir) == {"lr": 0.1}
    assert in_tensorboard(logger.run_dir) == {"tensorboard": {"lr": 0.1}}


def test_a_description_that_cannot_be_written_stops_neither_writers_nor_training(
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


def test_a_closed_logger_refuses_it(make):
    logger = make()
    logger.close()
    with pytest.raises(ValueError, match="is closed"):
        metric_writer(logger).write_hparams({"lr": 0.1})


def test_wandb_is_sent_no_configuration_beyond_its_limit(caplog):
    rows = WandbRows(megabytes=0.01)
    before = rows.budget.used
    assert rows.charge({"lr": 0.1})
    assert rows.budget.used - before == len('{"lr": 0.1}')
    assert not rows.charge({"text": "x" * 6000})
    assert rows.counters["dropped_budget"] == 1
    assert "no room for the 6,012 bytes" in caplog.text
