"""Arrange the series of a run in charts."""

from __future__ import annotations

from collections.abc import Iterable

from jaxmetrics.runs.pages._page import Chart, Line
from jaxmetrics.runs.reading import (
    Run,
    axis_label,
    axis_positions,
    grouped_by_chart,
    is_telemetry,
    own_key,
    series_on_axes,
)


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
