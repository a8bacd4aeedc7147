"""Runs and epoch files written by hand."""

from jaxmetrics.record import EpochMetrics, atomic_write, dumps


def write_run(folder, rows, events=(), **header):
    """Write a run directory; rows and events may be lines of text."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.json").write_text(dumps(header))
    for name, lines in (("metrics", rows), ("events", events)):
        texts = (line if isinstance(line, str) else dumps(line) for line in lines)
        (folder / f"{name}.jsonl").write_text("".join(f"{text}\n" for text in texts))
    return folder


def named_run(root, name, rows, **header):
    """Write a run whose name is that of its folder."""
    return write_run(root / name, rows, **{"run_name": name, **header})


def write_epochs(folder, *epochs, run=None, config=None):
    """Write the file of an EpochTracker."""
    folder.mkdir(parents=True, exist_ok=True)
    description = {"kind": "epochs", "run": run or {}, "config": config or {}}
    content = description | {"epochs": [epoch.line() for epoch in epochs]}
    atomic_write(folder / "training_metrics.json", dumps(content).encode())
    return folder


def epoch(number, loss=1.0, **fields):
    """Return an epoch with a loss."""
    return EpochMetrics(number, loss_mean=loss, **fields)


def row(step, split="train", **values):
    """Return a row; `train__loss` names the key `train/loss`."""
    values = {name.replace("__", "/"): value for name, value in values.items()}
    return {"step": step, "split": split, "time": 2.0 * step, **values}


def rows_of(count, **values):
    """Return rows without time, whose values are functions of the step."""
    named = {name.replace("__", "/"): value for name, value in values.items()}
    return [
        {"step": step, "split": "train"}
        | {key: value(step) for key, value in named.items()}
        for step in range(1, count + 1)
    ]


def loss_rows(loss, steps=range(1, 11), tokens=10, seconds=2.0, key="train/loss"):
    """Return rows with a loss that is a function of the step, time and tokens."""
    return [
        {
            "step": step,
            "split": "train",
            "time": seconds * step,
            "tokens": tokens * step,
        }
        | {key: loss(step)}
        for step in steps
    ]


def two_runs(root):
    """Write a slow and a fast run with different configurations and speeds."""
    slow = named_run(
        root,
        "slow",
        loss_rows(lambda s: 10.0 - s),
        hparams={"lr": 0.1, "model": {"layers": 2}},
        flops={"per_step": 100.0},
    )
    fast = named_run(
        root,
        "fast",
        loss_rows(lambda s: 10.0 - 2 * s, steps=range(1, 5), tokens=40, seconds=8.0),
        hparams={"lr": 0.2, "model": {"layers": 2}, "warmup": 5},
        flops={"per_step": 300.0},
    )
    return [slow, fast]


def seed_runs(root):
    """Write three runs of one configuration and two of another, by seed."""
    folders = []
    for rate, losses in ((0.1, (1.0, 2.0, 6.0)), (0.2, (5.0, 7.0))):
        for seed, loss in enumerate(losses):
            name, config = f"{rate}-{seed}", {"opt": {"lr": rate}, "seed": seed}
            rows = loss_rows(lambda s, loss=loss: loss + 10 - s)
            folders.append(named_run(root, name, rows, hparams=config))
    return folders
