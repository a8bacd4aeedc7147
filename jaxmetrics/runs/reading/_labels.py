"""Chart titles and axis labels that follow from the name of a key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from jaxmetrics.record import PREFIXES
from jaxmetrics.runs.reading._quantities import own_key

_UNITS: Mapping[str, str] = {
    "per_second": "/ second",
    "per_sec": "/ second",
    "seconds": "(seconds)",
    "sec": "(seconds)",
    "bytes": "(bytes)",
    "mb": "(MiB)",
}
_EPOCH_LOSS = "loss_mean"  # column of the epoch files, beside the project's keys
_RATIOS = frozenset({"mfu", "recent_mfu", "hfu", "goodput", "accuracy"})


def is_telemetry(key: str) -> bool:
    """Return whether a key measures the training itself, such as `grad/norm`.

    Other keys are metrics of a split.
    """
    return f"{key.partition('/')[0]}/" in PREFIXES


def chart_title(key: str) -> str:
    """Return the title of the chart of a key; keys with one title share a chart.

    >>> chart_title("val_code/loss"), chart_title("grad/norm/head")
    ('loss', 'grad/norm')
    >>> chart_title("grad/norm_max")
    'grad/norm_max'
    """
    head, _, rest = key.partition("/")
    if not is_telemetry(key):
        return rest or head
    return "lr/" if head == "lr" else "/".join(key.split("/")[:2])


def grouped_by_chart(names: Iterable[str]) -> dict[str, list[str]]:
    """Return names by the title of the chart in which they are drawn together.

    Names of one quantity in several splits share a chart, whatever their spelling.

    >>> grouped_by_chart(["loss_mean", "train/lr", "val_loss", "train/loss"])
    {'loss': ['loss_mean', 'val_loss', 'train/loss'], 'lr/': ['train/lr']}
    """
    groups: dict[str, list[str]] = {}
    for name in names:
        key, factor = own_key("train/loss" if name == _EPOCH_LOSS else name)
        title = chart_title(key if factor == 1.0 else name)
        groups.setdefault(title, []).append(name)
    return groups


def importance(key: str) -> int:
    """Return the rank of a key where there is no room for all, the smallest first.

    Losses come first, then other metrics of splits, then measurements of the training,
    under every name that the logger knows.

    >>> keys = ["perf/mfu", "mem/peak_bytes", "train/learning_rate", "val/acc", "loss"]
    >>> sorted(keys, key=importance)
    ['loss', 'val/acc', 'train/learning_rate', 'perf/mfu', 'mem/peak_bytes']
    """
    own, _ = own_key(key)
    if not is_telemetry(own):
        return 0 if own.rpartition("/")[2] == "loss" else 1
    order = ("lr", "grad", "perf")
    head = own.partition("/")[0]
    return 2 + (order.index(head) if head in order else len(order))


def most_important(keys: Sequence[str], count: int) -> list[str]:
    """Return at most `count` keys, the most important ones, in their order.

    >>> most_important(["grad/a", "grad/b", "loss"], 2)
    ['grad/a', 'loss']
    """
    if len(keys) <= count:
        return list(keys)
    kept = set(sorted(keys, key=importance)[:count])
    return [key for key in keys if key in kept]


def axis_label(key: str) -> str:
    """Return the label of the y axis of a key, with its unit.

    >>> axis_label("perf/tokens_per_second"), axis_label("perf/step_seconds")
    ('tokens / second', 'step (seconds)')
    >>> axis_label("train/loss")
    'loss'
    """
    first, name = key.partition("/")[0], key.rpartition("/")[2]
    for suffix, unit in _UNITS.items():
        quantity, match, _ = f"_{name}_".rpartition(f"_{suffix}_")
        if match:
            return f"{quantity.strip('_').replace('_', ' ')} {unit}".strip()
    if key.startswith("update/ratio"):
        return "‖update‖ / ‖param‖"
    if "norm" in key and first in ("grad", "grad_norm", "param", "update"):
        return "L2 norm"
    if "lr" in (first, name):
        return "learning rate"
    words = name.replace("_", " ")
    return f"{words} (0 to 1)" if name in _RATIOS else words
