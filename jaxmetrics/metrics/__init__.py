"""All metrics, re-exported from their families.

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
"""

from jaxmetrics.metrics import (
    audio,
    calibration,
    classification,
    clustering,
    detection,
    health,
    image,
    language,
    nominal,
    ranking,
    regression,
    reinforcement,
    segmentation,
    sketches,
    statistics,
    text,
)
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

__all__ = sorted(
    [
        *audio.__all__,
        *calibration.__all__,
        *classification.__all__,
        *clustering.__all__,
        *detection.__all__,
        *health.__all__,
        *image.__all__,
        *language.__all__,
        *nominal.__all__,
        *ranking.__all__,
        *regression.__all__,
        *reinforcement.__all__,
        *segmentation.__all__,
        *sketches.__all__,
        *statistics.__all__,
        *text.__all__,
    ]
)
