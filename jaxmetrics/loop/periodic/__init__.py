"""Periodic actions of a training loop: progress reports and profiles.

The actions have the call form of `clu.periodic_actions`, `action(step, t=None)`, and
need no TensorFlow.
"""

from jaxmetrics.loop.periodic._profile import Profile
from jaxmetrics.loop.periodic._report import ReportProgress

__all__ = ["Profile", "ReportProgress"]
