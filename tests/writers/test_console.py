"""Exact text of the console."""

import fcntl
import io
import math
import os
import re
import struct
import termios
from pathlib import Path

import numpy as np
import pytest
from support.clock import Clock

from jaxmetrics import LogConfig, TrainingLogger
from jaxmetrics.record import SHORT_NAMES, Record, UnnumberedRecord, escape
from jaxmetrics.writers import Console
from jaxmetrics.writers._console import format_value, line_parts, short_name

TRAIN = {
    "train/loss": 1.5,
    "lr/lr": 3e-4,
    "perf/mfu": 0.56,
    "perf/tokens_per_second": 364_000.0,
}


def line(record, compact=False):
    """Return the line of a record without colours."""
    return "".join(text for text, _ in line_parts(record, compact))


def test_standard_form():
    assert line(Record(1000, "train", TRAIN, 738.0)) == (
        "[  12.3m] step=1000 │ loss=1.500 │ lr=3.000e-04 │ mfu=56.0% │ "
        "tokens_per_sec=364,000"
    )


def test_without_a_step():
    values = {name: TRAIN[name] for name in ("train/loss", "lr/lr", "perf/mfu")}
    assert line(UnnumberedRecord(7, "train", values, 738.0)) == (
        "[  12.3m] loss=1.500 │ lr=3.000e-04 │ mfu=56.0%"
    )


def test_validation_form():
    values = {"val/loss": 1.2, "val/perplexity": 3.32}
    assert line(Record(1000, "val", values, 744.0)) == (
        "[  12.4m] [VAL] val_loss=1.200 │ val_perplexity=3.320"
    )


def test_compact_form():
    assert line(Record(1000, "train", TRAIN, 738.0), compact=True) == (
        "[12.3m] step=1000 | loss=1.500 | lr=3e-04 | mfu=0.56 | tok/s=364k"
    )


def test_compact_validation_form():
    record = Record(1000, "val", {"val/loss": 1.2, "perf/mfu": 0.5}, 744.0)
    assert line(record, compact=True) == ("[12.4m] [VAL] val_loss=1.200 | val_mfu=0.50")


def test_a_step_without_values():
    assert line(Record(3, "train", {}, 0.0)) == "[   0.0m] step=3"


@pytest.mark.parametrize(
    ("key", "split", "name"),
    [
        ("train/loss", "train", "loss"),
        ("perf/mfu", "train", "mfu"),
        ("perf/recent_mfu", "train", "recent_mfu"),
        ("perf/step_seconds", "train", "step_seconds"),
        ("perf/tokens_per_second", "train", "tokens_per_sec"),
        ("lr/lr", "train", "lr"),
        ("lr/head", "train", "lr/head"),
        ("grad/norm", "train", "grad_norm"),
        ("grad/norm/head", "train", "grad/norm/head"),
        ("mem/peak_bytes", "train", "mem/peak_bytes"),
        ("train_alpaca/loss", "train", "train_alpaca/loss"),
        ("test/loss", "test", "test_loss"),
        ("val/loss", "val", "val_loss"),
        ("val/val_loss", "val", "val_loss"),
        ("val_alpaca/loss", "val", "val_alpaca/loss"),
        ("perf/tokens_per_second", "val", "val_tokens_per_sec"),
        ("confusion/recall", "train", "confusion/recall"),
    ],
)
def test_short_names(key, split, name):
    assert short_name(key, split) == name


@pytest.mark.parametrize(
    ("key", "value", "standard", "compact"),
    [
        ("perf/tokens_per_second", 364_000.4, "364,000", "364k"),
        ("perf/tokens_per_second", 1_234_567.0, "1,234,567", "1.2M"),
        ("perf/samples_per_second", 0.0001, "1.000e-04", "1e-04"),
        ("train/count", 12, "12", "12"),
        ("train/count", 999, "999", "999"),
        ("train/count", 1000, "1,000", "1k"),
        ("train/count", 1500, "1,500", "1.5k"),
        ("train/count", 9400, "9,400", "9.4k"),
        ("train/count", 9960, "9,960", "10k"),
        ("train/count", 999_499, "999,499", "999k"),
        ("train/count", 999_500, "999,500", "1M"),
        ("train/count", -1500, "-1,500", "-1.5k"),
        ("train/count", 5_000_000_000_000_000, "5,000,000,000,000,000", "5000T"),
        ("perf/steps_per_second", 0.215, "0.215", "0.215"),
        ("perf/steps_per_second", 9.96, "9.960", "9.960"),
        ("perf/steps_per_second", 12.4, "12", "12"),
        ("perf/steps_per_second", 0.0, "0", "0"),
        ("perf/mfu", 0.564, "56.4%", "0.56"),
        ("perf/recent_mfu", 0.5, "50.0%", "0.50"),
        ("perf/hfu", 1e-4, "0.01%", "0.0001"),
        ("perf/mfu", 8.31e-6, "0.00083%", "8.3e-06"),
        ("perf/mfu", 0.0456, "4.6%", "0.046"),
        ("perf/mfu", 0.00999, "1.0%", "0.01"),
        ("perf/mfu", 0.0, "0.0%", "0.00"),
        ("goodput/goodput", 0.931, "93.1%", "0.93"),
        ("lr/lr", 3e-4, "3.000e-04", "3e-04"),
        ("lr/lr", 2.5e-4, "2.500e-04", "2.5e-04"),
        ("lr/lr", 0.1, "1.000e-01", "1e-01"),
        ("lr/lr", 0.0, "0.000e+00", "0e+00"),
        ("lr/head", 0.01, "1.000e-02", "1e-02"),
        ("train/learning_rate", 0.01, "1.000e-02", "1e-02"),
        ("train/loss", 1.5, "1.500", "1.500"),
        ("train/loss", 0.0, "0.000", "0.000"),
        ("train/loss", 1e-3, "0.001", "0.001"),
        ("train/loss", 9.99e-4, "9.990e-04", "9.99e-04"),
        ("train/loss", -9.99e-4, "-9.990e-04", "-9.99e-04"),
        ("train/loss", 999_999.0, "999999.000", "999999.000"),
        ("train/loss", 1e6, "1.000e+06", "1e+06"),
        ("train/loss", math.nan, "nan", "nan"),
        ("train/loss", math.inf, "inf", "inf"),
        ("perf/tokens_per_second", -math.inf, "-inf", "-inf"),
        ("perf/mfu", math.nan, "nan", "nan"),
        ("lr/lr", math.nan, "nan", "nan"),
    ],
)
def test_values(key, value, standard, compact):
    assert format_value(key, value) == standard
    assert format_value(key, value, compact=True) == compact


@pytest.mark.parametrize("compact", [False, True])
@pytest.mark.parametrize("key", ["train/loss", *SHORT_NAMES])
def test_of_every_value_at_least_one_digit_is_printed(key, compact):
    for value in 10.0 ** np.arange(-12, 3):
        for signed in (value, -value):
            text = format_value(key, signed, compact).replace(",", "")
            is_percent = text.endswith("%")
            printed = float(text.removesuffix("%")) / (100 if is_percent else 1)
            assert printed == pytest.approx(signed, rel=0.05), text


def test_control_characters_are_escaped():
    assert format_value("train/note", "a\x1b[31m\r\n") == r"a\x1b[31m\x0d\x0a"
    assert escape("\u202e\x9b\U000e0001") == r"\u202e\x9b\U000e0001"
    record = Record(1, "v\x1bal", {"v\x1bal/a\x07": 1.0}, 0.0)
    text = line(record)
    assert text.isprintable()
    assert text == r"[   0.0m] [V\x1bAL] v\x1bal_a\x07=1.000"


def write_two(console: Console, tmp_path: Path) -> None:
    """Write a finite and a NaN loss."""
    console.open(tmp_path, None)
    console.write(Record(1000, "train", {"train/loss": 1.5}, 738.0))
    console.write(Record(1001, "train", {"train/loss": math.nan}, 738.0))
    console.close()


class Terminal(io.StringIO):
    """Stream that looks like a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_file_gets_no_colours(tmp_path):
    file = io.StringIO()
    write_two(Console(file=file), tmp_path)
    assert file.getvalue() == (
        "[  12.3m] step=1000 │ loss=1.500\n[  12.3m] step=1001 │ loss=nan\n"
    )


def test_a_terminal_gets_the_same_text_with_colours(tmp_path, monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    file = Terminal()
    write_two(Console(file=file), tmp_path)
    coloured = file.getvalue()
    assert "\x1b[1;31mnan\x1b[0m" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == (
        "[  12.3m] step=1000 │ loss=1.500\n[  12.3m] step=1001 │ loss=nan\n"
    )


def test_a_long_line_is_not_wrapped_on_a_terminal(tmp_path, monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    file = Terminal()
    console = Console(file=file)
    console.open(tmp_path, None)
    console.write(Record(1, "train", {f"train/value_{i}": 1.0 for i in range(40)}, 0.0))
    console.flush()
    assert file.getvalue().count("\n") == 1


@pytest.mark.parametrize("how", ["environment", "argument"])
def test_colours_can_be_turned_off(tmp_path, monkeypatch, how):
    monkeypatch.setenv("TERM", "xterm-256color")
    if how == "environment":
        monkeypatch.setenv("NO_COLOR", "1")
    else:
        monkeypatch.delenv("NO_COLOR", raising=False)
    file = Terminal()
    write_two(Console(file=file, use_colors=how == "environment"), tmp_path)
    assert "\x1b" not in file.getvalue()


def test_standard_output_is_looked_up_at_opening(tmp_path, capsys):
    console = Console()
    write_two(console, tmp_path)
    assert capsys.readouterr().out.startswith("[  12.3m] step=1000 │ loss=1.500\n")


def test_an_encoding_without_the_separator_gets_an_ascii_one(tmp_path):
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding="ascii")
    write_two(Console(file=file), tmp_path)
    assert raw.getvalue().startswith(b"[  12.3m] step=1000 | loss=1.500\n")


def lines(console, tmp_path, records):
    """Return the lines that a console prints for records."""
    console.open(tmp_path, None)
    for record in records:
        console.write(record)
    console.close()
    return console._stream.getvalue().splitlines()


@pytest.fixture
def clock():
    return Clock(0.0)


def test_calls_within_a_second_are_one_line_of_their_split(tmp_path, clock):
    console = Console(file=io.StringIO(), clock=clock)
    console.open(tmp_path, None)

    def printed():
        text = console._stream.getvalue()
        console._stream.seek(0)
        console._stream.truncate()
        return text.splitlines()

    def write(step, split="train", **values):
        values = {f"{split}/{name}": value for name, value in values.items()}
        console.write(Record(step, split, values, 60.0 * step))

    write(1, accuracy=0.5)
    clock.now = 0.5
    write(1, "val", loss=2.0)
    clock.now = 0.7
    write(1, loss=1.0)
    write(1, "val", loss=2.5)
    console.idle()
    assert printed() == []
    clock.now = 1.0
    console.idle()
    assert printed() == ["[   1.0m] step=1 │ loss=1.000 │ accuracy=0.500"]
    clock.now = 1.2
    write(2, loss=3.0)
    assert printed() == []
    clock.now = 1.5
    write(2, more=1.0)  # a later call finds that the other line is due
    assert printed() == ["[   1.0m] [VAL] val_loss=2.500"]
    console.flush()
    assert printed() == ["[   2.0m] step=2 │ loss=3.000 │ more=1.000"]
    write(2, late=1.0)
    console.close()
    assert printed() == ["[   2.0m] step=2 │ late=1.000"]


def test_many_steps_within_a_second_are_printed_in_their_order(tmp_path, clock):
    console = Console(file=io.StringIO(), clock=clock)
    console.open(tmp_path, None)
    for step in range(200):
        console.write(Record(step, "train", {"train/loss": 1.0}, 0.0))
    printed = console._stream.getvalue().splitlines()
    assert len(printed) == 200 - 64  # the others wait
    console.close()
    printed = console._stream.getvalue().splitlines()
    expected = [f"[   0.0m] step={step} │ loss=1.000" for step in range(200)]
    assert printed == expected


def test_a_line_shows_the_losses_first_and_at_most_four_figures_of_performance():
    values = {
        "perf/step_max_seconds": 1.0,
        "perf/step_seconds": 0.5,
        "mem/peak_bytes": 5,
        "perf/samples_per_second": 8.0,
        "perf/mfu": 0.5,
        "lr/head": 0.1,
        "train/accuracy": 0.5,
        "grad/norm": 2.0,
        "grad/norm/layer": 3.0,
        "train/aux_loss": 0.25,
        "perf/tokens_per_second": 9.0,
        "lr/lr": 0.01,
        "train/loss": 1.5,
    }
    record = Record(7, "train", values, 0.0, tokens=5000, samples=3)
    assert line(record, compact=True) == (
        "[0.0m] step=7 | loss=1.500 | aux_loss=0.250 | accuracy=0.500 | grad_norm=2.000"
        " | lr=1e-02 | tokens=5k | samples=3 | step_seconds=0.500 | samples_per_sec=8"
        " | mfu=0.50 | tok/s=9"
    )


def test_figures_of_recent_steps_are_shown_where_there_are_both():
    values = {
        "perf/mfu": 0.5,
        "perf/recent_mfu": 0.25,
        "perf/tokens_per_second": 900.0,
        "perf/recent_tokens_per_second": 450.0,
        "perf/step_seconds": 0.5,
        "perf/step_max_seconds": 2.0,
    }
    assert line(Record(7, "train", values, 0.0), compact=True) == (
        "[0.0m] step=7 | recent_mfu=0.25 | recent_tokens_per_sec=450"
        " | step_seconds=0.500 | step_max_seconds=2.000"
    )
    console = Console(keys=("perf/mfu",), file=io.StringIO())
    console.open(None, None)
    console.write(console.select(Record(7, "train", values, 0.0)))
    console.close()
    assert console._stream.getvalue() == "[   0.0m] step=7 │ mfu=50.0%\n"


def test_of_several_learning_rates_one_is_shown():
    values = {"lr/head": 0.1, "lr/body": 0.2}
    assert line(Record(1, "train", values, 0.0), compact=True) == (
        "[0.0m] step=1 | lr/head=1e-01"
    )


def test_groups_are_not_shown_and_other_performance_fills_up():
    values = {f"grad/{name}": 1.0 for name in ("norm", "norm/a", "rms")}
    values |= {f"mem/{n}": n for n in range(4)} | {"perf/mfu": 0.5, "moe/a/b": 1.0}
    assert line(Record(1, "train", values, 0.0), compact=True) == (
        "[0.0m] step=1 | grad_norm=1.000 | grad/rms=1.000"
        " | mem/0=0 | mem/1=1 | mem/2=2 | mfu=0.50"
    )


def test_chosen_keys_are_all_shown_in_the_order_of_the_record(tmp_path):
    console = Console(keys=("perf/*", "train/loss"), file=io.StringIO())
    values = {f"perf/x{n}": 1.0 for n in range(6)} | {"train/loss": 1.0, "lr/lr": 1.0}
    record = console.select(Record(1, "train", values, 0.0))
    (shown,) = lines(console, tmp_path, [record])
    assert re.findall(r"(\w+)=1.000", shown) == [f"x{n}" for n in range(6)] + ["loss"]


def test_arrays_are_not_printed(tmp_path):
    console = Console(file=io.StringIO())
    arrays = {"train/per_class": [1.0, 2.0]}
    records = [
        Record(1, "train", {}, 0.0, arrays=arrays),
        Record(2, "train", {"train/loss": 1.0}, 0.0, arrays=arrays),
    ]
    assert lines(console, tmp_path, records) == ["[   0.0m] step=2 │ loss=1.000"]


@pytest.mark.parametrize("columns", [60, 40, 12, 200])
def test_a_line_fits_the_terminal(tmp_path, columns, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    reading, writing = os.openpty()
    fcntl.ioctl(writing, termios.TIOCSWINSZ, struct.pack("4H", 24, columns, 0, 0))
    with open(writing, "w", encoding="utf-8") as terminal:
        console = Console(file=terminal)
        console.open(tmp_path, None)
        console.write(Record(1000, "train", TRAIN, 738.0))
        console.close()
        shown = os.read(reading, 4096).decode().removesuffix("\r\n")
    os.close(reading)
    whole = line(Record(1000, "train", TRAIN, 738.0))
    parts = whole.split(" │ ")
    assert whole.startswith(shown)
    # Whole values are left out, from the end; the first part stays in any case.
    fits = [n for n in range(1, 6) if len(" │ ".join(parts[:n])) < columns]
    assert shown == " │ ".join(parts[: max(fits, default=1)])


def test_without_a_standard_output_nothing_is_printed(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.stdout", None)
    with TrainingLogger("p", "run", root=tmp_path) as logger:
        logger.log_step(1, loss=1.0)
        assert logger.flush()
    counts = logger.counters()
    assert counts["console"]["failed"] == 0
    assert counts["metrics.jsonl"]["written"] == 1


def test_a_stream_that_is_closed_meanwhile_stops_nothing(tmp_path):
    console = Console(file=(file := io.StringIO()), every=1)
    options = {"root": tmp_path, "writers": [console]}
    with TrainingLogger("p", "run", **options) as logger:
        logger.log_step(1, loss=1.0)
        assert logger.flush()
        assert file.getvalue() == "[   0.0m] step=1 │ loss=1.000\n"
        logger.log_step(2, loss=1.0)
        file.close()
        assert logger.flush()
        logger.log_step(3, loss=1.0)
        assert logger.flush()
    assert logger.counters()["console"]["failed"] == 0


def test_the_terminal_of_a_notebook_that_has_no_file_number_is_no_terminal(tmp_path):
    console = Console(file=Terminal(), use_colors=False)
    (shown,) = lines(console, tmp_path, [Record(1000, "train", TRAIN, 738.0)])
    assert shown == line(Record(1000, "train", TRAIN, 738.0))


def loss(step, time, split="train"):
    return Record(step, split, {f"{split}/loss": 1.5}, time)


def test_a_total_adds_progress_rate_and_time_left(tmp_path):
    console = Console(total_steps=4000, file=io.StringIO())
    records = [loss(1000, 600.0), loss(1010, 660.0, "val"), loss(1096, 630.0)]
    assert lines(console, tmp_path, records) == [
        "[  10.0m] step=1000/4000 │ loss=1.500 │ 25.0%",
        "[  11.0m] [VAL] val_loss=1.500",
        "[  10.5m] step=1096/4000 │ loss=1.500 │ 27.4% │ 3.2 steps/s │ eta 15m08s",
    ]


def test_the_compact_form_has_a_compact_progress(tmp_path):
    console = Console(total_steps=4000, compact=True, file=io.StringIO())
    assert lines(console, tmp_path, [loss(1000, 600.0), loss(1096, 630.0)]) == [
        "[10.0m] step=1000/4000 | loss=1.500 | 25.0%",
        "[10.5m] step=1096/4000 | loss=1.500 | 27.4% | 3.2/s | 15m08s",
    ]


def test_the_last_step_has_no_time_left_and_later_ones_exceed_100_percent(tmp_path):
    console = Console(total_steps=3, file=io.StringIO())
    printed = lines(console, tmp_path, [loss(1, 0.0), loss(3, 1.0), loss(4, 2.0)])
    assert [line.partition("1.500 │ ")[2] for line in printed] == [
        "33.3%",
        "100.0% │ 2.0 steps/s",
        "133.3% │ 1.0 steps/s",
    ]


def test_a_record_without_a_step_has_no_progress(tmp_path):
    console = Console(total_steps=3, file=io.StringIO())
    record = UnnumberedRecord(2, "train", {"train/loss": 1.5}, 0.0)
    assert lines(console, tmp_path, [record]) == ["[   0.0m] loss=1.500"]


def test_no_rate_spans_a_restart(tmp_path):
    console = Console(total_steps=100, file=io.StringIO())
    lines(console, tmp_path, [loss(10, 10.0)])
    console.open(tmp_path, 5)
    console.write(loss(20, 12.0))
    console.flush()
    console.load_state({"step": 10})
    console.write(loss(30, 14.0))
    console.write(loss(40, 16.0))
    console.close()
    printed = console._stream.getvalue().splitlines()
    assert [line.partition("1.500 │ ")[2] for line in printed] == [
        "10.0%",
        "20.0%",
        "30.0%",
        "40.0% │ 5.0 steps/s │ eta 12s",
    ]


@pytest.mark.parametrize("after", [(9, 11.0), (11, 10.0)])
def test_steps_or_seconds_that_do_not_increase_have_no_rate(tmp_path, after):
    console = Console(total_steps=100, file=io.StringIO())
    printed = lines(console, tmp_path, [loss(10, 10.0), loss(*after)])
    assert printed[1].endswith(f"{after[0]:.1f}%")


def test_a_terminal_gets_the_same_progress(tmp_path, monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    console = Console(total_steps=4, file=Terminal())
    (line,) = lines(console, tmp_path, [loss(1, 0.0)])
    assert re.sub(r"\x1b\[[0-9;]*m", "", line) == (
        "[   0.0m] step=1/4 │ loss=1.500 │ 25.0%"
    )


@pytest.mark.parametrize("total", [0, -1, float("nan"), "a"])
def test_a_total_below_one_is_refused(total):
    with pytest.raises((TypeError, ValueError), match=f"got total_steps={total!r}"):
        Console(total_steps=total)


def test_settings_of_the_logger_are_defaults():
    settings = LogConfig(print_every=7, compact_format=True, use_colors=False)
    console = Console(total_steps=9)
    console.configure(settings)
    assert (console.every, console.compact, console.use_colors) == (7, True, False)
    console = Console(every=2, compact=False, use_colors=True)
    console.configure(settings)
    assert (console.every, console.compact, console.use_colors) == (2, False, True)


def test_the_progress_of_a_resumed_run_is_in_training_seconds(tmp_path):
    def log(resume_step, steps, clock):
        file = io.StringIO()
        writers = [Console(total_steps=100, every=1, file=file)]
        options = {"root": tmp_path, "writers": writers, "clock": lambda: clock[0]}
        with TrainingLogger("p", "run", resume_step=resume_step, **options) as logger:
            for step in steps:
                clock[0] += 0.5
                logger.log_step(step, loss=1.0)
        return file.getvalue().splitlines()

    first = log(None, (10, 20, 30), [1000.0])
    assert first[-1] == (
        "[   0.0m] step=30/100 │ loss=1.000 │ 30.0% │ 20.0 steps/s │ eta 4s"
    )
    second = log(20, (21, 22), [9000.0])
    assert [line.partition("1.000 │ ")[2] for line in second] == [
        "21.0%",
        "22.0% │ 2.0 steps/s │ eta 39s",
    ]


def test_of_the_statistics_of_a_step_four_are_shown_and_no_flag():
    kinds = ("grad/rms", "grad/norm", "param/norm", "param/rms", "update/norm")
    values = {key: 0.5 for key in ("health/collected", *kinds, "update/ratio")}
    values |= {"train/loss": 1.0, "grad/norm/head": 0.5, "health/skipped": 0.5}
    assert line(Record(1, "train", values, 0.0)) == (
        "[   0.0m] step=1 │ loss=1.000 │ grad_norm=0.500 │ param_norm=0.500 │ "
        "update_norm=0.500 │ update/ratio=0.500 │ health/skipped=0.500"
    )
    few = {key: 0.5 for key in kinds[:4]}
    assert line(Record(1, "train", few, 0.0)).count("=0.500") == 4


def test_bounds_and_values_of_many_classes_are_left_out():
    values = {"train/auroc": 0.5, "train/auroc_error_bound": 0.5, "train/loss": 1.0}
    values |= {f"train/recall/{n}": 0.5 for n in range(5)}
    values |= {f"train/domain/{n}": 0.25 for n in range(4)}
    assert line(Record(1, "train", values, 0.0)) == (
        "[   0.0m] step=1 │ loss=1.000 │ auroc=0.500 │ domain/0=0.250 │ domain/1=0.250 "
        "│ domain/2=0.250 │ domain/3=0.250"
    )


@pytest.mark.parametrize("split", ["train", "val"])
def test_the_loss_of_the_split_is_before_those_of_its_datasets(split):
    keys = [f"{split}_web/loss", f"{split}/aux_loss", f"{split}/loss"]
    shown = line(Record(7, split, {key: 2.0 for key in keys}, 0.0), compact=True)
    places = [shown.index(f"{short_name(key, split)}=2") for key in keys]
    assert places[2] < places[0] < places[1]
