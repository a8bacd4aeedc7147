"""The pages of the documentation run as printed."""

import re
import runpy

import pytest
from support.readme import README, examples

PAGES = [README, *sorted((README.parent / "docs").glob("*.md"))]


EXAMPLES = [
    pytest.param(code, id=f"{page.stem}-{number}")
    for page in PAGES
    if page.stem != "datasets"  # whose output is looked at in a test of its own
    for number, code in enumerate(examples(page), 1)
]


@pytest.mark.parametrize("code", EXAMPLES)
def test_an_example_runs_as_printed(code, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "example.py"
    path.write_text(code)
    runpy.run_path(str(path), run_name="example")
    printed = capsys.readouterr().out
    assert "nan" not in printed and (printed or "print(" not in code)


def test_the_readmes_first_example_is_short():
    lines = [line for line in examples()[0].splitlines() if line.strip()]
    assert len(lines) <= 15


def test_every_page_is_linked_and_every_link_leads_somewhere():
    linked = set()
    for page in PAGES:
        for target in re.findall(r"[(`]([\w/.-]+\.md)[)`]", page.read_text()):
            places = (page.parent / target, README.parent / target)
            found = [place.resolve() for place in places if place.exists()]
            assert found, f"{page.name} names {target}"
            linked |= set(found)
    assert {page.resolve() for page in PAGES} - {README.resolve()} <= linked
