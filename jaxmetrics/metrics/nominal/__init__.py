"""Association of nominal variables, and agreement of raters."""

from jaxmetrics.metrics.nominal._agreement import FleissKappa
from jaxmetrics.metrics.nominal._association import (
    ContingencyCoefficient,
    CramersV,
    TheilsU,
    TschuprowsT,
)

__all__ = [
    "ContingencyCoefficient",
    "CramersV",
    "FleissKappa",
    "TheilsU",
    "TschuprowsT",
]
