"""Arguments that take one thing or several."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any


def one_or_many(given: Any) -> tuple[Any, ...]:
    """Return what an iterable yields; a text or a path is one thing, never its letters.

    >>> one_or_many("train/loss")
    ('train/loss',)
    >>> one_or_many(["train/loss", "val/loss"])
    ('train/loss', 'val/loss')
    """
    if isinstance(given, str | os.PathLike) or not isinstance(given, Iterable):
        return (given,)
    return tuple(given)
