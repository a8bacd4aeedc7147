"""Lone surrogates, as in file names that are not UTF-8, stop no writer or reader."""

import contextlib
import io
import json
import os
import shutil

import orjson
import pytest

from jaxmetrics import EpochTracker, Run, TrainingLogger, cli
from jaxmetrics.record import hparams_of, read_run_json
from jaxmetrics.writers import CSV, Console, TensorBoard, WandB

TEXT = "data/\udcff\ud800.txt"
ESCAPED = r"data/\udcff\ud800.txt"


@pytest.fixture
def run_dir(tmp_path, monkeypatch):
    """Folder of a run that got surrogates wherever it takes text."""
    monkeypatch.setenv("WANDB_SILENT", "true")
    writers = [CSV(), TensorBoard(), Console(file=io.StringIO()), WandB("offline")]
    hparams = {"path": TEXT, TEXT: [TEXT], "file": os.fsencode(TEXT[:6]), "a": {TEXT}}
    with TrainingLogger(
        "p", "run", root=tmp_path, writers=writers, hparams=hparams, tags=(TEXT,)
    ) as logger:
        logger.log_step(1, loss=1.0)
        logger.log_text(1, note=TEXT)
        logger.log_table(1, t=(["a", TEXT], [[TEXT, 1]]))
        logger.describe(note=TEXT)
        logger.ledger.event("note", text=TEXT, **{TEXT: 1})
        logger.log_hparams({"late": TEXT})
        for call in ({"metrics": {TEXT: 1.0}}, {"split": TEXT, "x": 1.0}):
            with pytest.raises(ValueError, match="printable"):
                logger.log_step(2, **call)
        assert logger.close()
        assert all(c["failed"] == 0 for c in logger.counters().values())
    return logger.run_dir


def command(*arguments):
    """Return the status of a command, and what it printed, as strict UTF-8."""
    out = io.TextIOWrapper(io.BytesIO(), "utf-8", errors="strict")
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        status = cli.main(list(map(str, arguments)))
    out.flush()
    return status, out.buffer.getvalue().decode()


def read_all(run_dir, folder):
    """Read a run with every reader that makes a file or prints."""
    run = Run.load(run_dir)
    run.to_pandas()
    copy = shutil.copytree(run_dir, folder / "copy", dirs_exist_ok=True)
    for arguments in (
        ("report", run_dir, "--no-plots", "--force"),
        ("tail", run_dir, "--once"),
        ("export", run_dir, "--format", "csv", "--output", folder / "e.csv"),
        ("export", run_dir, "--format", "json", "--output", folder / "e.json"),
        ("compare", run_dir, copy, "--page", folder / "c.html"),
    ):
        status, text = command(*arguments)
        assert status == 0, (arguments, text)
    return run


def test_every_writer_and_reader_takes_text_with_surrogates(run_dir, tmp_path):
    run = read_all(run_dir, tmp_path)
    assert run.config["path"] == ESCAPED and run.config[ESCAPED] == [ESCAPED]
    assert hparams_of(read_run_json(run_dir))["late"] == ESCAPED
    for path in run_dir.glob("*.json*"):
        for line in path.read_bytes().splitlines():
            orjson.loads(line)  # strict: it refuses what is not Unicode
    orjson.loads((tmp_path / "e.json").read_bytes())


def test_a_run_of_an_earlier_version_is_read(run_dir, tmp_path):
    for name in ("metrics.jsonl", "events.jsonl", "run.json"):
        text = (run_dir / name).read_text()
        assert (written := json.dumps(ESCAPED)) in text
        (run_dir / name).write_text(text.replace(written, json.dumps(TEXT)))
    read_all(run_dir, tmp_path)


def test_a_folder_whose_name_is_not_unicode_is_read(run_dir, tmp_path):
    folder = tmp_path / "p" / "\udcff"
    run_dir.rename(folder)
    (folder / "run.json").unlink()  # without it the folder gives the name
    read_all(folder, tmp_path)


def test_epochs_with_surrogates_are_written_and_read(tmp_path):
    tracker = EpochTracker(tmp_path, config={"path": TEXT})
    tracker.start_epoch(0)
    tracker.log_batch(loss=1.0, **{TEXT: 2.0})
    tracker.end_epoch()
    assert command("report", tmp_path, "--no-plots")[0] == 0
    assert EpochTracker(tmp_path).epochs[0].extra == {ESCAPED: 2.0}
