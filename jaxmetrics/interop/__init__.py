"""Adapters for other frameworks, each imported on first use: nnx, linen, clu."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jaxmetrics.interop import clu as clu
    from jaxmetrics.interop import linen as linen
    from jaxmetrics.interop import nnx as nnx
else:
    from jaxmetrics._lazy import attach

    __getattr__, __dir__, __all__ = attach(__name__)
