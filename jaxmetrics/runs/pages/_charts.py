"""Arrange the series of a run in charts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from jaxmetrics.figures import is_drawable
from jaxmetrics.runs.pages._page import Chart, Line
from jaxmetrics.runs.reading import (
    ChartKeys,
    LayerMap,
    Layers,
    Run,
    arranged_charts,
    axis_label,
    axis_positions,
    is_log_chart,
    layer_map,
    quantile_keys,
    series_on_axes,
)

_MAX_MAPS, _MAP_COLUMNS, _MAX_MAP_LAYERS = 8, 240, 64
_MAX_LAYERS = 8  # layers of a chart that are shown at first, the largest


def run_charts(run: Run, keys: Iterable[str]) -> list[Chart]:
    """Return the charts of a run in sections, what is evaluated first.

    A metric of all splits is in one chart, and so are the layers of a quantity, the
    largest first, the quantiles of a distribution, as a band, and the memory.

    Args:
      run: The run.
      keys: Keys to draw.
    """
    keys = list(keys)
    positions, (arranged, layers) = axis_positions(run), arranged_charts(keys)
    quantiles = {k for group in quantile_keys(keys).values() for k in group.values()}
    by_total = {quantity.id: quantity for quantity in layers}
    charts = []
    for chart in arranged:
        of_layers = by_total.pop(chart.keys[0], None) if len(chart.keys) == 1 else None
        if of_layers is not None:
            charts.append(_layer_chart(run, of_layers, positions, chart.section))
        elif quantiles.issuperset(chart.keys):
            charts.append(_quantile_chart(run, chart, positions))
        else:
            charts.append(_chart(run, chart, positions))
    for quantity in by_total.values():  # without a total
        charts.append(_layer_chart(run, quantity, positions, "Gradients"))
    order = list(dict.fromkeys(chart.section for chart in charts))
    return sorted(charts, key=lambda chart: order.index(chart.section))


def layer_maps(
    run: Run, keys: Iterable[str], steps: np.ndarray
) -> Iterator[tuple[str, LayerMap]]:
    """Yield the title and the map of each quantity of layers, as far as there is room.

    Args:
      run: The run.
      keys: Keys to draw.
      steps: Step of each record.
    """
    _, layers = arranged_charts(list(keys))
    for quantity in layers[:_MAX_MAPS]:
        windows = layer_map(run, quantity.keys, steps, _MAP_COLUMNS)
        if not np.isfinite(windows.values).any():
            continue
        peaks = np.nan_to_num(windows.values, nan=-np.inf).max(axis=1)
        kept = np.sort(np.argsort(-peaks, kind="stable")[:_MAX_MAP_LAYERS])
        yield (
            quantity.title,
            windows._replace(
                layers=[windows.layers[index] for index in kept],
                values=windows.values[kept],
                largest=windows.largest[kept],
            ),
        )


def map_notes(run: Run, keys: Iterable[str]) -> Iterator[str]:
    """Yield notes on data that the maps of `layer_maps` leave out.

    Args:
      run: The run.
      keys: Keys to draw.
    """
    _, quantities = arranged_charts(list(keys))
    shown = [quantity.keys for quantity in quantities[:_MAX_MAPS]]
    steps = max((len(run[key][0]) for layers in shown for key in layers), default=0)
    if steps > _MAP_COLUMNS:
        yield (
            f"A column of a map of layers is the largest value in one of "
            f"{_MAP_COLUMNS} windows of the {steps:,} steps."
        )
    if (layers := max(map(len, shown), default=0)) > _MAX_MAP_LAYERS:
        yield (
            f"A map shows the {_MAX_MAP_LAYERS} of up to {layers:,} layers that "
            f"reached the most."
        )
    if len(quantities) > _MAX_MAPS:
        yield f"The first {_MAX_MAPS} of {len(quantities):,} maps of layers are drawn."


def _chart(run: Run, chart: ChartKeys, positions: Mapping[str, np.ndarray]) -> Chart:
    lines = [
        Line(key, color, *series_on_axes(run, key, positions))
        for color, key in enumerate(chart.keys)
    ]
    log = is_log_chart(chart.keys, chart.label, [line.y for line in lines])
    return Chart(chart.title, chart.label, lines, chart.section, log)


def _layer_chart(
    run: Run, layers: Layers, positions: Mapping[str, np.ndarray], section: str
) -> Chart:
    """Return the chart of a quantity of layers, the largest ones first."""
    series = {key: series_on_axes(run, key, positions) for key in layers.keys}
    largest = sorted(layers.keys, key=lambda key: -_max_drawable(series[key][1]))
    lines = []
    if layers.id in run:
        lines.append(Line(layers.id, None, *series_on_axes(run, layers.id, positions)))
    for color, key in enumerate(largest):
        lines.append(Line(key, color, *series[key], show=color < _MAX_LAYERS))
    label = axis_label(layers.id if layers.id in run else largest[0])
    log = is_log_chart(layers.keys, label, [line.y for line in lines])
    return Chart(layers.title, label, lines, section, log)


def _quantile_chart(
    run: Run, chart: ChartKeys, positions: Mapping[str, np.ndarray]
) -> Chart:
    """Return the chart of a distribution: pairs of quantiles as bands of the median."""
    (base, keys), *_ = quantile_keys(chart.keys).items()
    lines = []
    pairs = [(p, 100 - p) for p in sorted(keys) if p < 50 and 100 - p in keys]
    for color, (low, high) in enumerate(pairs):
        below, above = keys[low], keys[high]
        middle = keys.get(50, below)
        series = [run[key] for key in (below, middle, above)]
        if not all(np.array_equal(series[0][0], records) for records, _ in series):
            pairs = []
            break
        x, y = series_on_axes(run, middle, positions)
        name = f"p{low:02} to p{high:02}" + (", median" if 50 in keys else "")
        lines.append(Line(name, color, x, y, (series[0][1], series[2][1])))
    drawn = {p for pair in pairs for p in pair} | ({50} if pairs else set())
    lines = lines if pairs else []
    for percent in sorted(keys.keys() - drawn):
        key = keys[percent]
        lines.append(Line(key, len(lines), *series_on_axes(run, key, positions)))
    return Chart(base, chart.label, lines, chart.section, False)


def _max_drawable(y: np.ndarray) -> float:
    return float(np.max(y[is_drawable(y)], initial=-np.inf))
