"""The console line in docs/logging.md is the line that the console prints."""

import io
import re
from pathlib import Path

from jaxmetrics.record import Record
from jaxmetrics.writers import Console

PAGE = Path(__file__).parents[2] / "docs" / "logging.md"


def test_the_documented_line_is_the_printed_line(tmp_path):
    (documented,) = re.findall(r"^\[ .*$", PAGE.read_text(), re.MULTILINE)
    file = io.StringIO()
    console = Console(total_steps=100, file=file)
    console.open(tmp_path, None)
    console.write(Record(25, "train", {"train/loss": 0.04}, 15.0))
    console.write(Record(50, "train", {"train/loss": 0.02, "lr/lr": 3e-4}, 30.0))
    console.flush()
    assert file.getvalue().splitlines()[-1] == documented
