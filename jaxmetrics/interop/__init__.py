"""Adapters for other frameworks, each imported on first use.

States and metrics: `nnx`, `linen`, `clu` (with metrax). Loggers that keep their users'
names: `clu`, `metrax`, `levanter` and `monitoring`, the scalars of `jax.monitoring`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jaxmetrics.interop import clu as clu
    from jaxmetrics.interop import levanter as levanter
    from jaxmetrics.interop import linen as linen
    from jaxmetrics.interop import metrax as metrax
    from jaxmetrics.interop import monitoring as monitoring
    from jaxmetrics.interop import nnx as nnx
else:
    from jaxmetrics._lazy import attach

    __getattr__, __dir__, __all__ = attach(__name__)
