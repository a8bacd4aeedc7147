"""Run the blocks of docs/migration.md, and read back what they have logged.

Blocks whose libraries are not installed with the tests were run once:
`PYTHONPATH=.:tests python -m support.migration SECTION...` runs the first block of the
sections with what is installed, and keeps it and its values in
`tests/docs/frozen/migration.json`.
"""

import json
import os
import re
import sys
import tempfile
import time
from pathlib import Path

from support.readme import NOT_RUN

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "migration.md"
FROZEN = ROOT / "tests" / "docs" / "frozen" / "migration.json"


def sections(page=PAGE):
    """Return the Python blocks of each section, by title; "" has those before it."""
    blocks = {}
    for text in re.split(r"^## ", "\n" + page.read_text(), flags=re.MULTILINE):
        title = "" if not blocks else text.splitlines()[0]
        blocks[title] = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    return blocks


def run(code, setup):
    """Run a block after those that it continues from; return its names."""
    names = dict(setup, __name__="page")
    exec(compile(code, "<block>", "exec"), names)
    return names


def values(code, setup):
    """Run a block; return the numbers in `values`, or else what it has logged.

    It runs in the current folder, which should be empty.
    """
    names = run(code, setup)
    if "values" in names:
        return {name: float(value) for name, value in names["values"].items()}
    return logged(Path())


def logged(folder):
    """Return `[step, value]` by tag from files of TensorBoard, W&B or trackio."""
    points = {}
    for path in folder.rglob("*.tfevents*"):
        for tag, step, value in _tensorboard(path):
            points.setdefault(tag, []).append([step, value])
    for path in folder.rglob("*.wandb"):
        for tag, step, value in _wandb(path):
            points.setdefault(tag, []).append([step, value])
    for path in folder.rglob("*.db"):
        for tag, step, value in _trackio(path):
            points.setdefault(tag, []).append([step, value])
    return {tag: sorted(row) for tag, row in points.items()}


def _tensorboard(path):
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
    from tensorboard.util.tensor_util import make_ndarray

    for event in EventFileLoader(str(path)).Load():
        for value in event.summary.value:
            array = make_ndarray(value.tensor)
            if array.dtype.kind == "f" and array.size == 1:
                yield value.tag, event.step, float(array.reshape(()))


def _wandb(path):
    from support.wandb_file import records, rows

    while not any(r.WhichOneof("record_type") == "exit" for r in records(path)):
        time.sleep(0.01)  # wandb.finish() returns before the file is complete
    for row in rows(path):
        step = row.get("trainer/step", row["_step"])
        for name, value in row.items():
            if not name.startswith(("_", "trainer/")):
                yield name, step, float(value)


def _trackio(path):
    import sqlite3

    with sqlite3.connect(path) as database:
        for step, row in database.execute("select step, metrics from metrics"):
            for name, value in json.loads(row).items():
                yield name, step, float(value)


def main(titles):
    """Run the first block of the sections, and keep it with its values."""
    frozen = json.loads(FROZEN.read_text()) if FROZEN.exists() else {}
    blocks = sections()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TRACKIO_DIR"] = folder
        os.chdir(folder)
        setup = run(blocks[""][0], {})
        for title in titles:
            code = blocks[title][0]
            assert NOT_RUN in code, f"the tests run the block of {title}"
            frozen[title] = {"block": code, "values": values(code, setup)}
    FROZEN.parent.mkdir(exist_ok=True)
    FROZEN.write_text(json.dumps(frozen, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
