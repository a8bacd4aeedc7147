"""Other frameworks, each loaded on first use: nnx, linen, clu."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jaxmetrics.interop import clu, linen, nnx

__all__ = ["clu", "linen", "nnx"]


def __getattr__(name: str) -> object:
    """Import a framework's module when it is asked for."""
    if name not in __all__:
        raise AttributeError(f"module 'jaxmetrics.interop' has no attribute {name!r}")
    return importlib.import_module(f"jaxmetrics.interop.{name}")


def __dir__() -> list[str]:
    return __all__
