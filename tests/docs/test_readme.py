"""The examples of the README and of docs/ run as printed; links lead to pages."""

import re
import runpy

import pytest
from support.readme import NOT_RUN, PAGES, README, examples

EXAMPLES = [
    pytest.param(code, id=f"{page.stem}-{number}")
    for page in PAGES
    if page.stem
    not in ("datasets", "migration", "pods")  # pages with tests of their own
    for number, code in enumerate(examples(page), 1)
]


@pytest.fixture
def printed(tmp_path, monkeypatch, capsys):
    """Run code as a file in an empty folder; return what it prints."""
    monkeypatch.chdir(tmp_path)

    def run(code):
        path = tmp_path / "example.py"
        path.write_text(code)
        runpy.run_path(str(path), run_name="example")
        return capsys.readouterr().out

    return run


@pytest.mark.sampled(3)
@pytest.mark.parametrize("code", EXAMPLES)
def test_an_example_runs_as_printed(code, printed):
    output = printed(code)
    assert "nan" not in output and (output or "print(" not in code)


def test_the_first_example_of_the_readme_can_run_twice_and_prints_a_number(printed):
    for _ in range(2):
        assert re.search(r"^accuracy 0\.\d{3}$", printed(examples()[0]), re.MULTILINE)


def test_the_first_example_of_the_readme_has_at_most_15_lines():
    lines = [line for line in examples()[0].splitlines() if line.strip()]
    assert len(lines) <= 15


def test_a_block_that_is_not_run_names_the_reason():
    for page in PAGES:
        for line in page.read_text().splitlines():
            if NOT_RUN in line:
                assert re.search(rf"# {NOT_RUN}: \w+", line), f"{page.name}: {line}"


def test_every_page_is_linked_and_every_link_exists():
    linked = set()
    for page in PAGES:
        for target in re.findall(r"[(`]([\w/.-]+\.md)[)`]", page.read_text()):
            paths = (page.parent / target, README.parent / target)
            existing = {path.resolve() for path in paths if path.exists()}
            assert existing, f"{page.name} links to {target}, which does not exist"
            linked |= existing
    roots = {README.resolve(), README.parent.resolve() / "docs" / "index.md"}
    assert {page.resolve() for page in PAGES} - roots <= linked
