from support.pages import HOSTILE, Document

from jaxmetrics.record import Html, html_table


def test_every_text_is_shown_as_it_is():
    table = html_table([HOSTILE], [[HOSTILE, None]], HOSTILE)
    document = Document(table)
    shown = HOSTILE.replace("\u2028", "\\u2028")
    assert document.texts == {"caption": shown, "th": shown, "td": shown}
    names = {"table", "caption", "thead", "tbody", "tr", "th", "td"}
    assert {name for name, _ in document.elements} == names


def test_a_table_can_be_in_a_cell():
    inner = html_table((), [["<"]])
    assert isinstance(inner, Html) and inner in html_table((), [[inner]])


def test_columns_from_an_index_on_are_aligned_to_the_right():
    cells = Document(html_table(["a", "b"], [["c", "d"]], right=1)).elements
    styles = [attributes["style"] for name, attributes in cells if name in ("th", "td")]
    assert styles == ["text-align:left", "text-align:right"] * 2
