"""Draw the figures of these pages: `python docs/figures.py`, from real runs.

In those of numerics.md each line "float32" is the usual form in float32 (`total + x`,
`E[x^2] - E[x]^2`, bins of equal width over probabilities), run with jax on this machine
beside the package.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
from jax import Array

import jaxmetrics as jm
from jaxmetrics.figures import (
    LIGHT_PALETTE,
    PALETTE,
    add_legend,
    draw_line,
    new_figure,
    style_axes,
    use_palette,
)

ASSETS = Path(__file__).parent / "assets"
COLORS = {
    "jm": PALETTE.blue,
    "float32": PALETTE.orange,
    "200": PALETTE.orange,
    "scikit-learn": PALETTE.teal,
}
"""Color of a series by the beginning of its name."""

matplotlib.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "jaxmetrics"}


def trace(step: Callable[[Any], Any], state: Any, points: int, each: int) -> Any:
    """Return the state after every `each` of `points * each` steps, stacked."""

    def advance(state: Any, _: None) -> tuple[Any, Any]:
        state = jax.lax.fori_loop(0, each, lambda _, x: step(x), state)
        return state, state

    return jax.jit(lambda x: jax.lax.scan(advance, x, None, length=points)[1])(state)


def counts() -> Any:
    """Draw counters of float32 and of the package beyond 2^24."""
    start, points, each = 2**24 - 2000, 40, 100
    rows = each * np.arange(1, points + 1)
    naive = np.asarray(trace(lambda n: n + 1.0, jnp.float32(start), points, each))
    state = jm.Count().replace(count=start)
    ones = jnp.zeros(1)
    states = trace(lambda m: m.update(values=ones), state, points, each)
    exact = np.array(
        [jax.tree.map(lambda x, i=i: x[i], states).compute() for i in range(points)]
    )
    assert (exact == start + rows).all()
    return [(rows, naive - start, "float32"), (rows, exact - start, "jm.Count")]


def drift() -> Any:
    """Draw the mean of the constant 0.1 over up to five million merges."""
    points, each = 50, 100_000
    merges = each * np.arange(1, points + 1)

    def step(pair: tuple[Array, Array]) -> tuple[Array, Array]:
        return pair[0] + jnp.float32(0.1), pair[1] + 1

    start = jnp.float32(0), jnp.int32(0)
    total, count = trace(step, start, points, each)
    one = jm.Mean().from_model_output(values=np.float32(0.1))
    states = trace(lambda m: m.merge(one), jm.Mean(), points, each)
    ours = [
        float(jax.tree.map(lambda x, i=i: x[i], states).compute())
        for i in range(points)
    ]
    return [
        (merges, np.asarray(total / count), "float32"),
        (merges, np.array(ours), "jm.Mean"),
    ]


def spread() -> Any:
    """Draw the relative error of a standard deviation over the offset of the values."""
    offsets = 10.0 ** np.arange(0, 7.5, 0.5)
    noise = np.random.default_rng(0).normal(size=2**16)
    naive, ours = [], []
    for offset in offsets:
        values = (noise + offset).astype(np.float32)
        truth = values.astype(float).std()
        x = jnp.asarray(values)
        variance = (x**2).mean() - x.mean() ** 2
        naive.append(abs(float(jnp.sqrt(jnp.maximum(variance, 0))) / truth - 1))
        state = jm.Std()
        for batch in np.split(values, 16):
            state = state.update(values=batch)
        ours.append(abs(float(state.compute()) / truth - 1))
    floor = 1e-9  # a log axis has no zero
    return [
        (offsets, np.maximum(naive, floor), "float32, E[x^2] - E[x]^2"),
        (offsets, np.maximum(ours, floor), "jm.Std"),
    ]


def areas() -> Any:
    """Draw the area under the ROC curve over the offset of the logits."""
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 20_000)
    scores = rng.normal(size=20_000) + labels
    offsets = np.arange(0, 41, 2.0)
    exact, binned, ours = [], [], []
    for offset in offsets:
        logits = (scores + offset).astype(np.float32)
        exact.append(roc_auc_score(labels, logits))
        probs = np.asarray(jax.nn.sigmoid(logits))
        bins = np.minimum((probs * 200).astype(int), 199)  # 200 equal bins
        binned.append(roc_auc_score(labels, bins))
        metric = jm.AUROC(task="binary")
        ours.append(float(jm.evaluate(metric, logits=logits, labels=labels)))
    return [
        (offsets, np.array(exact), "scikit-learn, all scores"),
        (offsets, np.array(binned), "200 bins of probabilities"),
        (offsets, np.array(ours), "jm.AUROC"),
    ]


FIGURES = {
    "counts": (counts, "Counted beyond 2^24 - 2,000", "values", "counted", {}),
    "drift": (drift, "Mean of 0.1, merged n times", "merges", "mean", {}),
    "spread": (
        spread,
        "Error of the standard deviation of N(offset, 1)",
        "offset",
        "relative error",
        {"xscale": "log", "yscale": "log"},
    ),
    "areas": (areas, "Area under the ROC curve", "offset of logits", "area", {}),
}
"""By name: the series, the title, the labels of the axes, and their scales."""


def draw(name: str) -> None:
    """Write one figure as SVG."""
    series, title, x_label, y_label, scales = FIGURES[name]
    figure = new_figure(7.0, 3.4)
    axes = figure.subplots()
    axes.set(**scales)
    handles, names = [], []
    for x, y, label in series():
        color = next((c for start, c in COLORS.items() if label.startswith(start)))
        dashed = {"linestyle": (0, (4, 3))} if label.startswith("jm") else {}
        handles += [draw_line(axes, x, y, color, marker="", **dashed)]
        names.append(label)
    style_axes(axes, title, x_label, y_label, integer_x=False)
    add_legend(axes, handles, names)
    use_palette(figure, LIGHT_PALETTE)
    text = StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    (ASSETS / f"{name}.svg").write_text(re.sub(r" +$", "", text.getvalue(), flags=re.M))


LAYERS = (
    ("commands", "cli   doctor   demo"),
    ("reading back, without jax", "runs: reading   plots   pages   live   view"),
    ("training loop", "logger   checkpoint   loop"),
    ("host", "pipeline   writers   aggregator"),
    ("training state", "telemetry   interop"),
    ("metrics", "metrics by family   losses   processes"),
    ("values and merging", "core"),
    ("format", "record   figures"),
)
"""Layers of the package from the top, and the packages of each."""


def draw_layers() -> None:
    """Write the picture of the layers as SVG."""
    palette, height = LIGHT_PALETTE, 46
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 '
        f'{len(LAYERS) * height + 34}" font-family="sans-serif" font-size="15">',
        f'<rect width="100%" height="100%" fill="{palette.background}"/>',
    ]
    for i, (layer, packages) in enumerate(LAYERS):
        y = 8 + i * height
        lines += [
            f'<rect x="8" y="{y}" width="704" height="{height - 8}" rx="6" '
            f'fill="{palette.blue}" fill-opacity="{0.06 + 0.03 * i:.2f}"/>',
            f'<text x="22" y="{y + 25}" fill="{palette.muted}">{layer}</text>',
            f'<text x="240" y="{y + 25}" fill="{palette.text}" font-family="monospace" '
            f'xml:space="preserve">{packages}</text>',
        ]
    note = "A file imports from lower layers and from its own package only."
    y = len(LAYERS) * height + 24
    lines.append(f'<text x="22" y="{y}" fill="{palette.muted}">{note}</text></svg>')
    (ASSETS / "layers.svg").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    draw_layers()
    for figure_name in FIGURES:
        draw(figure_name)
