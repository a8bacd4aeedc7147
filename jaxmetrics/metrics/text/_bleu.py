"""BLEU of translations."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import jax
import jax.numpy as jnp
import numpy as np

from jaxmetrics.core import (
    Array,
    Direction,
    Metric,
    check_choice,
    count_leaf,
    count_where,
    divide,
    namespace,
    total,
)
from jaxmetrics.metrics.text._ngrams import clipped_matches, ngram_counts
from jaxmetrics.metrics.text._sentences import (
    Vocabulary,
    as_sentences,
    padded,
    padded_groups,
    reference_groups,
    sentences_and_references,
    with_weights,
)

_SMOOTHING = {"none": 0.0, "floor": 0.1, "add-k": 1.0, "exp": 0.0}


class BLEU(Metric):
    """Overlap of n-grams with reference translations; in [0, 1], higher is better.

    The geometric mean of the precisions of 1-grams to n-grams, times the brevity
    penalty `min(1, exp(1 - r / c))` (Papineni et al. 2002). Matches are clipped, and
    summed over all sentences before dividing. c is the number of tokens of the
    predictions, r that of the references, each sentence's being the closest to its
    prediction, the shorter one on a tie, as in sacrebleu (metrax takes the shortest).
    sacrebleu's score is 100 times this. nan without data, 0 without a match.

    Reads `preds`, token ids `[batch, tokens]`, and `references`, `[batch, tokens]` or,
    with several for each prediction, `[batch, references, tokens]`. A sentence ends
    before the first ignored id behind a token; a reference without tokens beside others
    is absent. `mask` `[batch]` leaves out sentences. `from_strings` takes strings on
    the host. The update compares all pairs of tokens: tokens x tokens for each
    reference.

    Args:
      n: Largest order. Default 4.
      smooth: Smoothing of orders without a match (Chen and Cherry 2014), by the names
        of sacrebleu: "exp" (its default) halves the precision of 1 match for each such
        order, "floor" takes `smooth_value` (0.1) matches, "add-k" adds `smooth_value`
        (1) to matches and n-grams of all orders above 1, "none" makes the value 0.
      smooth_value: Amount of "floor" or "add-k"; None for its default.
      ignore_index: Id, or tuple of ids, that end a sentence: padding, end of text.
        Those before the first token are skipped: padding on the left, a start token.
        Default none.
      weighted: Require `weights` `[batch]`, of the sentences.

    Example:
      >>> import jaxmetrics as jm
      >>> metric = jm.BLEU(n=2, ignore_index=0)
      >>> preds, references = [[1, 2, 3, 9]], [[1, 2, 3, 4]]
      >>> value = jm.evaluate(metric, preds=preds, references=references)
      >>> round(float(value), 4)  # sqrt(3 / 4 * 2 / 3)
      0.7071
    """

    higher_is_better: ClassVar[Direction] = True

    n: int = 4
    smooth: str = "exp"
    smooth_value: float | None = None
    ignore_index: int | tuple[int, ...] | None = None
    weighted: bool = False
    matches: Array = count_leaf("n", weighted="weighted")
    ngrams: Array = count_leaf("n", weighted="weighted")
    pred_length: Array = count_leaf(weighted="weighted")
    reference_length: Array = count_leaf(weighted="weighted")
    sentences: Array = count_leaf(weighted="weighted")

    def validate(self) -> None:
        """Refuse orders below 1, unknown smoothing and negative amounts."""
        check_choice("BLEU", "smooth", self.smooth, tuple(_SMOOTHING))
        if self.n < 1 or not (self.smooth_value or 0) >= 0:
            raise ValueError(
                f"BLEU: n is {self.n} and smooth_value {self.smooth_value}; n must be "
                "at least 1 and smooth_value at least 0. Leave them out for defaults."
            )

    def observe(
        self, *, preds: Any, references: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """Return the batch's matches, n-grams and lengths."""
        own, other = sentences_and_references(
            "BLEU", preds, references, self.ignore_index
        )
        matches = clipped_matches(*own, *other, self.n)
        length, closest = own.length, _closest(own.length, other.length)
        ones = jnp.ones(length.shape, bool)
        return dict(
            matches=total(matches, mask, weights, keep=1),
            ngrams=total(ngram_counts(length, self.n), mask, weights, keep=1),
            pred_length=total(length, mask, weights),
            reference_length=total(closest, mask, weights),
            sentences=count_where(ones, mask, weights),
        )

    def compute(self) -> Any:
        """Return the score."""
        xp = namespace(self)
        matches, ngrams = xp.asarray(self.matches), xp.asarray(self.ngrams)
        some = (matches > 0).any(-1)
        amount = _SMOOTHING[self.smooth]
        amount = amount if self.smooth_value is None else self.smooth_value
        numerator = matches
        if self.smooth == "add-k":
            added = np.where(np.arange(self.n) > 0, np.float32(amount), np.float32(0))
            numerator, ngrams = matches + added, ngrams + added
        missed = (numerator == 0) & (ngrams > 0)
        if self.smooth == "exp":
            halved = xp.exp2(-xp.cumsum(missed, axis=-1).astype("float32"))
            numerator = xp.where(missed, halved, numerator)
        elif self.smooth == "floor":
            numerator = xp.where(missed, amount, numerator)
        precision = xp.where(ngrams > 0, divide(numerator, ngrams), 0)
        logs = xp.log(xp.where(precision > 0, precision, 1)).mean(-1)
        score = xp.where((precision > 0).all(-1) & some, xp.exp(logs), 0)
        ratio = divide(self.reference_length, self.pred_length)
        penalty = xp.exp(xp.minimum(1 - xp.where(some, ratio, 1), 0))
        return xp.where(xp.asarray(self.sentences) > 0, score * penalty, np.nan)[()]

    def from_strings(
        self,
        preds: str | Sequence[str],
        references: str | Sequence[str] | Sequence[Sequence[str]],
        tokenize: str = "13a",
        weights: Sequence[float] | np.ndarray | None = None,
    ) -> Self:
        """Return the state of strings; it runs on the host, except for the counting.

        Args:
          preds: Sentences; one str is one sentence.
          references: For each prediction one sentence, or a list of sentences.
          tokenize: "13a" (the default, as in sacrebleu and mteval-v13a), or "none" to
            split at white space.
          weights: One for each prediction, with `weighted=True`.

        Returns:
          The metric of these sentences, to be merged with others.
        """
        check_choice("BLEU", "tokenize", tokenize, tuple(_TOKENIZERS))
        preds = as_sentences("BLEU", "preds", preds)
        groups = reference_groups("BLEU", preds, references)
        vocabulary = Vocabulary(_TOKENIZERS[tokenize])
        state = BLEU(self.n, ignore_index=-1, weighted=self.weighted).from_model_output(
            preds=padded([vocabulary.ids(x) for x in preds]),
            references=padded_groups([[vocabulary.ids(x) for x in g] for g in groups]),
            **with_weights(self, weights, len(preds)),
        )
        return self.identity().replace(**state.plain())


def _closest(length: jax.Array, references: jax.Array) -> jax.Array:
    """Return the reference length closest to the prediction's, the shorter on a tie."""
    distance = jnp.abs(references - length[..., None])
    present = (references > 0) | (references.max(axis=-1, keepdims=True) == 0)
    distance = jnp.where(present, distance, jnp.int32(2**30))
    best = distance == distance.min(axis=-1, keepdims=True)
    return jnp.where(best, references, jnp.int32(2**30)).min(axis=-1)


_13A = (
    (re.compile(r"([\{-\~\[-\` -\&\(-\+\:-\@\/])"), r" \1 "),
    (re.compile(r"([^0-9])([\.,])"), r"\1 \2 "),
    (re.compile(r"([\.,])([^0-9])"), r" \1 \2"),
    (re.compile(r"([0-9])(-)"), r"\1 \2 "),
)
_ENTITIES = {"&quot;": '"', "&amp;": "&", "&lt;": "<", "&gt;": ">"}


def _tokens_13a(text: str) -> list[str]:
    """Split punctuation from words as mteval-v13a.pl does."""
    text = text.rstrip().replace("<skipped>", "").replace("-\n", "").replace("\n", " ")
    for entity, character in _ENTITIES.items():
        text = text.replace(entity, character)
    text = f" {text} "
    for pattern, replacement in _13A:
        text = pattern.sub(replacement, text)
    return text.split()


_TOKENIZERS = {"13a": _tokens_13a, "none": str.split}
