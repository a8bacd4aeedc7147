"""The names of a run's files are written in one place."""

import ast
from pathlib import Path

import pytest

import jaxmetrics
from jaxmetrics.record import _run_files, process_metrics, process_of_file
from jaxmetrics.writers import CSV, JSONL

PACKAGE = Path(jaxmetrics.__file__).parent
# A folder's name is also the name of a package, an extra or a field.
NAMES = {
    value
    for name, value in vars(_run_files).items()
    if name.isupper() and not name.endswith("_FOLDER") and isinstance(value, str)
}


def file_names(path):
    """Yield (line, text) of each string in a file that is, or ends in, a name."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if node.value.rpartition("/")[2] in NAMES:
                yield node.lineno, node.value


def test_the_names_are_those_of_the_design():
    assert NAMES >= {"run.json", "metrics.jsonl", "events.jsonl", "summary.json"}
    assert NAMES >= {"telemetry.jsonl", "training_report.md", "training_metrics.csv"}


@pytest.mark.parametrize(
    "path",
    [path for path in PACKAGE.rglob("*.py") if path.name != "_run_files.py"],
    ids=lambda path: path.relative_to(PACKAGE).as_posix(),
)
def test_no_other_file_names_them(path):
    assert not list(file_names(path)), (
        f"{path} names a file of the run directory; import its name from "
        f"jaxmetrics.record"
    )


def test_the_search_finds_a_name_in_code_and_in_a_path(tmp_path):
    code = tmp_path / "code.py"
    code.write_text('"""About run.json."""\na = "run.json"\nb = "x/events.jsonl"\n')
    assert list(file_names(code)) == [(2, "run.json"), (3, "x/events.jsonl")]


@pytest.mark.parametrize("writer", [JSONL, CSV])
def test_no_writer_takes_the_file_of_another_part_of_the_run(writer):
    own = writer().file
    for name in [*NAMES - {own}, "Run.json", "media"]:
        with pytest.raises(ValueError, match=f"{name!r}, which another part.*{own!r}"):
            writer(name)
    assert writer("selected.csv").file == "selected.csv"


@pytest.mark.parametrize(
    ("name", "process"),
    [
        ("metrics.jsonl", 0),
        ("metrics.p1.jsonl", 1),
        ("metrics.p12.jsonl", 12),
        ("metrics.p1.jsonl.torn", 0),
        ("other.p1.jsonl", 0),
        ("run.json", 0),
    ],
)
def test_a_file_belongs_to_the_process_in_its_name(name, process):
    assert process_of_file(name) == process
    if name.startswith("metrics.p") and name.endswith("jsonl") or process == 0:
        assert process_metrics(process) in (name, "metrics.jsonl")
