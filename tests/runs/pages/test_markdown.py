import re
from html import unescape

import pytest
import yaml
from support.markdown import HOSTILE_TEXTS, cell_counts, rendered

from jaxmetrics.runs.pages._markdown import escape_markdown, front_matter, table


@pytest.mark.parametrize(
    "value", [*HOSTILE_TEXTS, "yes", "1", "null", "", ": # - {", "'\""]
)
def test_any_text_is_read_back_from_the_front_matter(value):
    fields = {"a": value, value: [value, {value: value}]}
    text = front_matter(fields).removeprefix("---\n").removesuffix("---\n")
    assert yaml.safe_load(text) == fields


@pytest.mark.parametrize("text", HOSTILE_TEXTS)
def test_a_cell_shows_its_text_and_stays_one_cell(text):
    html = rendered(table(("a", "b"), [(text, "x")]))
    (shown,) = re.findall(r"<td>(.*?)</td>", html, re.S)
    assert cell_counts(html) == [2, 2]
    if text.isprintable():
        assert unescape(shown) == text.strip()


def test_harmless_text_is_not_escaped():
    for text in ("train/loss_p95", "0.5 at epoch 3", "loss-1 (a, b): c;", "数据 é"):
        assert escape_markdown(text) == text
