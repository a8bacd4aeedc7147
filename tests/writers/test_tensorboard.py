"""TensorBoard event files, read back with TensorBoard itself."""

import json
import re
import struct
import sys
import warnings

import numpy as np
import pytest
from support.faults import FullDisk
from support.png import decode_png
from tensorboard import context
from tensorboard.backend.event_processing import (
    data_provider,
    plugin_event_multiplexer,
)
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins import base_plugin
from tensorboard.plugins.hparams import plugin_data_pb2

from jaxmetrics import TrainingLogger
from jaxmetrics.record import Media, Record
from jaxmetrics.writers import TensorBoard
from jaxmetrics.writers._arrays import heatmap
from jaxmetrics.writers._event_file import EventFile

NO_LIMITS = dict.fromkeys(("scalars", "images", "histograms", "tensors"), 0)


@pytest.fixture
def open_writer(tmp_path):
    """Return a function that opens writers of one run, closed at the end."""
    opened = []

    def open_one(resume_step=None, **options):
        opened.append(TensorBoard(clock=lambda: 1000.0, **options))
        opened[-1].open(tmp_path, resume_step)
        return opened[-1]

    yield open_one
    for writer in opened:
        writer.close()


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "tensorboard"


def record(step, split="train", **values):
    values = {f"{split}/{name}": value for name, value in values.items()}
    return Record(step, split, values, float(step))


def load_events(folder):
    """Return what TensorBoard reads from a folder."""
    reader = EventAccumulator(str(folder), size_guidance=NO_LIMITS)
    return reader.Reload()


def scalars(folder, tag="train/loss"):
    return [(event.step, event.value) for event in load_events(folder).Scalars(tag)]


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def test_scalars_are_float32_values_by_step(open_writer, folder):
    writer = open_writer()
    for step in (1, 2**40):
        writer.write(record(step, loss=0.1, count=3))
    writer.write(Record(2**41, "val", {"val/loss": 1.0}, 0.0, tokens=5, samples=6))
    writer.close()
    assert scalars(folder) == [(1, np.float32(0.1)), (2**40, np.float32(0.1))]
    assert scalars(folder, "train/count") == [(1, 3.0), (2**40, 3.0)]
    reader = load_events(folder)
    assert set(reader.Tags()["scalars"]) == {
        "train/loss",
        "train/count",
        "val/loss",
        "tokens",
        "samples",
    }
    assert reader.Scalars("tokens")[0].wall_time == 1000.0


def test_a_record_is_one_event(open_writer, folder):
    writer = open_writer()
    before = writer.state()["position"]
    writer.write(record(1, **{f"loss{n}": 0.5 for n in range(20)}))
    data = (folder / files(folder)[0]).read_bytes()[before:]
    (length,) = struct.unpack_from("<Q", data)
    assert len(data) == length + 16


def test_values_that_are_not_finite_or_too_large_for_float32(open_writer, folder):
    values = [np.nan, np.inf, -np.inf, 1e300, -(10**400), 2**53 + 1]
    writer = open_writer()
    for step, value in enumerate(values):
        writer.write(record(step, loss=value))
    writer.close()
    read = [value for _, value in scalars(folder)]
    np.testing.assert_array_equal(
        read, [np.nan, np.inf, -np.inf, np.inf, -np.inf, 2.0**53]
    )


def test_similar_keys_are_different_tags(open_writer, folder):
    names = ["a b", "a_b", "a?b", "a/b", "é😀", "<b>", "acc@5", "%2F"]
    writer = open_writer(rename={f"train/v{n}": name for n, name in enumerate(names)})
    row = record(1, **{f"v{n}": float(n) for n in range(len(names))})
    writer.write(writer.select(row))
    writer.close()
    reader = load_events(folder)
    assert {tag: reader.Scalars(tag)[0].value for tag in names} == {
        name: float(n) for n, name in enumerate(names)
    }


def test_the_configuration_is_written_as_a_session(open_writer, folder, tmp_path):
    hparams = {"lr": 0.1, "model": {"layers": 2, "dims": [1, 2], "bias": True}}
    hparams |= {"name": "x", "none": None}
    (tmp_path / "run.json").write_text(json.dumps({"hparams": hparams}))
    writer = open_writer()
    writer.close()
    assert len(files(folder)) == 1  # no subfolder, which would be another run
    metadata = load_events(folder).summary_metadata
    stored = plugin_data_pb2.HParamsPluginData.FromString(
        metadata["_hparams_/session_start_info"].plugin_data.content
    ).session_start_info.hparams
    kinds = {"number_value": float, "string_value": str, "bool_value": bool}
    assert {
        name: kinds[value.WhichOneof("kind")](getattr(value, value.WhichOneof("kind")))
        for name, value in stored.items()
    } == {
        "lr": 0.1,
        "model/layers": 2.0,
        "model/dims": "[1,2]",
        "model/bias": True,
        "name": "x",
    }
    assert "_hparams_/session_end_info" in metadata


def media(kind, **values):
    return Media(
        7, "train", {f"train/{k}": v for k, v in values.items()}, 0.0, kind=kind
    )


def test_a_histogram_leaves_out_and_counts_values_that_are_not_finite(
    open_writer, folder
):
    values = np.float32([[1.0, 2.0, np.nan], [3.0, np.inf, -np.inf]])
    writer = open_writer()
    writer.write(media("histogram", weights=values, empty=[np.nan], whole=[1, 2]))
    writer.close()
    reader = load_events(folder)
    (event,) = reader.Histograms("train/weights")
    assert event.step == 7
    histogram = event.histogram_value
    assert (histogram.min, histogram.max, histogram.num, histogram.sum) == (
        1.0,
        3.0,
        3.0,
        6.0,
    )
    assert histogram.sum_squares == 14.0
    assert sum(histogram.bucket) == 3.0
    assert len(histogram.bucket) == len(histogram.bucket_limit) == 65
    assert scalars(folder, "train/weights_nonfinite") == [(7, 3.0)]
    assert set(reader.Tags()["histograms"]) == {"train/weights", "train/whole"}
    assert set(reader.Tags()["scalars"]) == {
        "train/weights_nonfinite",
        "train/empty_nonfinite",
    }


def test_counts_and_edges_keep_their_bins(open_writer, folder):
    counts, edges = [0, 3, 1, 0], [0.0, 1.0, 2.0, 4.0, 8.0]
    writer = open_writer()
    writer.write(media("histogram", weights=(counts, edges)))
    writer.close()
    (event,) = load_events(folder).Histograms("train/weights")
    histogram = event.histogram_value
    assert histogram.bucket == [0, *counts]
    assert histogram.bucket_limit == edges
    assert (histogram.min, histogram.max, histogram.num) == (1.0, 4.0, 4.0)


def test_an_image_keeps_its_pixels(open_writer, folder):
    colours = np.random.default_rng(0).integers(0, 256, (4, 5, 3)).astype(np.uint8)
    writer = open_writer()
    writer.write(media("image", colours=colours))
    writer.close()
    (event,) = load_events(folder).Images("train/colours")
    assert (event.step, event.width, event.height) == (7, 5, 4)
    np.testing.assert_array_equal(decode_png(event.encoded_image_string), colours)


def test_texts_and_tables_are_written_as_markdown(open_writer, folder):
    writer = open_writer()
    writer.write(media("text", note="**bold** é"))
    writer.write(media("table", words=(["word", "n"], [["a|b\nc", 1], ["d", None]])))
    writer.close()

    def text(tag):
        (event,) = load_events(folder).Tensors(f"train/{tag}/text_summary")
        return event.tensor_proto.string_val[0].decode()

    assert text("note") == "**bold** é"
    assert text("words") == (
        "| word | n |\n| --- | --- |\n| a\\|b c | 1 |\n| d | None |"
    )


def test_arrays_are_scalars_by_index_or_one_heatmap_in_ten(open_writer, folder):
    def write(writer, steps):
        for step in steps:
            arrays = {"val/recall": [0.5, 1.0], "val/matrix": [[step, 2], [3, 4]]}
            writer.write(Record(step, "val", {}, 0.0, arrays=arrays))

    writer = open_writer()
    write(writer, range(1, 13))
    writer.flush()
    state = json.loads(json.dumps(writer.state())) | {"step": 12}
    write(writer, [13])
    writer.close()
    writer = open_writer()
    writer.load_state(state)
    write(writer, range(13, 22))
    writer.close()
    reader = load_events(folder)
    assert set(reader.Tags()["scalars"]) == {"val/recall/0", "val/recall/1"}
    assert [step for step, _ in scalars(folder, "val/recall/1")] == [*range(1, 22)]
    assert reader.Tags()["images"] == ["val/matrix"]
    images = reader.Images("val/matrix")
    assert [image.step for image in images] == [1, 11, 21]
    pixels = decode_png(images[0].encoded_image_string)
    np.testing.assert_array_equal(pixels, heatmap([[1, 2], [3, 4]]))


def test_attempts_within_one_second_are_read_in_their_order(open_writer, folder):
    for start in range(12):
        writer = open_writer()
        writer.write(record(start, loss=float(start)))
        if start % 2:  # two at the same time
            writer.close()
    assert len(files(folder)) == 12
    assert scalars(folder) == [(step, float(step)) for step in range(12)]


def test_later_events_are_hidden_after_resuming_from_a_step(open_writer, folder):
    writer = open_writer()
    for step in range(1, 9):
        writer.write(record(step, loss=float(step), gone=1.0))
    writer.close()
    writer = open_writer(resume_step=5)
    for step in range(6, 8):
        writer.write(record(step, loss=-1.0))
    writer.close()
    expected = [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (6, -1), (7, -1)]
    assert scalars(folder) == expected
    assert [step for step, _ in scalars(folder, "train/gone")] == [1, 2, 3, 4, 5]


def test_all_events_are_kept_without_a_step_to_resume_from(open_writer, folder):
    for steps in ((1, 2), (3,)):
        writer = open_writer()
        for step in steps:
            writer.write(record(step, loss=1.0))
        writer.close()
    assert [step for step, _ in scalars(folder)] == [1, 2, 3]


def test_after_a_restore_each_event_is_there_once(open_writer, folder):
    def train(writer, first, last):
        for step in range(first, last):
            writer.write(record(step, loss=float(step)))
            if step % 2 == 0:
                writer.write(record(step, "val", loss=float(step)))

    writer = open_writer()
    train(writer, 1, 4)
    writer.write(record(4, loss=4.0))
    writer.flush()
    state = json.loads(json.dumps(writer.state())) | {"step": 4}
    writer.write(record(4, "val", loss=4.0))  # after the save, and so once more
    train(writer, 5, 7)
    # In the same attempt, in another one, and after a lost one.
    for restore in range(3):
        if restore:
            writer.close()
            writer = open_writer()
        writer.load_state(state)
        writer.write(record(4, "val", loss=4.0))
        train(writer, 5, 7 + restore)
    writer.close()
    assert scalars(folder) == [(step, step) for step in range(1, 9)]
    assert scalars(folder, "val/loss") == [(step, step) for step in (2, 4, 6, 8)]
    moved = [name for name in files(folder) if "tfevents" not in name]
    assert [name.split(".")[0] for name in moved] == ["after-4"] * 3


def test_a_restore_without_a_position_hides_later_events(open_writer, folder):
    writer = open_writer()
    for step in range(1, 5):
        writer.write(record(step, loss=1.0))
    writer.load_state({"step": 2})
    writer.write(record(3, loss=2.0))
    writer.close()
    assert scalars(folder) == [(1, 1), (2, 1), (3, 2)]


def test_a_checkpoint_named_by_a_lower_step_keeps_all_its_events(open_writer, folder):
    writer = open_writer()
    for step in range(1, 5):
        writer.write(record(step, loss=1.0))
    state = writer.state()
    writer.write(record(5, loss=1.0))
    writer.load_state(state | {"step": 3})
    writer.write(record(5, loss=2.0))
    writer.close()
    assert scalars(folder) == [(1, 1), (2, 1), (3, 1), (4, 1), (5, 2)]


def test_a_torn_event_loses_no_other_event(open_writer, folder):
    writer = open_writer()
    for step in range(1, 4):
        writer.write(record(step, loss=1.0))
    writer.close()
    (file,) = folder.iterdir()
    file.write_bytes(file.read_bytes()[:-5])
    writer = open_writer()
    writer.write(record(4, loss=1.0))
    writer.close()
    assert [step for step, _ in scalars(folder)] == [1, 2, 4]


def test_a_full_disk_loses_only_the_events_it_refused(open_writer, folder, monkeypatch):
    writer = open_writer()
    writer.write(record(1, loss=1.0))
    disk = FullDisk(monkeypatch)
    for room in (0, 7):
        disk.room = room
        with pytest.raises(OSError, match="No space"):
            writer.write(record(2, loss=2.0))
        (file,) = folder.iterdir()
        assert file.stat().st_size == writer.state()["position"]
    disk.room = None
    writer.write(record(3, loss=3.0))
    writer.close()
    assert scalars(folder) == [(1, 1), (3, 3)]


def test_a_missing_package_is_named_with_its_extra(tmp_path, monkeypatch):
    for name in ("google_crc32c", "tensorboardX"):
        with monkeypatch.context() as patch:
            for module in [m for m in sys.modules if m.split(".")[0] == name]:
                patch.delitem(sys.modules, module)
            patch.setitem(sys.modules, name, None)
            with pytest.raises(ImportError, match=r"install jaxmetrics\[tensorboard\]"):
                TensorBoard().open(tmp_path, None)
    assert not list(tmp_path.iterdir())


def test_writing_to_a_closed_file_is_an_error(tmp_path):
    file = EventFile(tmp_path, 0.0, lambda data: 0)
    file.close()
    file.close()
    with pytest.raises(ValueError, match="is closed"):
        file.write(b"")


def test_a_restored_logger_hides_later_events(tmp_path):
    state = None
    for first, last in ((1, 9), (6, 12)):
        with TrainingLogger(
            "p",
            "run",
            root=tmp_path,
            writers=[TensorBoard()],
            hparams={"api_key": "hush", "lr": 0.1},
        ) as logger:
            if state:
                logger.load_state(state)
            for step in range(first, last):
                logger.log_step(step, loss=step)
                if step == 5:
                    state = logger.state()
    folder = logger.run_dir / "tensorboard"
    assert scalars(folder) == [(step, step) for step in range(1, 12)]
    assert not any(b"hush" in path.read_bytes() for path in folder.iterdir())


def test_an_interrupted_open_closes_the_file(tmp_path, monkeypatch):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    writer = TensorBoard()
    monkeypatch.setattr(writer, "_start_session", interrupt)
    with pytest.raises(KeyboardInterrupt):
        writer.open(tmp_path, None)
    with pytest.raises(ValueError, match="is closed"):
        writer._file.write(b"event")


def cards(folder):
    """Return the tags of each card, by title, as TensorBoard's plugin shows them."""
    with warnings.catch_warnings(action="ignore"):  # by a package that it contains
        from tensorboard.plugins.custom_scalar import custom_scalars_plugin

    runs = plugin_event_multiplexer.EventMultiplexer()
    runs.AddRunsFromDirectory(str(folder)).Reload()
    provider = data_provider.MultiplexerDataProvider(runs, str(folder))
    plugin = custom_scalars_plugin.CustomScalarsPlugin(
        base_plugin.TBContext(logdir=str(folder), data_provider=provider)
    )
    layout = plugin.layout_impl(context.RequestContext(), "experiment") or "{}"
    layout = json.loads(layout)
    tags = load_events(folder).Tags()["scalars"]
    return {
        chart["title"]: [
            tag
            for pattern in chart["multiline"]["tag"]
            for tag in tags
            if re.match(pattern, tag)
        ]
        for category in layout.get("category", ())
        for chart in category["chart"]
    }


def test_a_metric_of_several_splits_has_one_card(open_writer, folder):
    writer = open_writer()
    writer.write(record(1, loss=1.0, **{"loss.x": 2.0}))
    writer.flush()
    assert cards(folder) == {}
    writer.write(record(1, "val", loss=1.0))
    norms = {"grad/norm": 2.0, "grad/norm/head": 1.0, "grad/normal": 0.0}
    writer.write(Record(2, "train", norms, 2.0))
    writer.write(record(3, "test", loss=1.0))
    writer.close()
    expected = {
        "loss": ["train/loss", "val/loss", "test/loss"],
        "grad/norm": ["grad/norm", "grad/norm/head"],
    }
    assert cards(folder) == expected


@pytest.mark.parametrize("has_position", [True, False])
def test_the_cards_stay_after_a_restore(open_writer, folder, has_position):
    writer = open_writer()
    writer.write(record(1, loss=1.0))
    writer.flush()
    state = writer.state() if has_position else {}
    writer.write(record(2, "val", loss=1.0))
    writer.load_state(state | {"step": 1})
    writer.write(record(2, "val", loss=1.0))
    writer.close()
    assert cards(folder) == {"loss": ["train/loss", "val/loss"]}


def test_a_writer_that_is_opened_again_has_nothing_of_the_run_before(tmp_path):
    writer, runs = TensorBoard(), [tmp_path / "first", tmp_path / "second"]
    for run, hparams in zip(runs, ({"lr": 0.1}, {})):
        run.mkdir()
        attempts = [{"attempt": 1, "hparams": hparams}]
        (run / "run.json").write_text(json.dumps({"attempts": attempts}))
        writer.open(run, None)
        for split in ("train", "val"):
            writer.write(record(1, split, loss=1.0))
        writer.close()
    for run in runs:
        assert cards(run / "tensorboard") == {"loss": ["train/loss", "val/loss"]}
    plugins = [load_events(run / "tensorboard").PluginTagToContent for run in runs]
    assert plugins[0]("hparams")
    with pytest.raises(KeyError):
        plugins[1]("hparams")


def test_cards_are_written_once_and_again_after_a_full_disk(
    open_writer, folder, monkeypatch
):
    writer, disk = open_writer(), FullDisk(monkeypatch)
    writer.write(record(1, loss=1.0))
    disk.room = 0
    with pytest.raises(OSError):
        writer.write(record(1, "val", loss=1.0))
    disk.room = None
    for step in range(2, 5):
        writer.write(record(step, "val", loss=1.0))
    writer.close()
    assert cards(folder) == {"loss": ["train/loss", "val/loss"]}
    layouts = load_events(folder).Tensors("custom_scalars__config__")
    assert [layout.step for layout in layouts] == [0]
