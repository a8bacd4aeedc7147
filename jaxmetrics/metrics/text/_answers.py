"""Answers to questions, as SQuAD scores them."""

from __future__ import annotations

import dataclasses
import re
import string
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import jax
import jax.numpy as jnp
import numpy as np

from jaxmetrics.core import (
    Array,
    Direction,
    Metric,
    count_leaf,
    count_where,
    divide,
    mean_and_stderr,
    moments,
    positions,
    standard_error,
    sum_leaf,
    total,
)
from jaxmetrics.metrics.text._ngrams import clipped_matches
from jaxmetrics.metrics.text._sentences import (
    Vocabulary,
    as_sentences,
    padded,
    padded_groups,
    reference_groups,
    sentences_and_references,
    with_weights,
)


class SQuAD(Metric):
    """Exact match and F1 of answers, each the best over the reference answers.

    F1 is the harmonic mean of the shares of the tokens of the prediction and of the
    reference that both have, in any order. Both are means over questions, in [0, 1],
    higher is better, nan without data; the official script (Rajpurkar et al. 2016,
    2018) gives 100 times this. Two answers without tokens match, as in its version 2
    for questions that have no answer; version 1 and torchmetrics give them an F1 of 0.

    Reads `preds`, token ids `[batch, tokens]`, and `references`, `[batch, tokens]` or,
    with several for each question, `[batch, references, tokens]`. An answer ends before
    the first ignored id behind a token; a reference without tokens beside others is
    absent. `mask` `[batch]` leaves out questions. `from_strings` takes strings on the
    host.

    Args:
      ignore_index: Id, or tuple of ids, that end an answer: padding, end of text. Those
        before the first token are skipped: padding on the left, a start token. Default
        none.
      weighted: Require `weights` `[batch]`, of the questions.
      stderr: Compute the standard errors too, as `Mean(stderr=True)`. Default False.

    Returns by `compute`: `exact_match` and `f1`; with `stderr` also
    `exact_match_stderr` and `f1_stderr`.

    Example:
      >>> import jaxmetrics as jm
      >>> answers = ["in Denver, Colorado", "1976"]
      >>> state = jm.SQuAD().from_strings(answers, [["Denver", "Colorado"], "1976"])
      >>> {name: float(x) for name, x in state.compute().items()}
      {'exact_match': 0.5, 'f1': 0.75}
    """

    higher_is_better: ClassVar[Direction] = True

    ignore_index: int | tuple[int, ...] | None = None
    weighted: bool = False
    stderr: bool = dataclasses.field(default=False, kw_only=True)
    matched: Array = count_leaf(weighted="weighted")
    f1: Any = sum_leaf(moments="stderr")
    questions: Array = count_leaf(weighted="weighted")

    def observe(
        self, *, preds: Any, references: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """Return the batch's exact matches, sum of F1, and number of questions."""
        own, (others, sizes) = sentences_and_references(
            "SQuAD", preds, references, self.ignore_index
        )
        present = (sizes > 0) | (sizes.max(axis=-1, keepdims=True) == 0)
        shape = (*others.shape[:-1], own.ids.shape[-1])
        answer = jnp.broadcast_to(own.ids[..., None, :], shape)
        length = jnp.broadcast_to(own.length[..., None], sizes.shape)
        matches = clipped_matches(
            answer, length, others[..., None, :], sizes[..., None], 1
        )[..., 0]
        tokens = length + sizes
        f1 = jnp.where(tokens > 0, 2 * matches / jnp.maximum(tokens, 1), 1)
        exact = (length == sizes) & _equal(answer, others, sizes) & present
        f1 = jnp.where(present, f1, 0).max(-1)
        summed = moments if self.stderr else total
        return dict(
            matched=count_where(exact.any(-1), mask, weights),
            f1=summed(f1, mask, weights),
            questions=count_where(jnp.ones(f1.shape, bool), mask, weights),
        )

    def compute(self) -> dict[str, Any]:
        """Return the means over questions, and their errors if configured."""
        exact, f1 = divide(self.matched, self.questions), self.f1
        if not self.stderr:
            return dict(exact_match=exact, f1=divide(f1, self.questions))
        error = standard_error(exact * (1 - exact), f1.effective_n)
        f1 = mean_and_stderr(f1)
        return dict(
            exact_match=exact,
            f1=f1["mean"],
            exact_match_stderr=error,
            f1_stderr=f1["stderr"],
        )

    def from_strings(
        self,
        preds: str | Sequence[str],
        references: str | Sequence[str] | Sequence[str | Sequence[str]],
        weights: Sequence[float] | np.ndarray | None = None,
    ) -> Self:
        """Return the state of strings; it runs on the host, except for the counting.

        Case, punctuation, the articles "a", "an" and "the", and white space do not
        count, as in the official script.

        Args:
          preds: Answers; one str is one answer.
          references: For each question one answer, or a list of answers; an empty list
            if there is none.
          weights: One for each question, with `weighted=True`.

        Returns:
          The metric of these answers, to be merged with others.
        """
        preds = as_sentences("SQuAD", "preds", preds)
        groups = reference_groups("SQuAD", preds, references)
        vocabulary = Vocabulary(_tokens)
        as_ids = self.identity().with_fields(ignore_index=-1, renames=())
        state = as_ids.from_model_output(
            preds=padded([vocabulary.ids(x) for x in preds]),
            references=padded_groups([[vocabulary.ids(x) for x in g] for g in groups]),
            **with_weights(self, weights, len(preds)),
        )
        return state.with_fields(ignore_index=self.ignore_index, renames=self.renames)


def _equal(a: jax.Array, b: jax.Array, length: jax.Array) -> jax.Array:
    """Return where the first tokens are equal."""
    width = min(a.shape[-1], b.shape[-1])
    inside = positions(width, length.ndim + 1) < length[..., None]
    return ((a[..., :width] == b[..., :width]) | ~inside).all(-1)


_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def _tokens(text: str) -> list[str]:
    return _ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split()
