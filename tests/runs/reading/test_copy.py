"""Runs in a mirror or in a bucket, read through a temporary copy."""

import gc
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from support.buckets import bucket, emulator

from jaxmetrics import Run, TrainingLogger
from jaxmetrics.cli import main
from jaxmetrics.record import PIECES_FOLDER, open_storage
from jaxmetrics.runs import (
    Tail,
    compare,
    find_run,
    find_runs,
    generate_page,
    generate_report,
    goodput,
)
from jaxmetrics.runs.reading._copy import is_stored_run

__all__ = ["bucket", "emulator"]


def logged(root, mirror, name="run", losses=(3.0, 2.0, 1.0)):
    with TrainingLogger("project", name, root, mirror=mirror, console=False) as logger:
        for step, loss in enumerate(losses, 1):
            logger.log_step(step, loss=loss)
        logger.log_images(1, sample=np.zeros((4, 4)))
    assert logger.wait_for_mirror()
    return logger.run_dir


def uploaded(run_dir, address):
    """Copy a run directory to a bucket as plain files."""
    storage = open_storage(address)
    for path in run_dir.rglob("*"):
        if path.is_file():
            *folders, name = path.relative_to(run_dir).parts
            place = storage
            for folder in folders:
                place = place.child(folder)
            place.write(name, path.read_bytes())


@pytest.fixture(params=["mirror folder", "mirror in a bucket", "files in a bucket"])
def remote(request, tmp_path, monkeypatch):
    """A run directory, and the address from which the same run is read."""
    monkeypatch.chdir(tmp_path)
    if request.param == "mirror folder":
        mirror = tmp_path / "mirror"
    else:
        mirror = request.getfixturevalue("bucket") + "/mirror"
    if request.param != "files in a bucket":
        return logged(tmp_path / "runs", mirror), f"{mirror}/project/run"
    run_dir = logged(tmp_path / "runs", None)
    uploaded(run_dir, f"{mirror}/project/run")
    return run_dir, f"{mirror}/project/run"


def test_a_run_is_read_as_from_its_own_folder(remote):
    run_dir, address = remote
    run, local = Run.load(address), Run.load(run_dir)
    assert run.name == local.name and run.address == address
    assert run["train/loss"][1].tolist() == [3.0, 2.0, 1.0]
    assert run.header == local.header
    (image,), (original,) = run.media, local.media
    assert not image.missing
    assert image.value[0].read_bytes() == original.value[0].read_bytes()
    assert goodput(address).keys() == goodput(run_dir).keys()


def test_the_temporary_copy_is_removed_with_the_run(remote):
    run = Run.load(remote[1])
    folder = run.path
    assert folder.is_dir()
    media = run.media
    del run, media
    gc.collect()
    assert not folder.exists() and not folder.parent.parent.exists()


def test_reports_are_written_to_the_current_folder(remote, tmp_path):
    address = remote[1]
    before = sorted(open_storage(address).names())
    report, page = generate_report(address), generate_page(address)
    assert report.parent == page.parent == tmp_path
    text = report.read_text()
    assert "| metrics.jsonl |" in text and "jaxmetrics-" not in text
    assert generate_report(address, save_dir="other").parent == Path("other")
    assert sorted(open_storage(address).names()) == before


def test_runs_are_found_by_address_by_project_and_below_a_root(remote):
    address = remote[1]
    project = address.rpartition("/")[0]
    root = project.rpartition("/")[0]
    places = [find_run(address), find_run(project), find_run("project/run", root)]
    assert [Run.load(place).name for place in places] == ["run"] * 3
    assert len(find_runs(project)) == 1
    with pytest.raises(FileNotFoundError, match="run at|neither"):
        Run.load(f"{project}/missing")


def test_commands_take_an_address(remote, capsys, tmp_path):
    run_dir, address = remote
    assert main(["tail", address, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["records"] == 3
    assert main(["report", address, "--no-plots", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["report"].startswith(str(tmp_path))
    assert main(["export", address, "--format", "json"]) == 0
    assert "train/loss" in capsys.readouterr().out
    assert main(["compare", address, str(run_dir), "--json"]) == 0
    assert address in json.loads(capsys.readouterr().out)["runs"].values()
    assert main(["report", f"{address}-missing"]) == 1
    assert "There is no run at" in capsys.readouterr().err


def test_tail_reads_the_pieces_that_are_new(tmp_path, bucket):
    options = {"root": tmp_path, "mirror": bucket, "console": False}
    with TrainingLogger("project", "run", **options) as logger:
        logger.log_step(1, loss=1.0)
        logger.state()
        assert logger.wait_for_mirror()
        tail = Tail(f"{bucket}/project/run")
        view = tail.read()
        assert view.metrics.records == 1 and view.name == "project/run"
        modified = (logger.run_dir / "metrics.jsonl").stat().st_mtime
        assert abs(view.changed - modified) < 0.01
        logger.log_step(2, loss=1.0)
        assert tail.read().metrics.records == 1
        logger.state()
        assert logger.wait_for_mirror()
        assert tail.read().metrics.records == 2


def test_runs_of_a_mirror_are_compared(tmp_path):
    mirror = tmp_path / "mirror"
    for name in ("a", "b"):
        logged(tmp_path / "runs", mirror, name)
    shutil.rmtree(tmp_path / "runs")
    assert sorted(compare([mirror / "project"]).runs) == ["a", "b"]


def test_a_damaged_last_copy_is_said_and_the_one_before_it_read(tmp_path):
    logged(tmp_path / "runs", tmp_path / "mirror")
    address = tmp_path / "mirror" / "project" / "run"
    first, *_, last = sorted((address / "pieces").iterdir())
    last.write_bytes(b"")
    with pytest.warns(UserWarning, match=f"{last.name}.*as of an earlier one"):
        run = Run.load(address)
    assert len(run) < 3
    first.write_bytes(b"")
    for path in (address / "pieces").iterdir():
        path.write_bytes(b"")
    with pytest.raises(FileNotFoundError, match="no copy of a run that is whole"):
        Run.load(address)


@pytest.mark.parametrize(
    "names, expected",
    [
        (["metrics.jsonl", "notes.md"], True),
        (["metrics.csv", "notes.md"], False),  # any folder of tables
        ([".hidden.json"], False),
        ([PIECES_FOLDER], True),
        ([], False),
    ],
)
def test_a_folder_in_a_bucket_is_a_run_by_its_names(names, expected):
    assert is_stored_run(names) == expected
