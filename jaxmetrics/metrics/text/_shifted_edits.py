"""Edits of two sentences in which a phrase may move as a whole, as Tercom counts them.

The fewest edits with moves are too costly to find, so Tercom searches greedily: it
makes the move that lowers the edit distance most, until none lowers it; a move counts
as one edit. Which moves are tried, and which of equal ones is made, decides the result:
the limits and the order here are those of sacrebleu's `TER`.

A move takes a phrase of the prediction that is somewhere in the reference. Both must
lie where the alignment has errors, and the phrase is put in front of, or behind, words
that are aligned with the reference's phrase or its neighbour.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

_LONGEST_PHRASE = 10
_FARTHEST_MOVE = 50
_BEAM = 25
_MOST_TRIALS = 1000

_KEEP, _SUBSTITUTE, _DELETE, _INSERT = range(4)
_FAR = 1 << 50

Words = tuple[str, ...]
_Row = list[tuple[int, int]]  # edits and last step, by words of the reference


def shifted_edits(pred: Sequence[str], reference: Sequence[str]) -> int:
    """Return the number of edits and moves that make the reference of the prediction.

    Args:
      pred: Words of the prediction.
      reference: Words of the reference; without any each word of the prediction is an
        edit.
    """
    words = tuple(pred)
    if not reference:
        return len(words)
    distances, moves, trials = _Distances(tuple(reference)), 0, 0
    while True:
        gain, moved, trials = _best_move(words, distances, trials)
        if gain <= 0 or trials >= _MOST_TRIALS:
            return moves + distances.edits(words)
        words, moves = moved, moves + 1


class _Alignment(NamedTuple):
    """Alignment of a prediction with the reference.

    Attributes:
      place: For each word of the reference, the index of the prediction's word that is
        aligned with it or comes before it; -1 for none.
      pred_errors: For each number of words, how many of the first ones are errors.
      reference_errors: As `pred_errors`, of the reference.
    """

    place: list[int]
    pred_errors: np.ndarray
    reference_errors: np.ndarray


class _Distances:
    """Edit distances of predictions from one reference.

    A row of the table depends on the words before it alone, so that rows are kept by
    these words: moved predictions share their beginnings. All predictions have the same
    number of words. A row is filled near the diagonal only.
    """

    def __init__(self, reference: Words) -> None:
        self.reference = reference
        start = [(j, _INSERT) for j in range(len(reference) + 1)]
        self._rows: dict[Words, _Row] = {(): start}

    def edits(self, words: Words) -> int:
        """Return the edit distance of a prediction."""
        return self._row(words, len(words))[-1][0]

    def alignment(self, words: Words) -> _Alignment:
        """Return the alignment with the fewest edits."""
        i, j = len(words), len(self.reference)
        place = [-1] * j
        pred_errors, reference_errors = np.zeros(i + 1, int), np.zeros(j + 1, int)
        while i or j:
            step = self._rows[words[:i]][j][1]
            if step != _INSERT:
                pred_errors[i] = step != _KEEP
            if step != _DELETE:
                reference_errors[j], place[j - 1] = step != _KEEP, i - 1
            i, j = i - (step != _INSERT), j - (step != _DELETE)
        return _Alignment(place, pred_errors.cumsum(), reference_errors.cumsum())

    def _row(self, words: Words, size: int) -> _Row:
        """Return the last row of a prediction's table."""
        known = size
        while words[:known] not in self._rows:
            known -= 1
        for i in range(known + 1, size + 1):
            above = self._rows[words[: i - 1]]
            self._rows[words[:i]] = self._next_row(above, words[i - 1], i, size)
        return self._rows[words]

    def _next_row(self, above: _Row, word: str, i: int, size: int) -> _Row:
        columns = len(self.reference) + 1
        slope = len(self.reference) / size
        beam = math.ceil(slope / 2 + _BEAM) if slope / 2 > _BEAM else _BEAM
        middle = math.floor(i * slope)
        end = columns if i == size else min(columns, middle + beam)
        row = [(_FAR, _KEEP)] * columns
        for j in range(max(0, middle - beam), end):
            if not j:
                row[0] = above[0][0] + 1, _DELETE
                continue
            same = word == self.reference[j - 1]
            best = above[j - 1][0] + (not same), _KEEP if same else _SUBSTITUTE
            for other in ((above[j][0] + 1, _DELETE), (row[j - 1][0] + 1, _INSERT)):
                if other[0] < best[0]:
                    best = other
            row[j] = best
        return row


def _best_move(
    words: Words, distances: _Distances, trials: int
) -> tuple[int, Words, int]:
    """Return by how many edits the best move is better, its words, and all trials."""
    before = distances.edits(words)
    place, pred_errors, reference_errors = distances.alignment(words)
    best: tuple[int, int, int, int, Words] | None = None
    for start, other, length in _common_phrases(words, distances.reference):
        if (
            pred_errors[start] == pred_errors[start + length]
            or reference_errors[other] == reference_errors[other + length]
            or start <= place[other] < start + length
        ):
            continue
        last = None
        for neighbour in range(other - 1, other + length):
            target = place[neighbour] + 1 if neighbour >= 0 else 0
            if target == last:
                continue
            last = target
            moved = _moved(words, start, length, target)
            gain = before - distances.edits(moved)
            # Of equal gains the longest phrase, the first one, the first target.
            candidate = gain, length, -start, -target, moved
            best = candidate if best is None else max(best, candidate)
            trials += 1
        if trials >= _MOST_TRIALS:
            break
    return (0, words, trials) if best is None else (best[0], best[4], trials)


def _common_phrases(words: Words, reference: Words) -> Iterator[tuple[int, int, int]]:
    """Yield start in the prediction, start in the reference, and length of phrases."""
    for start in range(len(words)):
        first = max(0, start - _FARTHEST_MOVE)
        for other in range(first, min(len(reference), start + _FARTHEST_MOVE + 1)):
            pairs = zip(words[start:], reference[other:])
            for length, (a, b) in enumerate(pairs, 1):
                if a != b or length > _LONGEST_PHRASE:
                    break
                yield start, other, length


def _moved(words: Words, start: int, length: int, target: int) -> Words:
    """Return the words with a phrase moved in front of the word at a target.

    A target within the phrase moves it behind as many of the words after it.
    """
    phrase, rest = (
        words[start : start + length],
        words[:start] + words[start + length :],
    )
    if target > start + length:
        target -= length
    return rest[:target] + phrase + rest[target:]
