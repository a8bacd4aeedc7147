"""What of a run directory its processes copy."""

import pytest

from jaxmetrics.record import RunCopies, open_storage


@pytest.mark.parametrize("process, own", [(0, "run.json"), (3, "metrics.p3.jsonl")])
def test_a_folder_without_the_file_of_its_process_is_not_copied(tmp_path, process, own):
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    copies = RunCopies(open_storage(tmp_path / "mirror"), process)
    (run_dir / "events.jsonl").write_text("{}\n")
    (run_dir / "metrics.p1.jsonl").write_text("{}\n")
    with pytest.raises(FileNotFoundError):
        copies.sources(run_dir)
    (run_dir / own).write_text("{}\n")
    names = [source.name for source in copies.sources(run_dir)]
    assert own in names and "metrics.p1.jsonl" not in names
    assert ("events.jsonl" in names) == (process == 0)
