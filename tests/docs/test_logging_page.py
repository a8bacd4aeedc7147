"""The line that the page on logging shows is what the console prints."""

import re
from pathlib import Path

from jaxmetrics.record import Record
from jaxmetrics.writers._console import segments
from jaxmetrics.writers._progress import Progress

PAGE = Path(__file__).parents[2] / "docs" / "logging.md"


def test_the_line_that_is_shown_is_what_is_printed():
    (shown,) = re.findall(r"^\[ .*$", PAGE.read_text(), re.MULTILINE)
    progress = Progress(100)
    progress.advance(25, 15.0)
    record = Record(50, "train", {"train/loss": 0.02, "lr/lr": 3e-4}, 30.0)
    parts = segments(record, False, 100, progress.advance(50, 30.0))
    assert "".join(text for text, _ in parts) == shown
