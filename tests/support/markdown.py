"""Render Markdown, and texts that would have an effect if they were not escaped."""

import re

from markdown_it import MarkdownIt

HOSTILE_TEXTS = (
    "<img src=x onerror=alert(1)>",
    "</code></pre><script>alert(1)</script>",
    "a|b|c",
    "`code` ``` fence",
    "[link](javascript:alert(1))",
    "![pic](http://evil/x.png)",
    "<javascript:alert(1)>",
    "http://evil.example/@me",
    "line\nbreak\r\n| cell | cell |\n\n# heading",
    "**bold** _it_ ~~gone~~ $x$",
    "&lt;b&gt; &#60;",
    "\\",
    "\\|",
    "-->",
    "---",
    "\x1b[31m\u202e\ud800\x00",
    "数据 é 😀",
    " ",
)


def rendered(body):
    """Return the HTML of a renderer that passes HTML through."""
    renderer = MarkdownIt("commonmark", {"html": True}).enable(
        ["table", "strikethrough"]
    )
    return renderer.render(body)


def cell_counts(html):
    """Return the number of cells of each row of each table."""
    rows = re.findall(r"<tr>(.*?)</tr>", html, re.S)
    return [len(re.findall(r"<t[hd][ >]", row)) for row in rows]
