import itertools

import matplotlib.image
import numpy as np
import pytest

from jaxmetrics.figures import THEMES, new_figure, style_axes, use_palette

PANELS = {"dark": "#151a23", "light": "#ffffff"}
SIGHTS = {  # linear RGB as people with a color deficiency see it (Machado 2009)
    "normal": np.eye(3),
    "protan": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deutan": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritan": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def linear(color):
    c = np.array([int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def luminance(color):
    return linear(color) @ [0.2126, 0.7152, 0.0722]


def lab(rgb):
    """Return CIELAB coordinates of linear RGB."""
    to_xyz = [
        [0.4124, 0.3576, 0.1805],
        [0.2126, 0.7152, 0.0722],
        [0.0193, 0.1192, 0.9505],
    ]
    x = to_xyz @ np.clip(rgb, 0, 1) / [0.9505, 1, 1.089]
    f = np.where(x > 0.008856, np.cbrt(x), 7.787 * x + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def contrast(color, theme):
    low, high = sorted((luminance(color), luminance(PANELS[theme])))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", THEMES)
def test_texts_and_lines_have_enough_contrast_with_the_background(theme):
    palette = THEMES[theme]
    assert min(contrast(c, theme) for c in (palette.text, palette.muted)) >= 4.5
    assert min(contrast(c, theme) for c in palette.series) >= 3


@pytest.mark.parametrize("sight", SIGHTS)
@pytest.mark.parametrize("theme", THEMES)
def test_colors_of_series_differ_for_people_with_a_color_deficiency(theme, sight):
    colors = [lab(SIGHTS[sight] @ linear(c)) for c in THEMES[theme].series]

    def closest(some):
        return min(np.linalg.norm(a - b) for a, b in itertools.combinations(some, 2))

    assert closest(colors) >= 12  # a difference of 2 to 3 is just visible
    assert closest(colors[:5]) >= 18


def test_a_figure_takes_the_colors_of_another_theme(tmp_path):
    dark, light = THEMES["dark"], THEMES["light"]
    figure = new_figure(4, 3)
    axes = figure.subplots()
    axes.plot([1, 2], [1, 2], color=dark.blue, alpha=0.5, linewidth=9)
    axes.bar([1], [1], color=dark.red)
    axes.fill_between([1, 2], [0, 1], [1, 2], color=dark.teal, alpha=0.2)
    axes.plot([1], [1], color="#123456")
    style_axes(axes, "title", "x", "y")
    use_palette(figure, light)
    path = tmp_path / "a.png"
    figure.savefig(path, facecolor=light.background)
    pixels = (matplotlib.image.imread(path)[..., :3] * 255).round().astype(int)
    colors = set(map(tuple, pixels.reshape(-1, 3).tolist()))
    assert tuple(bytes.fromhex(light.red[1:])) in colors
    assert (255, 255, 255) in colors
    for old in (dark.background, dark.text, dark.grid, dark.red):
        assert tuple(bytes.fromhex(old[1:])) not in colors
    assert [line.get_color() for line in axes.lines][1] == "#123456"
    assert axes.lines[0].get_alpha() == 0.5
