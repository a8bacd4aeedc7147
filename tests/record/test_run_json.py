"""One reader and one writer of `run.json`, and one treatment of each damage."""

import os
import pickle

import pytest

from jaxmetrics import Run, TrainingLogger
from jaxmetrics.record import (
    CorruptLineError,
    RunJsonError,
    config_changes,
    hparams_of,
    read_run_json,
    write_run_json,
)
from jaxmetrics.writers import JSONL, TensorBoard

DAMAGED = {
    "cut off": (b'{"run_id":', "Expecting value"),
    "bare NaN": (b'{"run_id":"a","hparams":{"lr":NaN}}', "bare NaN is not JSON"),
    "list": (b"[1]", "it holds a JSON list"),
    "not UTF-8": (b'{"run_id":"\xff"}', "utf-8"),
    "too deep": (b"[" * 100_000, "nested too deep"),
    "attempts": (b'{"run_id":"a","attempts":3}', "'attempts' is of type int"),
    "an attempt": (b'{"run_id":"a","attempts":[1]}', "an entry that is not an object"),
    "tags": (b'{"run_id":"a","tags":"x"}', "'tags' is of type str, expected list"),
    "run_id": (b'{"run_id":1}', "'run_id' is of type int, expected str"),
    "run_name": (b'{"run_id":"a","run_name":[]}', "'run_name' is of type list"),
    "too large": (b" " * (2**24 + 1), "more than 16777216 bytes"),
}
ALLOWED = {
    "no fields": b"{}",
    "no run_id": b'{"run_name":"x"}',
    "scalar hparams": b'{"run_id":"a","hparams":5}',
    "unknown field": b'{"run_id":"a","later":[1,{"x":null}]}',
}


def test_what_was_written_is_read(tmp_path):
    run = {"run_id": "a", "hparams": {"lr": float("inf")}, "attempts": [{"attempt": 1}]}
    write_run_json(tmp_path, run)
    text = (tmp_path / "run.json").read_text()
    assert text.endswith("}\n") and text.count("\n") == 1
    assert read_run_json(tmp_path) == run | {"hparams": {"lr": "Infinity"}}


def test_without_the_file_there_is_no_description(tmp_path):
    assert read_run_json(tmp_path) is None
    assert read_run_json(tmp_path / "missing", required=("run_id",)) is None


@pytest.mark.parametrize("name", ALLOWED)
def test_absent_fields_and_any_configuration_are_no_damage(tmp_path, name):
    (tmp_path / "run.json").write_bytes(ALLOWED[name])
    assert isinstance(read_run_json(tmp_path), dict)
    assert isinstance(Run.load(tmp_path).config, dict)


@pytest.mark.parametrize("name", DAMAGED)
def test_logger_writers_and_readers_refuse_the_same_files_alike(tmp_path, name):
    data, reason = DAMAGED[name]
    run_dir = tmp_path / "p" / "run"
    run_dir.mkdir(parents=True)
    (run_dir / "run.json").write_bytes(data)
    calls = (
        lambda: read_run_json(run_dir),
        lambda: JSONL().open(run_dir, None),
        lambda: TensorBoard().open(run_dir, None),
        lambda: TrainingLogger("p", "run", root=tmp_path, writers=[]),
        lambda: Run.load(run_dir),
    )
    texts = set()
    for call in calls:
        with pytest.raises(RunJsonError, match=reason) as caught:
            call()
        assert caught.value.path == run_dir / "run.json"
        texts.add(str(caught.value))
    (text,) = texts
    assert text.startswith(f"{run_dir / 'run.json'} is not the description of a run (")
    assert "Repair it or move it away" in text
    assert (run_dir / "run.json").read_bytes() == data
    run = Run.load(run_dir, errors="skip")
    assert [(file, line) for file, line, _ in run.bad] == [("run.json", 1)]


def test_a_run_without_an_id_is_read_but_not_continued(tmp_path):
    run_dir = tmp_path / "p" / "run"
    run_dir.mkdir(parents=True)
    (run_dir / "run.json").write_text('{"run_name":"x"}')
    assert Run.load(run_dir).name == "x"
    with pytest.raises(RunJsonError, match="it has no run_id"):
        TrainingLogger("p", "run", root=tmp_path, writers=[])


def test_a_pipe_in_place_of_the_file_is_refused_without_hanging(tmp_path):
    os.mkfifo(tmp_path / "run.json")
    with pytest.raises(OSError, match="not a regular file"):
        read_run_json(tmp_path)


def test_a_replacement_that_fails_leaves_the_old_description(tmp_path):
    write_run_json(tmp_path, {"run_id": "a"})
    with pytest.raises(TypeError, match="bytes at value"):
        write_run_json(tmp_path, {"run_id": b"b"})
    assert read_run_json(tmp_path) == {"run_id": "a"}
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


@pytest.mark.parametrize(
    ("hparams", "mapping"),
    [({"lr": 1}, {"lr": 1}), ([1], {"hparams": [1]}), (5, {"hparams": 5}), (None, {})],
)
def test_a_configuration_is_always_a_mapping(hparams, mapping):
    assert hparams_of({"hparams": hparams}) == mapping
    assert hparams_of({}) == {}


def test_the_configuration_is_the_union_over_the_attempts():
    attempts = [
        {"hparams": {"a": 1, "b": 1}},
        {},
        {"hparams": [2]},
        {"hparams": {"a": 3}},
    ]
    run = {"attempts": attempts}
    assert hparams_of(run) == {"a": 3, "b": 1, "hparams": [2]}
    assert run == {"attempts": attempts} and attempts[0] == {
        "hparams": {"a": 1, "b": 1}
    }
    assert hparams_of(run | {"hparams": {"c": 4}})["c"] == 4


def test_attempts_of_a_large_file_keep_only_what_they_changed(tmp_path):
    def attempt(number):
        return {"attempt": number, "hparams": {"text": "x" * 50_000, "time": number}}

    few = {"run_id": "a", "attempts": [attempt(number) for number in range(10)]}
    write_run_json(tmp_path, few)
    assert read_run_json(tmp_path) == few
    many = {"run_id": "a", "attempts": [attempt(number) for number in range(500)]}
    write_run_json(tmp_path, many)
    run = read_run_json(tmp_path)
    assert (tmp_path / "run.json").stat().st_size < 200_000
    assert hparams_of(run) == hparams_of(many)
    assert config_changes(run) == config_changes(many)
    assert run["attempts"][7] == {"attempt": 7, "hparams": {"time": 7}}
    assert len(many["attempts"][7]["hparams"]["text"]) == 50_000


def test_a_description_that_no_reader_would_take_is_refused(tmp_path):
    write_run_json(tmp_path, {"run_id": "a" * (2**24 - 28)})
    assert read_run_json(tmp_path)
    with pytest.raises(ValueError, match=r"run.json would have .* bytes; expected"):
        write_run_json(tmp_path, {"run_id": "a" * 2**24})
    assert len(read_run_json(tmp_path)["run_id"]) == 2**24 - 28


def test_the_error_is_one_of_damaged_lines_and_travels_between_processes(tmp_path):
    error = pickle.loads(pickle.dumps(RunJsonError(tmp_path / "run.json", reason="r")))
    assert isinstance(error, CorruptLineError)
    assert (error.path, error.line, error.reason) == (tmp_path / "run.json", 1, "r")
    assert "(r)" in str(error)
