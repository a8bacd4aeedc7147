"""Arrange the keys of a run in charts, the charts in sections, layers in heatmaps."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from jaxmetrics.record import EVALUATION_SPLITS
from jaxmetrics.runs.reading._drawing import is_wide
from jaxmetrics.runs.reading._labels import (
    axis_label,
    grouped_by_chart,
    importance,
    is_telemetry,
)
from jaxmetrics.runs.reading._quantities import own_key

_SECTIONS: Mapping[str, str] = {
    "lr": "Learning rate",
    "grad": "Gradients",
    "param": "Gradients",
    "update": "Gradients",
    "delta": "Gradients",
    "ema": "Gradients",
    "perf": "Speed",
    "goodput": "Speed",
    "mem": "Memory",
}
"""Section of keys by their first part; of others it is "Other"."""

_LAST = (
    "Training",
    "Datasets",
    "Learning rate",
    "Gradients",
    "Speed",
    "Memory",
    "Other",
)
_LAYERED = ("grad", "param", "update", "delta", "ema")
_MIN_LAYERS = 2
_QUANTILE = re.compile(r"(?P<base>.+?)(?:_stat)?[_/]p(?P<percent>\d{1,2})")
_IN_ONE_CHART = ("mem/in_use_bytes", "mem/peak_bytes", "mem/limit_bytes")


def quantile_keys(keys: Iterable[str]) -> dict[str, dict[int, str]]:
    """Return the keys of quantiles by percent, by what their names have in common.

    >>> quantile_keys(["train/length_p05", "train/length_p95", "train/loss"])
    {'train/length': {5: 'train/length_p05', 95: 'train/length_p95'}}
    """
    groups: dict[str, dict[int, str]] = {}
    for key in keys:
        if match := _QUANTILE.fullmatch(key):
            groups.setdefault(match["base"], {})[int(match["percent"])] = key
    return {base: members for base, members in groups.items() if len(members) > 1}


class ChartKeys(NamedTuple):
    """Keys that are drawn together.

    Attributes:
      id: Identifies the chart among those of all runs.
      title: Title.
      label: Label of the y axis.
      section: Section of the chart.
      keys: The keys, training first, so that an evaluation is drawn over it.
    """

    id: str
    title: str
    label: str
    section: str
    keys: list[str]


class Layers(NamedTuple):
    """Keys of one quantity that differ only in the layer.

    Attributes:
      id: Name of the quantity, such as `"grad/norm"`.
      title: Title.
      keys: Its keys, in the order of layers.
    """

    id: str
    title: str
    keys: list[str]


def arranged_charts(keys: Iterable[str]) -> tuple[list[ChartKeys], list[Layers]]:
    """Return charts in the order of sections, and the quantities with layers.

    >>> charts, layers = arranged_charts(["mem/peak_bytes", "train/loss", "val/loss"])
    >>> [(chart.section, chart.keys) for chart in charts]
    [('Loss', ['train/loss', 'val/loss']), ('Memory', ['mem/peak_bytes'])]
    """
    keys = list(keys)
    layers = _layers(keys)
    layered = {key for quantity in layers for key in quantity.keys}
    charts: list[ChartKeys] = []
    for section, members in _by_section(k for k in keys if k not in layered).items():
        charts += _charts(section, members)
    return sorted(charts, key=_order), layers


def is_log_chart(keys: Iterable[str], label: str, series: Iterable[np.ndarray]) -> bool:
    """Return whether the y axis of a chart is logarithmic at first.

    It is for positive values over a wide range, except for ratios, learning rates and
    what only grows, such as counts of tokens.

    Args:
      keys: Keys of the chart.
      label: Label of the y axis.
      series: Values of each key, or a sample of them.
    """
    series = list(series)
    grows = all(not np.any(np.diff(y[np.isfinite(y)]) < 0) for y in series)
    is_rate = any(own_key(key)[0].startswith("lr/") for key in keys)
    if grows or is_rate or label.endswith("(0 to 1)"):
        return False
    return is_wide(np.concatenate(series))


def _layers(keys: list[str]) -> list[Layers]:
    by_quantity: dict[str, list[str]] = {}
    for key in keys:
        parts = key.split("/")
        if parts[0] in _LAYERED and len(parts) > 2:
            by_quantity.setdefault("/".join(parts[:2]), []).append(key)
    return [
        Layers(name, name, members)
        for name, members in by_quantity.items()
        if len(members) >= _MIN_LAYERS
    ]


def _by_section(keys: Iterable[str]) -> dict[str, list[str]]:
    """Return keys by section; a metric that is evaluated has one of its own."""
    keys = list(keys)
    evaluated = {_metric(key) for key in keys if not _is_training(key)} | {"loss"}
    heads = {own_key(key)[0].partition("/")[0] for key in keys}
    divided = {
        head for head in heads if _has_dataset(head) and not _is_alone(head, heads)
    }
    sections: dict[str, list[str]] = {}
    for key in keys:
        own = own_key(key)[0]
        head = own.partition("/")[0]
        if is_telemetry(own):
            section = _SECTIONS.get(head, "Other")
        elif head in divided:
            section = "Datasets"
        else:
            metric = _metric(key)
            section = _words(metric) if metric in evaluated else "Training"
        sections.setdefault(section, []).append(key)
    return sections


def _metric(key: str) -> str:
    head, _, rest = own_key(key)[0].partition("/")
    return rest or head


def _charts(section: str, keys: list[str]) -> list[ChartKeys]:
    charts = []
    together = [key for key in keys if key in _IN_ONE_CHART]
    groups = {"memory": together} if together else {}
    quantiles = {
        base: [members[percent] for percent in sorted(members)]
        for base, members in quantile_keys(keys).items()
    }
    groups |= quantiles
    placed = {key for members in groups.values() for key in members}
    groups |= grouped_by_chart(key for key in keys if key not in placed)
    for title, members in groups.items():
        if title not in quantiles and members is not together:
            members = sorted(members, key=_is_training, reverse=True)
        name = members[0] if len(members) == 1 else title.rstrip("/")
        label = axis_label(title if title in quantiles else members[0])
        label = "memory (bytes)" if members is together else label
        charts.append(ChartKeys(f"{section}:{title}", name, label, section, members))
    return charts


def _order(chart: ChartKeys) -> tuple[int, ...]:
    if chart.section in _LAST:
        return 1, _LAST.index(chart.section), min(map(importance, chart.keys))
    kinds = {_is_training(key) for key in chart.keys}
    is_alone = {frozenset({False, True}): 0, frozenset({False}): 1}
    rank = min(map(importance, chart.keys))
    return 0, rank, is_alone.get(frozenset(kinds), 2)


def _is_training(key: str) -> bool:
    """Return whether a key belongs to no evaluation."""
    head = own_key(key)[0].partition("/")[0]
    return not any(head == s or head.startswith(f"{s}_") for s in EVALUATION_SPLITS)


def _has_dataset(head: str) -> bool:
    """Return whether the first part of a key is a split and a dataset."""
    return any(head.startswith(f"{s}_") for s in ("train", *EVALUATION_SPLITS))


def _is_alone(head: str, heads: Iterable[str]) -> bool:
    """Return whether the dataset of a split is all that the split has."""
    split = head.partition("_")[0]
    return [h for h in heads if h == split or h.startswith(f"{split}_")] == [head]


def _words(name: str) -> str:
    """Return the title of the section of a metric.

    >>> _words("loss"), _words("top_k/accuracy")
    ('Loss', 'Top k accuracy')
    """
    words = name.replace("_", " ").replace("/", " ")
    return words[:1].upper() + words[1:]
