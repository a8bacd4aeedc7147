"""Sentences as padded token ids, and strings as such sentences."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmetrics.core import as_class_numbers, not_ignored, positions


class Sentences(NamedTuple):
    """Token ids and how many of them count.

    Attributes:
      ids: int32 `[..., tokens]`, the low 32 bits of the ids, which tell them apart,
        from the first one that is not ignored.
      length: int32 `[...]`, number of tokens before the next ignored id.
    """

    ids: jax.Array
    length: jax.Array


def sentences(
    metric: str, name: str, ids: Any, ignore_index: int | tuple[int, ...] | None
) -> Sentences:
    """Return token ids `[..., tokens]` as sentences.

    Raises:
      TypeError: They are not integers.
      ValueError: They have no axis of tokens.
    """
    ids = jnp.asarray(ids)
    if not jnp.issubdtype(ids.dtype, jnp.integer):
        raise TypeError(
            f"{metric}: {name} are {ids.dtype}, but must be integers, the ids of "
            "tokens. Take the argmax of scores; for strings call from_strings."
        )
    if not ids.ndim:
        raise ValueError(
            f"{metric}: {name} are a scalar, but their last axis must be the tokens of "
            "a sentence. Pass them as [batch, tokens]."
        )
    return _without_ignored(as_class_numbers(ids), not_ignored(ids, ignore_index))


def sentences_and_references(
    metric: str,
    preds: Any,
    references: Any,
    ignore_index: int | tuple[int, ...] | None,
) -> tuple[Sentences, Sentences]:
    """Return predictions `[..., tokens]` and references `[..., references, tokens]`.

    References without an axis of references are one reference each.

    Raises:
      TypeError: They are not integers.
      ValueError: The shapes do not fit together.
    """
    own = sentences(metric, "preds", preds, ignore_index)
    other = sentences(metric, "references", references, ignore_index)
    if other.ids.ndim == own.ids.ndim:
        other = Sentences(other.ids[..., None, :], other.length[..., None])
    shape = other.length.shape
    if shape[:-1] != own.length.shape or not shape[-1]:
        raise ValueError(
            f"{metric}: preds have shape {own.ids.shape} and references "
            f"{other.ids.shape}; references must be [batch, tokens] or [batch, "
            "references, tokens] with the batch of preds. Pad missing ones."
        )
    return own, other


def _without_ignored(ids: jax.Array, kept: jax.Array | None) -> Sentences:
    """Return the first run of ids that are kept.

    Decoders that generate in batches pad on the left, and some start with the id that
    pads or ends (T5, BART).
    """
    size = ids.shape[-1]
    if kept is None:
        length = jnp.full_like(ids, size, jnp.int32).min(axis=-1, initial=size)
        return Sentences(ids, length)
    index = positions(size, ids.ndim)
    first = jnp.where(kept, index, size).min(axis=-1, keepdims=True, initial=size)
    ended = ~kept & (index > first)
    end = jnp.where(ended, index, size).min(axis=-1, keepdims=True, initial=size)
    source = jnp.minimum(index + first, max(size - 1, 0))
    moved = jnp.take_along_axis(ids, source, axis=-1)
    return Sentences(moved, (end - first)[..., 0])


def sentence_pairs(
    metric: str,
    preds: Any,
    references: Any,
    ignore_index: int | tuple[int, ...] | None,
) -> tuple[Sentences, Sentences]:
    """Return predictions and one reference for each, `[..., tokens]` both.

    Raises:
      TypeError: They are not integers.
      ValueError: They have other leading axes.
    """
    own = sentences(metric, "preds", preds, ignore_index)
    other = sentences(metric, "references", references, ignore_index)
    if own.length.shape != other.length.shape:
        raise ValueError(
            f"{metric}: preds have shape {own.ids.shape} and references "
            f"{other.ids.shape}; all axes but the tokens must be equal. Pass one "
            "reference for each prediction."
        )
    return own, other


def as_sentences(
    metric: str, name: str, text: str | Iterable[str], join: str = "Join words"
) -> list[str]:
    """Return strings as a list; one string is one sentence.

    Args:
      metric: Name of the metric, for errors.
      name: Name of the strings, for errors.
      text: The strings.
      join: What to do with a list in place of a sentence, for errors.

    Raises:
      TypeError: One of them is no string, such as a list of words, or they have keys.
    """
    strings = _listed(metric, name, text)
    for i, string in enumerate(strings):
        if not isinstance(string, str):
            is_list = isinstance(string, Iterable)
            raise TypeError(
                f"{metric}: {name}[{i}] is a {type(string).__name__}, but must be a "
                f"str, one sentence. {f'{join} with spaces.' if is_list else _NO_TEXT}"
            )
    return strings


def same_number(metric: str, preds: Sequence[Any], references: Sequence[Any]) -> None:
    """Refuse lists of other lengths."""
    if len(preds) != len(references):
        raise ValueError(
            f"{metric}: there are {len(preds)} preds and {len(references)} references. "
            "Pass one entry of references for each prediction."
        )


def single_references(
    metric: str, preds: Sequence[str], references: str | Iterable[str]
) -> list[str]:
    """Return the one reference of each prediction.

    Raises:
      TypeError: One of them is no string, such as a list of several references.
      ValueError: Their number is not that of the predictions.
    """
    join = f"{metric} takes one reference for each prediction: join words"
    sentences = as_sentences(metric, "references", references, join)
    same_number(metric, preds, sentences)
    return sentences


def with_weights(
    metric: Any, weights: Sequence[float] | np.ndarray | None, number: int
) -> dict[str, np.ndarray]:
    """Return the output of weights, one for each of a number of strings, if any.

    Raises:
      TypeError: The metric is weighted and there are none, or the other way round.
      ValueError: Their number is another.
    """
    name = type(metric).__name__
    if (weights is not None) != metric.weighted:
        remedy = "Pass weights=..., " if weights is None else "Leave weights out, "
        raise TypeError(
            f"{name}.from_strings got {'no ' if weights is None else ''}weights with "
            f"weighted={metric.weighted}. {remedy}or configure "
            f"{name}(weighted={not metric.weighted})."
        )
    if weights is None:
        return {}
    array = np.asarray(weights, np.float32)
    if array.shape != (number,):
        raise ValueError(
            f"{name}.from_strings: weights have shape {array.shape}, but must be "
            f"({number},). Pass one weight for each prediction."
        )
    return dict(weights=array)


def reference_groups(
    metric: str,
    preds: Sequence[str],
    references: str | Iterable[str] | Iterable[Iterable[str]],
) -> list[list[str]]:
    """Return the references of each prediction: one string is one reference.

    Raises:
      TypeError: One of them is no string.
      ValueError: Their number is not that of the predictions.
    """
    listed = _listed(metric, "references", references)
    same_number(metric, preds, listed)
    return [
        as_sentences(metric, f"references[{i}]", each) for i, each in enumerate(listed)
    ]


class Vocabulary:
    """Ids of tokens, by first use; the host's way from strings to arrays."""

    def __init__(self, tokenize: Callable[[str], Sequence[str]]) -> None:
        """Start without tokens."""
        self._tokenize = tokenize
        self._ids: dict[str, int] = {}

    def ids(self, text: str) -> list[int]:
        """Return the ids of a string's tokens."""
        ids = self._ids
        return [ids.setdefault(token, len(ids)) for token in self._tokenize(text)]


def padded(rows: Sequence[Sequence[int]], pad: int = -1) -> np.ndarray:
    """Return rows of ids as int32 `[rows, tokens]`, padded at the end.

    The length is a power of two, so that few shapes are compiled.
    """
    longest = max((len(row) for row in rows), default=0)
    array = np.full((len(rows), 1 << max(longest - 1, 0).bit_length()), pad, np.int32)
    for filled, row in zip(array, rows):
        filled[: len(row)] = row
    return array


def padded_groups(groups: Sequence[Sequence[Sequence[int]]]) -> np.ndarray:
    """Return groups of rows of ids as int32 `[groups, rows, tokens]`, padded with -1.

    Groups of fewer rows than the largest, and of none, end with rows without tokens.
    """
    most = max(1, max((len(group) for group in groups), default=1))
    rows = padded([row for group in groups for row in [*group, *[[]] * most][:most]])
    return rows.reshape(len(groups), most, rows.shape[-1])


_NO_TEXT = 'Leave out what has no text, or pass "" for it.'


def _listed(metric: str, name: str, text: Any) -> list[Any]:
    """Return a list of what is iterated over; refuse what is iterated over by keys."""
    if isinstance(text, str):
        return [text]
    if isinstance(text, Iterable):
        if not isinstance(text, Mapping) and not hasattr(text, "columns"):
            return list(text)
        remedy = (
            "Pass list(d.values()) in one order for preds and references, of SQuAD's "
            "answers answers['text'], of a table a column."
        )
    else:
        remedy = _NO_TEXT
    raise TypeError(
        f"{metric}: {name} is a {type(text).__name__}, but must be a str or a list of "
        f"them. {remedy}"
    )
