"""Metrics of policies and rewards, as in training from preferences.

They read log-probabilities and rewards, so that they serve any policy. Returns,
advantages and losses of which a mean or a deviation is wanted are outputs of `Mean`,
`Std` and `Histogram`; how much of the returns a value function explains is
`ExplainedVariance`.
"""

from jaxmetrics.metrics.reinforcement._policy import ClipFraction, PolicyKL
from jaxmetrics.metrics.reinforcement._preferences import RewardMargin, WinRate

__all__ = ["ClipFraction", "PolicyKL", "RewardMargin", "WinRate"]
