"""What the tests of pages share: runs written by hand, and pages taken apart."""

import json
import re
from html.parser import HTMLParser

from jaxmetrics.record import dumps

HOSTILE = "</script><img src=x onerror=alert(1)>&\u2028<!--{{data}}"
VOID = {"meta", "input", "img", "br", "hr", "link"}


def write_run(folder, rows, events=(), **header):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.json").write_text(dumps(header))
    for name, lines in (("metrics", rows), ("events", events)):
        text = "".join(f"{dumps(line)}\n" for line in lines)
        (folder / f"{name}.jsonl").write_text(text)
    return folder


def row(step, split="train", **values):
    values = {name.replace("__", "/"): value for name, value in values.items()}
    return {"step": step, "split": split, "time": 2.0 * step, **values}


class Document(HTMLParser):
    """The elements of a page, each closed as it was opened."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.elements, self.texts, self.ids = [], [], {}, []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        self.ids.extend(value for name, value in attributes if name == "id")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open:
            name = self.open[-1]
            self.texts[name] = self.texts.get(name, "") + data


def told(html):
    """What the data of a page says: its columns and its description."""
    found = re.search(r'<script id="data"[^>]*>(.*?)</script>', html, re.DOTALL)
    data = json.loads(found[1])
    return data["columns"], data["page"]


def table(page, title):
    return next(t for t in [*page["first"], *page["last"]] if t["title"] == title)


def named_run(root, name, rows, **header):
    """A run with a name, in a folder of that name."""
    return write_run(root / name, rows, **{"run_name": name, **header})


def rows_of(loss, steps=range(1, 11), tokens=10, seconds=2.0, key="train/loss"):
    """Rows with a loss that is a function of the step."""
    return [
        {"step": s, "split": "train", "time": seconds * s, "tokens": tokens * s}
        | {key: loss(s)}
        for s in steps
    ]


def two_runs(root):
    """A slow and a fast run, which differ in their configuration and clocks."""
    slow = named_run(
        root,
        "slow",
        rows_of(lambda s: 10.0 - s),
        hparams={"lr": 0.1, "model": {"layers": 2}},
        flops={"per_step": 100.0},
    )
    fast = named_run(
        root,
        "fast",
        rows_of(lambda s: 10.0 - 2 * s, steps=range(1, 5), tokens=40, seconds=8.0),
        hparams={"lr": 0.2, "model": {"layers": 2}, "warmup": 5},
        flops={"per_step": 300.0},
    )
    return [slow, fast]


def seed_runs(root):
    """Three seeds of one configuration, and two of another."""
    folders = []
    for rate, losses in ((0.1, (1.0, 2.0, 6.0)), (0.2, (5.0, 7.0))):
        for seed, loss in enumerate(losses):
            name, config = f"{rate}-{seed}", {"opt": {"lr": rate}, "seed": seed}
            rows = rows_of(lambda s, loss=loss: loss + 10 - s)
            folders.append(named_run(root, name, rows, hparams=config))
    return folders
