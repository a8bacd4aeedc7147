import pytest

from jaxmetrics.figures import PALETTE

PANEL = "#151a23"


def luminance(color):
    channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("color", [*PALETTE.series, PALETTE.text, PALETTE.muted])
def test_colors_have_enough_contrast_with_the_background(color):
    assert (luminance(color) + 0.05) / (luminance(PANEL) + 0.05) >= 4.5


def test_series_have_eight_different_colors():
    assert len(set(PALETTE.series)) == 8
