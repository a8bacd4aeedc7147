"""Cards of TensorBoard's custom scalars: which keys are drawn in one chart."""

from __future__ import annotations

import re
from collections.abc import Iterable

from jaxmetrics.record import EVALUATION_SPLITS

_SPLITS = ("train", *EVALUATION_SPLITS)
_TOGETHER = {
    "Gradients": ("grad/norm", "update/ratio"),
    "Training": ("lr", "mem", "perf/mfu", "goodput"),
}
"""Prefixes of keys that share a card, by category."""
_MAX_CARDS = 500


class Cards:
    """Cards for the keys that were recorded so far.

    A metric of several splits, such as `train/loss` and `val/loss`, has one card; so
    have the keys of layers and of memory.
    """

    def __init__(self) -> None:
        self._seen: set[str] = set()
        self._splits: dict[str, list[str]] = {}
        self._prefixes: set[str] = set()

    def add(self, keys: Iterable[str]) -> bool:
        """Add keys, and return whether the cards change."""
        new = set(keys) - self._seen
        self._seen |= new
        changes = False
        for key in sorted(new):
            split, _, name = key.partition("/")
            if split in _SPLITS and name and len(self._splits) < _MAX_CARDS:
                splits = self._splits.setdefault(name, [])
                splits.append(split)
                changes |= len(splits) > 1
            for prefixes in _TOGETHER.values():
                for prefix in prefixes:
                    if key.startswith(f"{prefix}/") and prefix not in self._prefixes:
                        self._prefixes.add(prefix)
                        changes = True
        return changes

    def layout(self) -> dict[str, dict[str, list[str]]]:
        """Return regular expressions of the tags of each card, by category and title.

        >>> cards = Cards()
        >>> cards.add(["train/loss", "val/loss", "train/accuracy", "grad/norm/head"])
        True
        >>> cards.layout()
        {'Splits': {'loss': ['train/loss$', 'val/loss$']}, 'Gradients': {'grad/norm': \
['grad/norm(/|$)']}}
        """
        by_split = {
            name: [f"{re.escape(f'{split}/{name}')}$" for split in splits]
            for name, splits in self._splits.items()
            if len(splits) > 1
        }
        layout = {"Splits": by_split}
        for category, prefixes in _TOGETHER.items():
            known = [prefix for prefix in prefixes if prefix in self._prefixes]
            layout[category] = {p: [f"{re.escape(p)}(/|$)"] for p in known}
        return {category: cards for category, cards in layout.items() if cards}
