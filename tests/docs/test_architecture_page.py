"""The picture of the layers in docs/architecture.md has every package."""

import re
from pathlib import Path

import jaxmetrics

DOCS = Path(__file__).parents[2] / "docs"


def test_every_package_is_in_the_picture_of_the_layers():
    picture = (DOCS / "assets" / "layers.svg").read_text()
    root = Path(jaxmetrics.__file__).parent
    packages = {path.parent.name for path in root.glob("*/__init__.py")}
    shown = set(re.findall(r"\w+", " ".join(re.findall(r">([^<]+)<", picture))))
    assert len(packages) > 10
    assert packages <= shown, "add it to docs/figures.py, and run that file"
