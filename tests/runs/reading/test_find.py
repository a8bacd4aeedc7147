import errno
import os
import pickle

import pytest
from support.runs import epoch, named_run, row, write_epochs

from jaxmetrics import runs
from jaxmetrics.runs import Run, Tail, compare, find_run, find_runs
from jaxmetrics.runs.reading import RunNotFoundError, load_history, runs_below
from jaxmetrics.runs.view._bucket import open_root


@pytest.fixture
def make(tmp_path, monkeypatch):
    """Make runs below `runs` in the working directory, last written at a time."""
    monkeypatch.chdir(tmp_path)

    def make(name, time):
        folder = named_run(tmp_path / "runs", name, [row(1, train__loss=1.0)])
        for path in folder.iterdir():
            os.utime(path, (time, time))
        return folder

    return make


def test_a_run_is_found_by_path_name_or_project(make, tmp_path):
    old, new = make("demo/one", 1000), make("demo/two", 2000)
    (tmp_path / "runs/demo/cache").mkdir()
    root = tmp_path / "runs"
    assert find_run(old) == old
    assert find_run(old / "metrics.jsonl") == old / "metrics.jsonl"
    assert find_run("demo/one", root) == old
    assert find_run("demo", root) == new
    assert find_run(root / "demo") == new


def test_all_runs_of_a_project_or_a_pattern_are_found(make, tmp_path):
    two, one, old = (make(f"demo/{n}", 9) for n in ("two", "one", "two.old-1"))
    root = tmp_path / "runs"
    assert find_runs("demo", root) == find_runs(root / "demo") == [one, two]
    assert find_runs("demo/t*", root) == find_runs(root / "demo" / "t*") == [two]
    assert find_runs("demo/two.old-1", root) == [old]
    assert find_runs(two / "metrics.jsonl") == [two / "metrics.jsonl"]
    with pytest.raises(FileNotFoundError, match="There is no run at demo/x"):
        find_runs("demo/x*")


def test_replaced_runs_are_found_only_by_name(make, tmp_path):
    new = make("demo/two", 2000)
    replaced = make("demo/two.old-1", 3000)
    assert find_run("demo", tmp_path / "runs") == new
    assert find_run("demo/two.old-1", tmp_path / "runs") == replaced


def test_only_folders_with_a_number_after_old_are_replaced_ones(make):
    style = make("demo.old-school/x.old-style", 1000)
    make("demo.old-school/x.old-12", 1000)
    names = ["demo.old-school/x.old-style"]
    for found in (find_runs("demo.old-school"), find_runs("demo.old-school/x*")):
        assert [f"{path.parent.name}/{path.name}" for path in found] == names
    assert runs_below(style.parent.parent) == [style]
    assert [id for id, _ in open_root("runs").runs()] == names


def test_a_folder_without_runs_does_not_hide_a_project(make, tmp_path):
    make("demo/one", 1000)
    (tmp_path / "demo" / "checkpoints").mkdir(parents=True)
    assert [entry.id for entry in runs.list("demo")] == ["demo/one"]
    named_run(tmp_path / "demo" / "checkpoints", "here", [row(1, train__loss=1.0)])
    assert [entry.id for entry in runs.list("demo")] == ["checkpoints/here"]


def test_names_below_runs_are_understood_wherever_a_run_is_read(make):
    folder = make("demo/one", 1000)
    (folder / "events.jsonl").write_text("")
    assert Tail("demo/one").read().metrics.step == 1
    assert runs.goodput("demo/one") == runs.goodput(folder)
    assert open_root("demo").path == folder.parent.resolve()
    write_epochs(folder.parent / "epochs", epoch(1))
    assert load_history("demo/epochs").unit == "epoch"
    assert load_history("demo/epochs").series["train/loss"][0].tolist() == [1]


def test_brackets_in_the_root_are_no_pattern(make, tmp_path):
    run = make("demo/one", 1000)
    root = (tmp_path / "runs").rename(tmp_path / "runs[1]")
    found = root / run.relative_to(tmp_path / "runs")
    assert find_runs("demo/o*", root) == find_runs("demo", root) == [found]


def test_of_runs_written_at_the_same_time_the_later_name_is_found(make):
    make("demo/two", 1000)
    make("demo/one", 1000)
    assert find_run("demo").name == "two"


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("demo/onee", "Did you mean demo/one?"),
        ("runs/demo/onn", "Did you mean demo/one?"),
        ("one", "Did you mean demo/one?"),
        ("nothing-like-it", "The latest run in runs is demo/three."),
    ],
)
def test_an_unknown_name_is_an_error_that_names_a_similar_run(make, name, suggestion):
    make("demo/one", 1000)
    make("demo/three", 2000)
    problem = f"There is no run at {name}, and no {name} in runs."
    with pytest.raises(FileNotFoundError) as caught:
        find_run(name)
    assert str(caught.value) == f"{problem} {suggestion}"
    assert caught.value.problem == problem


def test_a_folder_without_a_run_is_not_called_missing(make):
    make("demo/one", 1000)
    os.mkdir("runs/empty")
    for name in ("empty", "runs/empty"):
        with pytest.raises(RunNotFoundError) as caught:
            find_run(name)
        assert caught.value.problem == "There is no run in the folder runs/empty."


def test_without_any_run_the_error_names_the_arguments_of_the_function(tmp_path):
    with pytest.raises(
        RunNotFoundError, match="There are no runs in .* root="
    ) as caught:
        find_run("x", tmp_path)
    assert caught.value.suggestion is None
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (str(copy), copy.problem) == (str(caught.value), caught.value.problem)


def test_a_tilde_is_the_home_directory(make, tmp_path, monkeypatch):
    run = make("demo/one", 1000)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find_run("demo/one", root="~/runs") == run
    assert find_runs("~/runs/demo") == [run]
    assert len(Run.load("~/runs/demo/one")) == 1
    assert Tail("~/runs/demo/one").read().metrics.step == 1


def test_a_folder_that_cannot_be_read_is_left_out_with_a_warning(make, monkeypatch):
    run, locked = make("demo/one", 1000), make("locked/one", 1000).parent
    scandir = os.scandir

    def refusing(path):
        if os.fspath(path) == os.fspath(locked):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)  # root may read everything
    with pytest.warns(UserWarning, match="locked'; its runs are left out"):
        assert runs_below(locked.parent) == [run]
    with pytest.raises(PermissionError):
        runs_below(locked)


def test_names_below_runs_are_loaded_compared_and_listed_as_at_the_command_line(make):
    for name in ("sweep/a", "sweep/b"):
        make(name, 1000)
    both = ["sweep/a", "sweep/b"]
    assert Run.load("sweep/a").name == "sweep/a"
    assert list(compare("sweep").runs) == list(compare("sweep/*").runs) == both
    assert list(compare(["runs/sweep/a", "sweep/b"]).runs) == both
    assert len(runs.list("sweep")) == 2


def test_what_is_there_under_a_name_wins_over_what_is_below_runs(make, tmp_path):
    make("sweep/a", 1000)
    named_run(tmp_path, "sweep/a", [row(7, train__loss=2.0)])
    assert Run.load("sweep/a").steps.tolist() == [7]
    assert runs.list("sweep")[0].step == 7


def test_a_folder_of_runs_is_no_run_and_the_error_names_one(make):
    folder = make("sweep/a", 1000)
    with pytest.raises(
        FileNotFoundError, match="a folder of runs; expected one of"
    ) as e:
        Run.load(folder.parent)
    assert f"Load {folder}, or pass the folder to runs.list()" in str(e.value)
