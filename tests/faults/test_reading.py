"""Readers under damaged and hostile input; `make soak` tries more of it."""

import copy
import json
import math
import os
import random
import resource
import struct
import warnings
import zlib
from pathlib import Path

import pytest
from support import wandb_file
from support.faults import run_in_process
from support.figures import figure, seed

from jaxmetrics import MetricsEntry, MetricsLog, TrainingLogger
from jaxmetrics.record import AppendFile, CorruptLineError, Record, dumps, read_lines
from jaxmetrics.runs import Run
from jaxmetrics.writers import CSV, Memory, TensorBoard

ROWS = [
    {"kind": "header", "schema": 1, "run_id": "r1"},
    {"step": 1, "split": "train", "time": 1.5, "tokens": 8, "train/loss": 2.5},
    {"step": 1, "split": "val", "time": 1.5, "samples": 2, "val/loss": "NaN"},
    {"kind": "text", "step": 2, "split": "val", "time": 2.0, "val/text": "hello"},
    {"step": 3, "split": "train", "time": 3.0, "train/loss": 2**62},
]
ENTRIES = [MetricsEntry(n, 10.0 * n, 1.0, 0.5, 64.0, {"lr": 0.1}) for n in range(4)]
EVENTS = [
    {"time": "1970-01-01", "attempt": n, "event": "start", "seconds": 1.0}
    for n in range(3)
]
RUN = {"schema": 1, "run_id": "r1", "hparams": {"lr": 0.1}, "attempts": EVENTS}
TABLE = b"step,split,time,train/loss,'=x\n1,train,1.0,2.5,\n2,val,2.0,nan,'=1+1\n"


def hostile_value(source):
    """Return the JSON of a value that is unusual in most places."""
    depth = source.choice((2, 40, 100, *range(900, 1000), 20_000))
    digits = source.choice((18, 19, 20, 308, 309, 400, 4300, 4301))
    return source.choice(
        (
            *("null", "true", "false", "0", "-1", "1.5", "-0.0", "1e308", "1e999"),
            *('""', '"x"', '"NaN"', '"Infinity"', '"\\ud800\\u0000"', '"1"', "NaN"),
            *("[]", "[1]", "[[1],[1,2]]", "{}", '{"a":1}', '{"a":{"b":[]}}'),
            *("9" * digits, "-" + "9" * digits, f'"{"9" * digits}"'),
            *("[" * depth + "]" * depth, '{"a":' * depth + "1" + "}" * depth),
        )
    )


def hostile_row(source, row):
    """Return a row with some fields missing, changed, new or duplicated."""
    fields = [(json.dumps(name), json.dumps(value)) for name, value in row.items()]
    for _ in range(source.randint(1, 3)):
        at = source.randrange(len(fields) + 1)
        name, value = source.choice(fields)
        if source.random() < 0.2:
            name = source.choice(('"step"', '"split"', '"kind"', '""', '"\\ud800"'))
        if source.random() < 0.8:
            value = hostile_value(source)
        fields[at : at + source.randint(0, 1)] = [(name, value)]
    return "{" + ",".join(f"{name}:{value}" for name, value in fields) + "}"


def damaged(source, data):
    """Return the data after up to three replacements, removals or insertions."""
    data = bytearray(data)
    for _ in range(source.randint(1, 3)):
        at = source.randrange(len(data))
        match source.randrange(5):
            case 0:
                data[at] = source.randrange(256)
            case 1:
                del data[at]
            case 2:
                data[at:at] = data[at : at + source.randint(1, 40)]
            case 3:
                data.insert(at, source.choice(b'\x00\n\r"\\{}[],\xff'))
            case 4 if at:
                del data[at:]
    return bytes(data)


def hostile_lines(source, rows):
    """Return a file of lines of which some are damaged."""
    lines = [json.dumps(row).encode() for row in rows]
    for _ in range(source.randint(1, 3)):
        at = source.randrange(len(lines))
        match source.randrange(4):
            case 0:
                lines[at] = source.randbytes(source.randint(0, 200))
            case 1:
                lines[at] = hostile_value(source).encode()
            case _:
                lines[at] = hostile_row(source, source.choice(rows)).encode()
    data = b"\n".join(lines) + source.choice((b"", b"\n"))
    return damaged(source, data) if source.random() < 0.5 else data


def fuzz(number, times, read):
    """Call `read(source)` with many seeds; the only error allowed is ValueError.

    Returns:
      The number of calls that returned; neither none nor all of them.
    """
    returned = 0
    for n in range(times):
        try:
            read(random.Random(f"{number}-{n}"))
            returned += 1
        except ValueError:
            continue
        except Exception as error:
            error.add_note(f"SEED={number}, input {n}")
            raise
    print(returned, "of", times, "were read")
    assert 0 < returned < times
    return returned


@pytest.fixture(autouse=True)
def _damage_is_expected(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda fd: None)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*(was cut off by a kill|missing)")
        yield


def test_lines_are_rows_or_named_as_damage_and_a_torn_tail_is_moved(tmp_path):
    path = tmp_path / "metrics.jsonl"

    def read(source):
        path.write_bytes(data := hostile_lines(source, ROWS))
        rows, bad = read_lines(path, errors="skip")
        complete = data.split(b"\n")[:-1]
        assert len(rows) + len(bad) == sum(line.strip() != b"" for line in complete)
        assert all(type(row) is dict for row in rows)
        with AppendFile(path) as file:
            assert file.position == data.rfind(b"\n") + 1
        assert read_lines(path, errors="skip") == (rows, bad)
        try:
            assert read_lines(path) == (rows, [])
        except CorruptLineError as error:
            assert error.line == bad[0][0]
            raise

    fuzz(seed(), figure(6000, 300_000), read)


def test_the_same_input_breaks_a_reader_without_checks(tmp_path):
    path = tmp_path / "metrics.jsonl"

    def read(source):
        path.write_bytes(hostile_lines(source, ROWS))
        for line in path.read_text().splitlines():
            json.loads(line)

    with pytest.raises(RecursionError):
        fuzz(seed(), 1000, read)


def read_with_little_memory(path, unlimited):
    """Return the number of rows around a line of 512 MiB, or the name of the error."""
    with open(path, "wb") as file:
        file.write(b"{}\n")
        file.seek(2**29)
        file.write(b"\n{}\n")
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    used = pages * os.sysconf("SC_PAGESIZE")
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**27, -1))
    try:
        with open(path, "rb") as file:
            rows = list(file) if unlimited else read_lines(path, errors="skip")[0]
    except MemoryError:
        return "MemoryError"
    return len(rows)


def test_a_huge_line_needs_little_memory_unless_the_reader_has_no_limit(tmp_path):
    assert run_in_process(read_with_little_memory, tmp_path / "file", False) == 2
    assert (
        run_in_process(read_with_little_memory, tmp_path / "file", True)
        == "MemoryError"
    )


@pytest.mark.filterwarnings("ignore:Run .* has different values for one step")
def test_a_run_is_read_or_its_damage_is_named(tmp_path):
    files = {"metrics.jsonl": ROWS, "events.jsonl": EVENTS, "run.json": [RUN]}

    def read(source):
        for name, rows in files.items():
            is_hostile = source.random() < 0.5
            data = "\n".join(map(json.dumps, rows)).encode() + b"\n"
            data = hostile_lines(source, rows) if is_hostile else data
            (tmp_path / name).write_bytes(data)
        run = Run.load(tmp_path, errors="skip")
        repr(run), run.name, run.config, run.summary()
        for key in run.keys():
            steps, values = run[key]
            assert len(steps) == len(values) > 0
        if source.random() < 0.02:
            run.to_pandas()
        strict = Run.load(tmp_path)
        assert run.bad == [] and strict.keys() == run.keys()

    fuzz(seed(), figure(3000, 150_000), read)


@pytest.mark.filterwarnings("ignore:Run .* has different values for one step")
def test_a_metrics_log_is_read_or_its_damage_is_named(tmp_path):
    path = tmp_path / "steps.jsonl"
    rows = [entry.line() for entry in ENTRIES]

    def read(source):
        path.write_bytes(hostile_lines(source, rows))
        Run.load(path, errors="skip").summary()
        log = MetricsLog.open(path)
        log.summary()
        assert all(dumps(entry.line()) for entry in log)
        log.record(ENTRIES[-1])
        assert len(MetricsLog.open(path)) == len(log)

    fuzz(seed(), figure(3000, 150_000), read)


def test_a_table_is_continued_or_set_aside(tmp_path):
    path, moved = tmp_path / "metrics.csv", tmp_path / "metrics.csv.damaged"
    lines = TABLE.splitlines(keepends=True)

    def read(source):
        written = [source.choice((line, damaged(source, line))) for line in lines]
        before = source.choice((b"".join(written), written[0]))
        path.write_bytes(before)
        writer = CSV()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*metrics.csv is damaged")
            writer.open(tmp_path, source.choice((None, 1)))
        for step in (8, 9):
            writer.write(Record(step, "train", {"train/loss": 1.0, "new": 2.0}, 0.0))
        writer.close()
        assert path.read_bytes().endswith(b"\n")
        if moved.exists():
            assert moved.read_bytes() == before[: before.rfind(b"\n") + 1]
            assert path.read_bytes().count(b"\n") == 3  # a header and both rows
            moved.unlink()
            raise ValueError("set aside")

    fuzz(seed(), figure(3000, 150_000), read)


def wandb_bytes(source, bodies):
    """Return an offline file of W&B with correct checksums."""
    data = wandb_file.MAGIC
    for body in bodies:
        cuts = sorted(source.choices(range(len(body) + 1), k=source.randint(0, 2)))
        parts = [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)])]
        kinds = [1] if len(parts) == 1 else [2, *[3] * (len(parts) - 2), 4]
        for kind, part in zip(kinds, parts):
            checksum = zlib.crc32(bytes([kind]) + part)
            data += struct.pack("<IHB", checksum, len(part), kind) + part
    return data


def test_a_wandb_file_is_read_or_its_damage_is_named(tmp_path):
    from wandb.proto.wandb_internal_pb2 import Record as Message

    path = tmp_path / "run.wandb"
    message = Message()
    for key, value in (("loss", "2.5"), ("text", '"x"'), ("bad", "NaN")):
        message.history.item.add(nested_key=["train", key], value_json=value)
    body = message.SerializeToString()

    def read(source):
        bodies = [source.choice((body, damaged(source, body))) for _ in range(4)]
        data = wandb_bytes(source, bodies)
        if source.random() < 0.5:
            data = damaged(source, data)
        path.write_bytes(data)
        list(wandb_file.rows(path))

    fuzz(seed(), figure(2000, 100_000), read)


def test_a_run_is_continued_or_refused(tmp_path):
    files = {"metrics.jsonl": ROWS, "events.jsonl": EVENTS, "run.json": [RUN]}
    run_dir = tmp_path / "p" / "run"
    run_dir.mkdir(parents=True)

    def read(source):
        for file in run_dir.iterdir():
            file.unlink()
        for name, rows in files.items():
            is_hostile = source.random() < 0.5
            data = "\n".join(map(json.dumps, rows)).encode() + b"\n"
            data = hostile_lines(source, rows) if is_hostile else data
            (run_dir / name).write_bytes(data)
        step = source.choice((None, 1))
        with TrainingLogger(
            "p", "run", root=tmp_path, console=False, resume_step=step
        ) as logger:
            logger.log_step(loss=1.0)
        rows = read_lines(run_dir / "metrics.jsonl", errors="skip")[0]
        assert rows[-1]["train/loss"] == 1.0

    fuzz(seed(), figure(1000, 50_000), read)


PLAIN = (None, True, -1, 0, 7, 2**70, 10**400, 1.5, math.nan, "x", "3", [], [1], {})


def hostile_state(source, state):
    """Return a state of which up to two parts are missing, new, or of another type."""
    state = copy.deepcopy(state)
    for _ in range(source.randint(1, 2)):
        at = state
        while True:
            name = source.choice([*at, "new"])
            if not isinstance(at.get(name), dict) or source.random() < 0.3:
                break
            at = at[name]
        if source.random() < 0.3:
            at.pop(name, None)
        else:
            at[name] = source.choice(PLAIN)
    return state


def test_a_state_is_restored_or_refused(tmp_path):
    writers = [CSV(), TensorBoard(), Memory(every=2)]
    with TrainingLogger("p", "run", root=tmp_path, writers=writers) as logger:
        for step in range(3):
            logger.log_step(step, loss=1.0)
        state = logger.state()

        def read(source):
            logger.log_step(loss=1.0)
            logger.load_state(hostile_state(source, state))

        fuzz(seed(), figure(2000, 100_000), read)
