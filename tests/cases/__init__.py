"""All metrics as rows: example outputs and the value by an independent library.

A row buys the laws of `core/test_laws.py` and `core/test_laws_on_devices.py`.
`outputs(rng, rows)` draws example outputs with a leading axis of rows;
`reference(**outputs)` computes the value in float64 from the rows that are not masked,
with NumPy, SciPy or scikit-learn and without code of this package.

The rows of a family `jaxmetrics/metrics/<family>/` are in `<family>.py`; those of the
wrappers are in `wrappers.py`.
"""

import os

from support.case import Case, values
from support.figures import is_quick

from cases import (
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
    wrappers,
)

FAMILIES = {
    "audio": audio.CASES,
    "calibration": calibration.CASES,
    "classification": classification.CASES,
    "clustering": clustering.CASES,
    "detection": detection.CASES,
    "health": health.CASES,
    "image": image.CASES,
    "language": language.CASES,
    "nominal": nominal.CASES,
    "ranking": ranking.CASES,
    "regression": regression.CASES,
    "reinforcement": reinforcement.CASES,
    "segmentation": segmentation.CASES,
    "sketches": sketches.CASES,
    "statistics": statistics.CASES,
    "text": text.CASES,
}
"""Rows by family of metrics."""

_WORDS = os.environ.get("ROWS", "").split()
_ALL = (*(case for cases in FAMILIES.values() for case in cases), *wrappers.CASES)
CASES = tuple(
    case for case in _ALL if not _WORDS or any(word in case.name for word in _WORDS)
)
"""All rows; with ROWS set in the environment, those whose name has one of its words.

Programs that hold all metrics then compile a few only: `ROWS="AUROC ROC" pytest ...`.
"""

__all__ = ["CASES", "FAMILIES", "Case", "sample", "values"]


def sample(n: int) -> tuple[Case, ...]:
    """Return all cases; with QUICK set, as in CI, one in n of each family's.

    For tests of which one compiled program has all cases.
    """
    return CASES[::n] if is_quick() else CASES
