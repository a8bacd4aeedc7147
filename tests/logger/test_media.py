"""Texts, images, histograms and tables, from the logger to writers that show them."""

import json
import logging
import threading
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.figure import Figure
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from jaxmetrics import Run, TrainingLogger
from jaxmetrics.record import read_lines
from jaxmetrics.writers import CSV, JSONL, Memory, TensorBoard

NO_LIMITS = dict.fromkeys(("scalars", "images", "histograms", "tensors"), 0)


@pytest.fixture
def make(tmp_path):
    """Create loggers of one run, closed at the end of the test."""
    loggers = []

    def make(*writers, **options):
        options = {"root": tmp_path, "clock": lambda: 0.0, "console": False} | options
        options = {"enable_histograms": True} | options
        loggers.append(TrainingLogger("p", "run", writers=writers, **options))
        return loggers[-1]

    yield make
    for logger in loggers:
        logger.close()


def tensorboard_of(logger):
    """Read a run with TensorBoard's own reader."""
    folder = str(logger.run_dir / "tensorboard")
    return EventAccumulator(folder, size_guidance=NO_LIMITS).Reload()


def text_in(view, tag):
    (event,) = view.Tensors(tag)
    return event.step, event.tensor_proto.string_val[0].decode()


def rows_of_kind(logger, kind):
    rows, _ = read_lines(logger.run_dir / "metrics.jsonl")
    return [row for row in rows if row.get("kind") == kind]


def test_tensorboard_shows_every_kind(make):
    logger = make(TensorBoard())
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    logger.log_text(3, note="a b", split="val")
    logger.log_table(3, words=(["word", "n"], [["a", 1], ["b", None]]))
    logger.log_images(3, sample=jnp.asarray(pixels))
    logger.log_histograms(3, {"layer/w": jnp.array([0.0, 1.0, 1.0, jnp.nan])})
    assert logger.flush()
    view = tensorboard_of(logger)
    tags = view.Tags()
    assert text_in(view, "val/note/text_summary") == (3, "a b")
    table = "| word | n |\n| --- | --- |\n| a | 1 |\n| b | None |"
    assert text_in(view, "train/words/text_summary") == (3, table)
    (image,) = view.Images("train/sample")
    assert (image.step, image.height, image.width) == (3, 2, 4)
    (histogram,) = view.Histograms("layer/w")
    value = histogram.histogram_value
    assert (histogram.step, value.num, value.min, value.max) == (3, 3, 0, 1)
    assert (value.sum, value.sum_squares) == (2, 2)
    assert view.Scalars("layer/w_nonfinite")[0].value == 1
    assert tags["histograms"] == ["layer/w"] and tags["images"]


def test_the_record_has_texts_and_tables_as_rows_of_their_kind(make):
    logger = make()
    logger.log_step(1, loss=1.0)
    logger.log_text(7, {"a/b": "one\ntwo"})
    table = (["x", "y"], [[1, float("nan")], [np.float32(0.5), jnp.int32(2)]])
    logger.log_table(7, {"t": table}, split="val")
    logger.log_step(2, loss=2.0)
    assert logger.flush()
    (text,), (table,) = rows_of_kind(logger, "text"), rows_of_kind(logger, "table")
    assert list(text) == ["kind", "step", "split", "time", "a/b"]
    assert (text["step"], text["a/b"]) == (7, "one\ntwo")
    rows = [[1, "NaN"], [0.5, 2]]
    assert table["val/t"] == {"columns": ["x", "y"], "rows": rows}
    run = Run.load(logger.run_dir)
    assert run.keys() == ["train/loss"] and run.steps.tolist() == [1, 2]


def test_names_follow_the_rules_of_log_step(make):
    memory = Memory()
    logger = make(memory)
    logger.log_text(1, {"note": "1", "layer/note": "2"})
    logger.log_text(1, {"val/note": "3", "val/code/note": "4"})
    logger.log_text(1, {"val/note": "5", "val_note": "6"}, split=None)
    logger.log_text(1, {"note": "7", "layer/note": "8"}, split="train")
    assert logger.flush()
    assert [(r.split, list(r.values)) for r in memory.records] == [
        ("train", ["train/note", "layer/note"]),
        ("val", ["val/note", "val/code/note"]),
        ("val", ["val/note", "val_note"]),
        ("train", ["train/note", "train/layer/note"]),
    ]


def test_only_writers_that_show_a_kind_get_it(make):
    memory, lines = Memory(), JSONL("lines.jsonl")
    logger = make(memory, lines, CSV())
    logger.log_histograms(1, h=np.arange(3))
    logger.log_images(1, i=np.zeros((2, 2)))
    logger.log_text(1, t="x")
    logger.close()
    assert [r.kind for r in memory.records] == ["histogram", "image", "text"]
    assert len(rows_of_kind(logger, "text")) == 1
    counts = read_lines(logger.run_dir / "events.jsonl")[0][-1]["writers"]
    assert counts["memory"]["offered"] == counts["memory"]["written"] == 3
    offered = {name: count["offered"] for name, count in counts.items()}
    assert offered == {"memory": 3, "metrics.jsonl": 3, "lines.jsonl": 1, "csv": 0}
    assert counts["lines.jsonl"]["skipped"] == 0


def test_every_does_not_apply_to_media(make):
    memory = Memory(every=50)
    logger = make(memory)
    logger.log_step(6, loss=1.0)
    logger.log_text(7, t="x")
    logger.log_step(7, loss=1.0)
    assert logger.flush()
    assert [(r.step, list(r.values)) for r in memory.records] == [
        (6, ["train/loss"]),
        (7, ["train/t"]),
    ]


def test_media_are_not_among_latest_values_and_need_no_order_of_steps(make):
    memory = Memory()
    logger = make(memory)
    logger.log_step(10, loss=1.0)
    logger.log_text(3, t="x")
    logger.log_text(3, t="y")
    logger.log_step(11, loss=2.0)
    assert logger.flush()
    assert logger.latest() == {"train/loss": 2.0}
    assert [r.step for r in memory.records] == [10, 3, 3, 11]


def test_a_run_continued_after_a_text_takes_earlier_steps(make):
    with make() as logger:
        logger.log_step(1, loss=1.0)
        logger.log_text(100, t="x")
    logger = make()
    logger.log_step(2, loss=2.0)
    assert logger.flush()
    assert Run.load(logger.run_dir).steps.tolist() == [1, 2]


def test_a_restore_sets_later_texts_aside_and_hides_later_events(make):
    logger = make(TensorBoard())
    logger.log_step(1, loss=1.0)
    logger.log_text(1, t="kept")
    state = logger.state()
    logger.log_text(2, t="set aside")
    logger.load_state(state)
    logger.log_text(2, t="again")
    assert logger.flush()
    assert [r["train/t"] for r in rows_of_kind(logger, "text")] == ["kept", "again"]
    events = tensorboard_of(logger).Tensors("train/t/text_summary")
    assert [e.tensor_proto.string_val[0] for e in events] == [b"kept", b"again"]


def test_no_writer_gets_a_secret_of_a_text_or_a_table(make):
    memory = Memory()
    logger = make(memory, TensorBoard())
    token = "hf_" + "x" * 30
    logger.log_text(1, note=f"use {token}", api_key="hush-hush")
    rows = [[f"key {token}", "hush-hush", 5], [None, 7, True]]
    logger.log_table(1, t=(["note", "password", "max_tokens"], rows))
    words = [["the", 0.5], [token, 0.25]]
    logger.log_table(1, words=(["token", "auth"], words))
    settings = [["lr", 0.1], ["api_key", "hush-hush"], ["max_tokens", 512]]
    logger.log_table(1, settings=(["parameter", "value"], settings))
    logger.close()
    text, table, by_word, by_name = memory.records
    hidden = "<redacted>"
    assert text.values == {"train/note": f"use {hidden}", "train/api_key": hidden}
    assert table.values["train/t"][1] == [[f"key {hidden}", hidden, 5]] + [
        [None, hidden, True]
    ]
    words[1][0] = hidden
    assert by_word.values["train/words"][1] == words
    settings[1][1] = hidden
    assert by_name.values["train/settings"][1] == settings
    for path in logger.run_dir.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert token.encode() not in data and b"hush" not in data


def test_a_donated_image_is_refused_by_name(make):
    logger = make(Memory())
    image = jnp.zeros((4, 4))
    image.delete()
    with pytest.raises(RuntimeError, match="'sample'.*deleted"):
        logger.log_images(1, sample=image)


@pytest.mark.parametrize(
    ("values", "warns"), [((-0.1, 1.0), 1), ((0.0, 1.1), 1), ((0.0, 1.0), 0)]
)
def test_floats_of_an_image_outside_their_range_are_told(make, caplog, values, warns):
    logger = make(Memory())
    logger.log_images(1, sample=np.array([values, values]))
    logger.close()
    told = f"floats from {values[0]:g} to {values[1]:g}, which are clipped to [0, 1]"
    assert caplog.text.count(told) == warns


@pytest.mark.parametrize(
    ("values", "warns"), [((-1.5, 0.0), 1), ((0.0, 5.0), 1), ((-1.0, 1.0), 0)]
)
def test_floats_of_a_sound_outside_their_range_are_told(make, caplog, values, warns):
    logger = make(Memory())
    for step in (1, 2):
        logger.log_audio(step, tone=np.array([*values, np.nan]), sample_rate=100)
    logger.close()
    told = f"floats from {values[0]:g} to {values[1]:g}, which are clipped to [-1, 1]"
    assert caplog.text.count(told) == warns


def test_arrays_are_fetched_on_the_threads_of_writers(make, monkeypatch):
    memory = Memory()
    logger = make(memory)
    threads = []
    asarray = np.asarray

    def watching(value, *rest, **options):
        if isinstance(value, jax.Array) and value.size > 1:
            threads.append(threading.current_thread().name)
        return asarray(value, *rest, **options)

    image, weights = jnp.zeros((2, 2)), jnp.arange(8.0)
    monkeypatch.setattr(np, "asarray", watching)
    logger.log_images(1, i=image)
    logger.log_histograms(1, h=weights)
    assert logger.flush()
    assert set(threads) <= {"jaxmetrics-memory", "jaxmetrics-metrics.jsonl"}
    assert len(threads) >= 2


def test_a_numpy_array_that_changes_after_the_call_is_logged_unchanged(make):
    memory = Memory()
    logger = make(memory)
    array = np.zeros((2, 2))
    with logger._lock:  # both calls come before any fetch could
        logger.log_images(1, i=array)
        logger.log_histograms(1, h=array)
        array += 1
    assert logger.flush()
    for record in memory.records:
        (value,) = record.values.values()
        assert not value.any()


def test_the_cells_of_a_table_are_those_of_its_call(make):
    memory = Memory()
    logger = make(memory)
    array, numbers, nested = np.zeros(2), [0], {"a": [0]}
    with logger._lock:  # the calls come before any fetch could
        logger.log_table(1, t=(["a", "b", "c"], [[array, numbers, nested]]))
        logger.log_table(2, t={"a": [array], "b": [numbers], "c": [nested]})
        array += 1
        numbers.append(1)
        nested["a"].append(1)
    assert logger.flush()
    for record in memory.records:
        assert record.values["train/t"][1] == [[[0.0, 0.0], [0], {"a": [0]}]]


def test_the_columns_of_a_table_may_be_arrays_on_a_device(make, monkeypatch):
    memory = Memory()
    logger = make(memory)
    column = jnp.arange(3.0)
    monkeypatch.setattr(type(column), "__iter__", None)  # a launch for each number
    logger.log_table(1, t={"x": column, "y": ["a", "b", column]})
    logger.log_table(2, t=(["x", "y"], column.reshape(1, 3)[:, :2]))
    assert logger.flush()
    first, second = (record.values["train/t"][1] for record in memory.records)
    assert first == [[0.0, "a"], [1.0, "b"], [2.0, [0.0, 1.0, 2.0]]]
    assert second == [[0.0, 1.0]]
    column.delete()
    with pytest.raises(RuntimeError, match="'t'.*deleted"):
        logger.log_table(3, t={"x": column})


@pytest.mark.parametrize("rate", [0, -1, 2**32, 8000.5, True, np.nan, "8000"])
def test_a_sample_rate_is_a_number_of_frames(make, rate):
    logger = make(Memory())
    with pytest.raises(ValueError, match="'a' with sample_rate=.*a whole number"):
        logger.log_audio(1, a=np.zeros(9), sample_rate=rate)
    logger.log_audio(2, a=np.zeros((9, 16)), sample_rate=np.float32(2**26))
    assert logger.flush()


def test_counted_histograms_are_logged_as_they_are(make):
    memory = Memory()
    logger = make(memory)
    logger.log_histograms(1, h=np.histogram([1.0, 2.0, 2.0], 2))
    assert logger.flush()
    counts, edges = memory.records[0].values["train/h"]
    assert counts.tolist() == [1, 2] and edges.tolist() == [1, 1.5, 2]


def test_histograms_are_left_out_unless_enabled(make, caplog):
    memory = Memory()
    logger = make(memory, enable_histograms=False)
    with caplog.at_level(logging.WARNING, "jaxmetrics"):
        logger.log_histograms(1, h=np.arange(3))
        logger.log_histograms(2, h=np.arange(3))
    logger.log_text(2, t="x")
    assert logger.flush()
    assert [record.kind for record in memory.records] == ["text"]
    assert [m for m in caplog.messages if "enable_histograms" in m] == [
        "Histograms are left out: enable_histograms is False."
    ]


def test_a_kind_that_no_writer_shows_is_warned_about_once(make, caplog):
    logger = make(root=None, console=True)
    with caplog.at_level(logging.WARNING, "jaxmetrics"):
        for step in range(3):
            logger.log_images(step, i=np.zeros((2, 2)))
    (message,) = caplog.messages
    assert "No writer of the run shows the values of log_images()" in message


@pytest.mark.parametrize(
    ("call", "value", "kind", "message"),
    [
        ("log_text", 1, TypeError, "type int, expected a str"),
        ("log_images", np.zeros(3), ValueError, r"shape \(3,\)"),
        ("log_images", np.zeros((2, 2, 2)), ValueError, r"shape \(2, 2, 2\)"),
        ("log_images", np.zeros((2, 2), int), ValueError, "int64"),
        ("log_images", jnp.zeros((0, 2)), ValueError, r"shape \(0, 2\)"),
        ("log_histograms", ["a"], TypeError, "expected real numbers"),
        ("log_histograms", jnp.zeros(2, complex), TypeError, "expected real numbers"),
        ("log_histograms", (1, 2, 3), ValueError, "3 parts"),
        ("log_histograms", ([1, 2], [1, 2]), ValueError, "one edge more"),
        ("log_histograms", ([1, -2], [1, 2, 3]), ValueError, "from -2 to 1"),
        ("log_histograms", ([1, np.nan], [1, 2, 3]), ValueError, "finite counts"),
        ("log_histograms", ([1, 2], [1, 3, 2]), ValueError, "ascending"),
        ("log_histograms", ([1, 2], [1, 2, np.inf]), ValueError, "finite edges"),
        ("log_histograms", (["a"], [1, 2]), ValueError, "'a'"),
        ("log_histograms", [[1.0], [1.0, 2.0]], ValueError, "expected one array"),
        ("log_histograms", jax.random.key(0), TypeError, r"key<fry>, expected real"),
        ("log_images", [np.zeros((2, 2)), np.zeros((3, 3))], ValueError, "one array"),
        ("log_table", [1, 2, 3], TypeError, "pair"),
        ("log_table", ("abc", [[1, 2, 3]]), TypeError, r"pair \(columns, rows\)"),
        ("log_table", (["a", "b"], ["xy"]), TypeError, r"pair \(columns, rows\)"),
        ("log_table", {"a": "xy", "b": [1, 2]}, TypeError, "dict of columns"),
        ("log_table", (["a"], [[1, 2]]), ValueError, "1 rows of another length"),
        ("log_table", (["a", "a"], []), ValueError, "different columns"),
        ("log_table", (["a"], [[1]] * 10_001), ValueError, "10001 rows"),
    ],
)
def test_a_value_of_another_kind_is_refused_and_the_others_are_logged(
    make, call, value, kind, message
):
    valid = {
        "log_text": "x",
        "log_images": np.zeros((2, 2)),
        "log_histograms": np.zeros(2),
        "log_table": (["a"], [[1]]),
    }
    memory = Memory()
    logger = make(memory)
    with pytest.raises(kind, match=message) as error:
        getattr(logger, call)(1, {"bad": value, "valid": valid[call]})
    assert f"{call}() got 'bad'" in str(error.value)
    assert logger.flush()
    assert list(memory.records[0].values) == ["train/valid"]


@pytest.mark.parametrize(
    ("call", "name"),
    [
        ("log_text", "texts"),
        ("log_images", "images"),
        ("log_figure", "figures"),
        ("log_audio", "sounds"),
        ("log_histograms", "arrays"),
        ("log_table", "tables"),
    ],
)
def test_a_value_without_a_name_is_refused_with_how_to_name_it(make, call, name):
    logger = make(Memory())
    options = {"sample_rate": 8000} if call == "log_audio" else {}
    message = rf"{call}\(\) got {name} of type ndarray.*{call}\(step, sample=value\)"
    with pytest.raises(TypeError, match=message):
        getattr(logger, call)(1, np.zeros((4, 4)), **options)
    with pytest.raises(TypeError, match=message):
        getattr(logger, call)(1, **{name: np.zeros((4, 4))}, **options)


def test_axes_and_pyplot_stand_for_their_figure(make):
    memory, figure = Memory(), Figure((2, 1))
    axes = figure.subplots()
    pyplot = types.SimpleNamespace(gcf=lambda: figure, savefig=figure.savefig)
    logger = make(memory)
    logger.log_figure(1, figure=figure, axes=axes, pyplot=pyplot)
    assert logger.flush()
    first, *others = memory.records[0].values.values()
    assert len(others) == 2 and all(np.array_equal(first, each) for each in others)


class Unreadable(Figure):
    """Values that are read from a file, which raises."""

    def __array__(self, dtype=None, copy=None):
        raise OSError("no data")

    def draw(self, renderer):
        b"\xff".decode()


def test_errors_of_the_values_of_a_call_are_one_of_a_built_in_type(make):
    memory = Memory()
    logger = make(memory)
    with pytest.raises(ValueError, match="(?s)can't decode.*can't decode") as error:
        logger.log_images(1, a=Unreadable(), b=Unreadable(), c=np.zeros((2, 2)))
    assert error.type is ValueError  # UnicodeDecodeError takes more than a text
    with pytest.raises(ValueError, match="'d'.*expected one array .no data"):
        logger.log_histograms(1, d=Unreadable(), e=np.zeros(2))
    assert logger.flush()
    assert [list(r.values) for r in memory.records] == [["train/c"], ["train/e"]]


def test_steps_are_integers_and_a_closed_logger_refuses_media(make):
    logger = make(Memory())
    with pytest.raises(TypeError, match="log_text.. got a step of type float"):
        logger.log_text(1.0, t="x")
    with pytest.raises(ValueError, match="log_table.. got step -1"):
        logger.log_table(-1, t=(["a"], []))
    logger.close()
    with pytest.raises(ValueError, match="closed"):
        logger.log_text(1, t="x")


def test_a_value_within_jit_is_refused(make):
    logger = make(Memory())

    @jax.jit
    def step(x):
        logger.log_histograms(1, h=x)
        return x

    with pytest.raises(TypeError, match="within jit"):
        step(jnp.zeros(3))


def test_a_text_with_control_characters_is_strict_json(make):
    logger = make()
    logger.log_text(1, t="\u2028 \x00 \U0001f600")
    assert logger.flush()
    last = (logger.run_dir / "metrics.jsonl").read_bytes().splitlines()[-1]
    assert last.isascii() and json.loads(last)["train/t"] == "\u2028 \x00 \U0001f600"
