"""All metrics, re-exported from their families."""

from jaxmetrics.metrics import classification, regression, sketches, statistics, text
from jaxmetrics.metrics.classification import *  # noqa: F403
from jaxmetrics.metrics.regression import *  # noqa: F403
from jaxmetrics.metrics.sketches import *  # noqa: F403
from jaxmetrics.metrics.statistics import *  # noqa: F403
from jaxmetrics.metrics.text import *  # noqa: F403

__all__ = sorted(
    [
        *classification.__all__,
        *regression.__all__,
        *sketches.__all__,
        *statistics.__all__,
        *text.__all__,
    ]
)
