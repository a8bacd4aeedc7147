"""Look at figures without looking at pixels."""

from matplotlib.text import Text


def texts(figure):
    """Return all texts of a figure after drawing it."""
    figure.draw_without_rendering()
    return [t.get_text() for t in figure.findobj(Text) if t.get_text()]


def is_cut_off(figure):
    """Return whether something is drawn beyond the edge of a figure."""
    figure.draw_without_rendering()
    width, height = figure.get_size_inches()
    box = figure.get_tightbbox()
    return not (box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height)
