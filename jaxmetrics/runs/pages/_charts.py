"""Arrange the series of a run in charts."""

from __future__ import annotations

from collections.abc import Iterable

from jaxmetrics.runs.pages._page import Chart, Line
from jaxmetrics.runs.reading import (
    Run,
    axis_label,
    axis_positions,
    chart_title,
    is_telemetry,
    own_key,
    series_on_axes,
)

_EPOCH_LOSS = "loss_mean"


def run_charts(run: Run, keys: Iterable[str]) -> list[Chart]:
    """Return the charts of a run: a metric of all splits in one, metrics first.

    Args:
      run: The run.
      keys: Keys to draw.
    """
    keys_by_title = grouped_by_chart(keys)
    positions, charts = axis_positions(run), []
    for title in sorted(
        keys_by_title,
        key=lambda title: is_telemetry(own_key(keys_by_title[title][0])[0]),
    ):
        members = keys_by_title[title]
        lines = [
            Line(key, color, *series_on_axes(run, key, positions))
            for color, key in enumerate(members)
        ]
        name = members[0] if len(members) == 1 else title
        charts.append(Chart(name, axis_label(members[0]), lines))
    return charts


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
