"""A logger is used as a metric writer of clu."""

import inspect
import json
import logging

import jax.numpy as jnp
import numpy as np
import pytest
from support.processes import run_python
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import jaxmetrics as jm
from jaxmetrics import Run
from jaxmetrics.interop.clu import metric_writer

METHODS = {
    "write_scalars": ["step", "scalars"],
    "write_images": ["step", "images"],
    "write_videos": ["step", "videos"],
    "write_audios": ["step", "audios", "sample_rate"],
    "write_texts": ["step", "texts"],
    "write_histograms": ["step", "arrays", "num_buckets"],
    "write_summaries": ["step", "values", "metadata"],
    "write_pointcloud": ["step", "point_clouds", "point_colors", "configs"],
    "write_hparams": ["hparams"],
    "flush": [],
    "close": [],
}


@pytest.mark.parametrize("method", METHODS)
def test_every_method_has_the_arguments_of_clu(logger, method):
    signature = inspect.signature(getattr(metric_writer(logger), method))
    assert list(signature.parameters) == METHODS[method]


def test_names_stay_as_clu_writes_them(logger, logged):
    writer = metric_writer(logger)
    writer.write_scalars(1, {"train_loss": jnp.float32(0.5), "lr": np.ones((1, 1))})
    writer.write_scalars(step=1, scalars={"steps_per_sec": 3, "a/b": jnp.ones(1)})
    writer.write_scalars(1, {"eval_loss": 0.25, "eval/accuracy": 0.75})
    assert logged() == [
        (1, "train", {"train_loss": 0.5, "lr": 1}),
        (1, "train", {"steps_per_sec": 3, "a/b": 1}),
        (1, "eval", {"eval_loss": 0.25, "eval/accuracy": 0.75}),
    ]


def test_names_become_keys_of_a_split(logger, logged):
    writer = metric_writer(logger, split="eval")
    writer.write_scalars(1, {"loss": 0.5, "eval_top5": 0.75, "a/b": 1})
    values = {"eval/loss": 0.5, "eval/top5": 0.75, "eval/a/b": 1}
    assert logged() == [(1, "eval", values)]


def test_steps_may_repeat_and_come_in_any_order(logger, logged):
    writer = metric_writer(logger)
    for step in (2, 2, 1, 3, 2):
        writer.write_scalars(step, {"loss": float(step)})
        writer.flush()
    assert [step for step, _, _ in logged()] == [2, 2, 1, 3, 2]
    run = Run.load(logger.run_dir)
    assert run["loss"][0].tolist() == [1, 2, 3]


def test_a_value_that_is_no_number_is_named(logger, logged):
    with pytest.raises(TypeError, match="'loss'"):
        metric_writer(logger).write_scalars(2, {"loss": np.ones(2), "lr": 1.0})
    assert logged() == [(2, "train", {"lr": 1.0})]


def test_texts_histograms_and_images_are_logged(logger, memory):
    writer = metric_writer(logger)
    writer.write_texts(1, {"note": "key hf_" + "x" * 30})
    writer.write_histograms(1, {"w": jnp.arange(4.0)}, num_buckets={"w": 3})
    images = np.zeros((2, 3, 4, 1), np.uint8)
    writer.write_images(1, {"two": images, "one": images[:1], "flat": images[0]})
    writer.flush()
    text, histogram, image = memory.records
    assert text.values == {"note": "key <redacted>"} and text.split == "train"
    assert histogram.values["w"].counts.sum() == 4
    shapes = {name: value.shape for name, value in image.values.items()}
    assert shapes == {"two": (2, 3, 4, 1), "one": (1, 3, 4, 1), "flat": (3, 4, 1)}


def test_large_batches_of_images_are_split(logger, media):
    images = np.arange(130, dtype=np.uint8)[:, None, None, None]
    tall = np.zeros((130, 2, 1), np.uint8)
    metric_writer(logger).write_images(1, {"digits": images, "tall": tall})
    shown = {
        key: (value[0].max(), len(value)) for (_, _, key), value in media().items()
    }
    assert shown == {
        "digits": (0, 64),
        "digits/64": (64, 64),
        "digits/128": (128, 2),
        "tall": (0, 130),
    }


def test_audio_is_logged(logger, media):
    writer = metric_writer(logger, split="val")
    samples = np.zeros((2, 9, 1), np.float32)
    audios = {"two": samples, "one": samples[:1], "flat": samples[0]}
    writer.write_audios(1, audios, sample_rate=16_000)
    shown = {key: (value[0].shape, value[1]) for (_, _, key), value in media().items()}
    names = ["val/two/0", "val/two/1", "val/one", "val/flat"]
    assert shown == dict.fromkeys(names, ((9, 1), 16_000))


def test_hyperparameters_are_added_to_the_run(logger, memory):
    metric_writer(logger).write_hparams({"lr": 0.1, "api_key": "hush", "dims": [1, 2]})
    assert logger.flush()
    (record,) = memory.records
    expected = {"lr": 0.1, "api_key": "<redacted>", "dims": [1, 2]}
    assert record.values == Run.load(logger.run_dir).config == expected


def test_unsupported_values_are_counted_with_one_warning(logger, memory, caplog):
    writer = metric_writer(logger)
    with caplog.at_level(logging.WARNING, "jaxmetrics"):
        for step in range(3):
            writer.write_videos(step, {"v": np.zeros((2, 2, 2, 3))})
        writer.write_summaries(1, {"s": np.zeros(3)}, metadata={"plugin": "x"})
        writer.write_pointcloud(1, {"p": np.zeros((5, 3))})
    assert writer.unsupported == {
        "write_videos": 3,
        "write_summaries": 1,
        "write_pointcloud": 1,
    }
    assert len(caplog.messages) == 3 and "['v']" in caplog.messages[0]
    assert logger.flush() and memory.records == []


def test_closing_a_writer_leaves_the_logger_open(logger, memory):
    train, val = metric_writer(logger, "train"), metric_writer(logger, "val")
    train.write_scalars(1, {"loss": 1.0})
    train.close()
    val.write_scalars(1, {"loss": 2.0})
    val.close()
    assert [r.split for r in memory.records] == ["train", "val"]


PROGRAM = """
import json, sys, types

class Anything(types.ModuleType):
    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Anything(name)
    def __call__(self, *args, **options):
        return self

# clu imports both for a writer that is not used here.
for name in ("tensorflow", "tensorboard.plugins.hparams"):
    sys.modules[name] = Anything(name)

import numpy as np
from clu import metric_writers, periodic_actions, values
from jaxmetrics import TrainingLogger
from jaxmetrics.interop.clu import metric_writer
from jaxmetrics.writers import TensorBoard

with TrainingLogger("p", "run", sys.argv[1], writers=[TensorBoard()], console=False,
                    enable_histograms=True) as logger:
    adapter = metric_writer(logger)
    writer = metric_writers.MultiWriter([metric_writers.AsyncWriter(adapter)])
    writer.write_hparams({"lr": 0.1})
    report = periodic_actions.ReportProgress(
        num_train_steps=4, writer=writer, every_steps=2, every_secs=None)
    for step in range(1, 5):
        report(step, float(step))
        writer.write_scalars(step, {"loss": 1 / step})
    one = np.ones((2, 2, 1), np.float32)
    metric_writers.write_values(writer, 4, {
        "scalar": values.Scalar(np.float32(2)),
        "array": np.ones(1),
        "image": values.Image(one),
        "text": values.Text("hello"),
        "histogram": values.Histogram(np.arange(5), 3),
        "audio": values.Audio(np.ones((1, 5, 1)), 10),
        "summary": values.Summary(one, None),
    })
    writer.write_videos(4, {"video": one[None, None]})
    with metric_writers.ensure_flushes(writer):
        writer.write_texts(4, {"last": "word"})
    writer.close()
    last = metric_writers.AsyncMultiWriter([adapter])
    last.write_scalars(5, {"loss": 0.2})
    last.close()
    print(json.dumps([str(logger.run_dir), adapter.unsupported]))
"""


def test_periodic_actions_and_writers_of_clu_accept_it(tmp_path):
    process = run_python(PROGRAM, tmp_path)
    assert process.returncode == 0, process.stderr
    folder, unsupported = json.loads(process.stdout.splitlines()[-1])
    counted = ["write_summaries", "write_videos"]
    assert unsupported == dict.fromkeys(counted, 1)
    run = Run.load(folder)
    steps, losses = run["loss"]
    assert steps.tolist() == [1, 2, 3, 4, 5]
    assert losses.tolist() == [1.0, 0.5, 1 / 3, 0.25, 0.2]
    steps, rates = run["steps_per_sec"]
    assert steps.tolist() == [2, 4] and rates.tolist() == [1.0, 1.0]
    assert run["uptime"][0].tolist() == [2, 4]
    assert run.config == {"lr": 0.1}
    assert run["scalar"][1].tolist() == [2] and "array" in run
    events = EventAccumulator(f"{folder}/tensorboard").Reload()
    assert events.Images("image")[0].step == 4
    assert events.Histograms("histogram")[0].histogram_value.num == 5
    for name, text in (("text", b"hello"), ("last", b"word")):
        (event,) = events.Tensors(f"{name}/text_summary")
        assert event.tensor_proto.string_val == [text]


def test_errors_of_write_scalars_name_it(tmp_path):
    with jm.TrainingLogger(root=tmp_path, console=False) as logger:
        writer = metric_writer(logger)
        metrics = jm.Collection(count=jm.Count("x"))
        with pytest.raises(TypeError, match=r"write_scalars\(\) got a Collection"):
            writer.write_scalars(5, metrics)
        with pytest.raises(TypeError, match=r"write_scalars\(\) got a step"):
            writer.write_scalars(jnp.int32(6), {"loss": 1.0})
        writer.write_scalars(7, metrics.compute())
