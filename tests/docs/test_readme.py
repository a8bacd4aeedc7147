"""The examples of the README and of docs/ run as printed; links lead to pages."""

import re
import runpy

import pytest
from support.readme import README, examples

PAGES = [README, *sorted((README.parent / "docs").glob("*.md"))]


EXAMPLES = [
    pytest.param(code, id=f"{page.stem}-{number}")
    for page in PAGES
    if page.stem
    not in ("datasets", "migration", "pods")  # pages with tests of their own
    for number, code in enumerate(examples(page), 1)
]


@pytest.mark.parametrize("code", EXAMPLES)
def test_an_example_runs_as_printed(code, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "example.py"
    path.write_text(code)
    runpy.run_path(str(path), run_name="example")
    output = capsys.readouterr().out
    assert "nan" not in output and (output or "print(" not in code)


def test_the_first_example_of_the_readme_has_at_most_15_lines():
    lines = [line for line in examples()[0].splitlines() if line.strip()]
    assert len(lines) <= 15


def test_every_page_is_linked_and_every_link_exists():
    linked = set()
    for page in PAGES:
        for target in re.findall(r"[(`]([\w/.-]+\.md)[)`]", page.read_text()):
            paths = (page.parent / target, README.parent / target)
            existing = {path.resolve() for path in paths if path.exists()}
            assert existing, f"{page.name} links to {target}, which does not exist"
            linked |= existing
    assert {page.resolve() for page in PAGES} - {README.resolve()} <= linked
