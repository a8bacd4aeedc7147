"""Parts of HTML pages, for tests."""

import json
import re
from html.parser import HTMLParser

HOSTILE = "</script><img src=x onerror=alert(1)>&\u2028<!--{{data}}"
"""A text that would run a script if it reached a page as HTML."""

VOID_ELEMENTS = {"meta", "input", "img", "br", "hr", "link"}


class Document(HTMLParser):
    """Elements and texts of a page; asserts that elements are closed in order."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.elements, self.texts, self.ids = [], [], {}, []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        self.ids.extend(value for name, value in attributes if name == "id")
        if tag not in VOID_ELEMENTS:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open:
            name = self.open[-1]
            self.texts[name] = self.texts.get(name, "") + data


def page_data(html):
    """Return the columns and the content of a page, from its block of JSON."""
    match = re.search(r'<script id="data"[^>]*>(.*?)</script>', html, re.DOTALL)
    data = json.loads(match[1])
    return data["columns"], data["page"]


def table(page, title):
    """Return the table of a page with a title."""
    tables = [*page["tables_above"], *page["tables_below"]]
    return next(table for table in tables if table["title"] == title)
