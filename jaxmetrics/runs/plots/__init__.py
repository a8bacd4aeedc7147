"""Draw the plots of a training and of a comparison with matplotlib.

`generate_all_plots` writes the files of a training, `overlay` draws one key of several
runs. Each plot is a function from a `History` (or `AlignedRuns`) to a figure.
"""

from jaxmetrics.runs.plots._compare_plots import overlay, save_overlays
from jaxmetrics.runs.plots._files import FORMATS, is_own_plot
from jaxmetrics.runs.plots._holdout import Predictions, predictions_of
from jaxmetrics.runs.plots._plots import PLOT_NAMES, generate_all_plots

__all__ = [
    "FORMATS",
    "PLOT_NAMES",
    "Predictions",
    "generate_all_plots",
    "is_own_plot",
    "overlay",
    "predictions_of",
    "save_overlays",
]
