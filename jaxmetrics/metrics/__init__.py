"""All metrics, re-exported from their families, each loaded on first use.

Conventions that the metrics share:

- `mask` (bool) has the leading axes of the values. Entries where it is False do not
  count, and may hold anything, NaN included.
- `weights` (float) has the leading axes of the values too. A metric configured with
  `weighted=True` requires it; any other metric ignores it.
- `ignore_index` names labels that mark padding. They count as masked.
- `scores` says what the scores of a classification metric are, and so the output that
  holds them: "logits", "probs", "preds" for predicted classes where only those count,
  or "losses" for the losses of the labels.
- `invalid` is a leaf that counts labels out of range, predictions out of range, and
  rows without a largest score. They are never scored; see `metric.plain()`.
- A row of scores has a largest one unless it holds NaN or inf, or nothing but -inf. A
  logit of -inf masks its class out, such as the padding of a vocabulary. In the binary
  and multilabel tasks each score stands alone, and only NaN is invalid.
- `probs` outside [0, 1] are invalid, but in the multiclass task of metrics that only
  compare them, where they are ranked as logits are. They are never normalized: a row
  that does not sum to one is taken as it is.
- A ratio without data is nan. Counts and sums without data are 0.
- `compute` under jit sees counts as float32: differences of counts beyond 2^24, such as
  true negatives, and ratios of them are rounded. Outside jit they are exact.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the public names; see _lazy.py
    from jaxmetrics.metrics import audio as audio
    from jaxmetrics.metrics import calibration as calibration
    from jaxmetrics.metrics import classification as classification
    from jaxmetrics.metrics import clustering as clustering
    from jaxmetrics.metrics import detection as detection
    from jaxmetrics.metrics import health as health
    from jaxmetrics.metrics import image as image
    from jaxmetrics.metrics import language as language
    from jaxmetrics.metrics import nominal as nominal
    from jaxmetrics.metrics import ranking as ranking
    from jaxmetrics.metrics import regression as regression
    from jaxmetrics.metrics import reinforcement as reinforcement
    from jaxmetrics.metrics import segmentation as segmentation
    from jaxmetrics.metrics import sketches as sketches
    from jaxmetrics.metrics import statistics as statistics
    from jaxmetrics.metrics import text as text
    from jaxmetrics.metrics.audio import *  # noqa: F403
    from jaxmetrics.metrics.calibration import *  # noqa: F403
    from jaxmetrics.metrics.classification import *  # noqa: F403
    from jaxmetrics.metrics.clustering import *  # noqa: F403
    from jaxmetrics.metrics.detection import *  # noqa: F403
    from jaxmetrics.metrics.health import *  # noqa: F403
    from jaxmetrics.metrics.image import *  # noqa: F403
    from jaxmetrics.metrics.language import *  # noqa: F403
    from jaxmetrics.metrics.nominal import *  # noqa: F403
    from jaxmetrics.metrics.ranking import *  # noqa: F403
    from jaxmetrics.metrics.regression import *  # noqa: F403
    from jaxmetrics.metrics.reinforcement import *  # noqa: F403
    from jaxmetrics.metrics.segmentation import *  # noqa: F403
    from jaxmetrics.metrics.sketches import *  # noqa: F403
    from jaxmetrics.metrics.statistics import *  # noqa: F403
    from jaxmetrics.metrics.text import *  # noqa: F403
else:
    from jaxmetrics._lazy import attach

    __getattr__, __dir__, __all__ = attach(__name__)
