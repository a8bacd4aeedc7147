"""A run of symbolic links, as in a store of artifacts, is read like any other."""

import numpy as np
import pytest
from support.runs import epoch, row, write_epochs, write_run

from jaxmetrics import runs
from jaxmetrics.record import dumps
from jaxmetrics.runs.reading import GrowingRun
from jaxmetrics.runs.reading._sample import rows_of_other_splits, sample_rows


def written_run(folder):
    rows = [row(n, train__loss=1.0 / n, grad__norm=float(n)) for n in range(1, 30)]
    rows += [row(n, "val", val__loss=2.0 / n) for n in (10, 20)]
    rows.append({"kind": "text", "step": 3, "split": "val", "val/note": "hello"})
    events = [{"event": "alarm", "kind": "spike", "step": 3, "time": 6.0}]
    header = dict(project="p", run_name="one", hparams={"lr": 0.1})
    write_run(folder, rows, events, attempts=[{"attempt": 1}], **header)
    (folder / "telemetry").mkdir()
    lines = dumps({"step": 5, "grad_norm": 2.0}) + "\n"
    (folder / "telemetry/telemetry.jsonl").write_text(lines)
    return folder


def linked(folder, target):
    """Return a folder with a link to each file of another one."""
    for path in folder.rglob("*"):
        link = target / path.relative_to(folder)
        link.parent.mkdir(parents=True, exist_ok=True)
        if path.is_file():
            link.symlink_to(path)
    return target


def loaded(folder):
    run = runs.Run.load(folder)
    columns = {key: [column.tolist() for column in run[key]] for key in run}
    return columns, run.config, run.events, run.telemetry, [*run.media]


def listed(folder):
    (entry,) = runs.list(folder.parent)
    return entry.to_dict() | {"path": None, "updated": None}


def grown(folder):
    growing = GrowingRun(folder)
    growing.update()
    return growing.run.config, [*growing.media], growing.run.events, growing.bad


def sampled(folder):
    path = folder / "metrics.jsonl"
    return sample_rows(path, 0, path.stat().st_size, 3).rows, rows_of_other_splits(path)


def report(folder):
    return runs.generate_report(folder, save_dir=folder.parents[1] / "out").read_text()


@pytest.mark.parametrize("read", [loaded, listed, grown, sampled, report])
def test_links_are_followed(tmp_path, read):
    folder = written_run(tmp_path / "runs/p/one")
    expected = read(folder)
    same = read(linked(folder, tmp_path / "linked/p/one"))
    np.testing.assert_equal(same, expected)


def test_links_to_epochs_are_followed(tmp_path):
    folder = write_epochs(tmp_path / "runs/p/one", epoch(0, 2.0), epoch(1, 1.0))
    link = linked(folder, tmp_path / "linked/p/one")
    assert loaded(link) == loaded(folder)
    assert "| Epochs | 2 |" in report(link)
