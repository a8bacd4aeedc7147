"""Every public name has an entry in the reference; `make docs` builds the entries."""

import importlib
import re
import runpy
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
HOOKS = runpy.run_path(str(DOCS / "hooks.py"))
PAGES = HOOKS["reference"]()
ENTRIES = [
    path
    for _, modules in PAGES.values()
    for paths in modules.values()
    for path in paths
]
MODULES = {f"jaxmetrics.{name}" for _, modules in PAGES.values() for name in modules}


def test_no_name_has_two_entries():
    assert len(ENTRIES) == len(set(ENTRIES))


@pytest.mark.parametrize("module", HOOKS["public_modules"]())
def test_every_public_name_has_an_entry(module):
    for name in importlib.import_module(module).__all__:
        paths = {f"jaxmetrics.{name}", f"{module}.{name}"}
        assert paths & (MODULES | set(ENTRIES)), f"{module}.{name} has no entry"


def test_every_test_that_the_guarantees_name_exists():
    text = (DOCS / "guarantees.md").read_text()
    named = set(re.findall(r"`(tests/[\w/.]+\.py)`", text))
    assert len(named) > 30
    assert [path for path in sorted(named) if not (DOCS.parent / path).exists()] == []


def test_code_in_tables_breaks_after_punctuation_only():
    row = "<td><code>a_b</code></td>\n<td><code>{}</code> a_b</td><code>a_b</code>"
    html = row.format("jm.count_where(a, x_1)")
    expected = row.format("jm.<wbr>count_<wbr>where(<wbr>a, x_<wbr>1)")
    assert HOOKS["on_page_content"](html) == expected
