"""Counts of strings in NumPy arrays, without a Python object for each of them.

A string of an array of dtype `<U8` is a row of 8 code points, read here as 4 integers
of 64 bits, and one of `<U3` as 3 integers of 32 bits. The hash of a row is a slot of a
table, and each slot holds one name, with which the row is compared. So the names of a
table are found in a few passes over the array; strings that are not found are returned,
to be counted one by one.

Only as many columns of integers are hashed as it takes to tell the names apart: of
"layer-00" to "layer-99" the last one.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Collection

import numpy as np

MAX_NAMES = 4096
"""Maximum number of names of a table."""

_MAX_WIDTH = 128
_BLOCK_BYTES = 2**17  # so that temporary arrays stay in the cache
_SAMPLE_SIZE = 1024
_SLOTS_PER_NAME = 32
_HASHES = 8


def table_width(array: np.ndarray) -> int | None:
    """Return the width of the strings of an array, None if no table reads them."""
    width = array.dtype.itemsize // 4
    return width if array.dtype.kind == "U" and 0 < width <= _MAX_WIDTH else None


def count_strings(array: np.ndarray) -> Counter[str]:
    """Return the count of each string, in the order in which they occur first.

    Args:
      array: Strings of fixed width, `[n]`.
    """
    counts: Counter[str] = Counter()
    width = table_width(array)
    while width is not None and array.size > 4 * _SAMPLE_SIZE:
        counts.update(array[:_SAMPLE_SIZE].tolist())
        array = array[_SAMPLE_SIZE:]
        if len(counts) > _SAMPLE_SIZE // 2:  # too many different strings
            break
        table_counts, others = StringTable(counts, width).count(array)
        for name, count in zip(counts, table_counts.tolist()):
            counts[name] += count
        few_found, array = others.size > array.size // 2, others
        if few_found:
            break
    counts.update(array.tolist())
    return counts


class StringTable:
    """Names that are counted in arrays of strings.

    Args:
      names: Different strings, of which the first `MAX_NAMES` are counted.
      width: Characters of a string, the `table_width` of the arrays.
    """

    def __init__(self, names: Collection[str], width: int) -> None:
        listed = list(itertools.islice(names, MAX_NAMES))
        self._dtype = np.dtype((np.str_, width))
        self._word = np.dtype(np.uint32 if width % 2 else np.uint64)
        texts = np.array(listed, self._dtype)
        self._rows = self._words(texts)
        # A longer name is cut off in the array, and so are trailing NULs.
        stored = [i for i, x in enumerate(texts.tolist()) if x == listed[i]]
        rows = self._rows[stored]
        bits = (max(len(stored), 1) * _SLOTS_PER_NAME).bit_length()
        self._shift = self._word.type(8 * self._word.itemsize - bits)
        self._columns = _distinguishing_columns(rows)
        for seed in range(_HASHES):  # until each name has a slot of its own
            draw = np.random.default_rng(seed).integers
            size, end = len(self._columns), np.iinfo(self._word).max
            self._factors = draw(end, size=size, dtype=self._word.type) | 1
            if np.unique(self._slots(rows)).size == len(rows):
                break
        # The first name is in all empty slots; a string that equals it is in another.
        self._codes = np.full(1 << bits, stored[0] if stored else -1, np.intp)
        self._codes[self._slots(rows)] = stored

    def __len__(self) -> int:
        """Return the number of names."""
        return len(self._rows)

    def count(self, array: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the count of each name, and the other strings in their order.

        All strings of some names are among the others: names that share a slot with
        another one, or that are longer than the width.

        Args:
          array: Strings of the width of the table, `[n]`.
        """
        counts, others = np.zeros(len(self._rows), np.int64), []
        if self._codes[0] < 0:
            return counts, array
        size = _BLOCK_BYTES // self._dtype.itemsize
        for start in range(0, array.size, size):
            block = array[start : start + size]
            words = self._words(np.ascontiguousarray(block, self._dtype))
            codes = self._codes.take(self._slots(words))
            equal = self._rows.take(codes, axis=0) == words
            if np.count_nonzero(equal) < equal.size:
                equal = equal.all(axis=1)
                others.append(block[~equal])
                codes = codes[equal]
            counts += np.bincount(codes, minlength=len(counts))
        return counts, np.concatenate(others) if others else array[:0]

    def _words(self, strings: np.ndarray) -> np.ndarray:
        """Return strings of the table's width as integers, `[n, words]`."""
        words = self._dtype.itemsize // self._word.itemsize
        return strings.view(self._word).reshape(len(strings), words)

    def _slots(self, words: np.ndarray) -> np.ndarray:
        hashes = words[:, self._columns[0]] * self._factors[0]
        for column, factor in zip(self._columns[1:], self._factors[1:]):
            hashes += words[:, column] * factor
        return (hashes >> self._shift).astype(np.intp)


def _distinguishing_columns(rows: np.ndarray) -> list[int]:
    """Return the columns with most values, as many as it takes to tell rows apart."""
    values = np.count_nonzero(np.diff(np.sort(rows, axis=0), axis=0), axis=0)
    columns = np.argsort(-values, kind="stable").tolist()
    groups = np.zeros(len(rows), np.intp)
    for count, column in enumerate(columns, 1):
        _, codes = np.unique(rows[:, column], return_inverse=True)
        _, groups = np.unique(groups * len(rows) + codes, return_inverse=True)
        if groups.max(initial=0) == len(rows) - 1:
            return columns[:count]
    return columns
