"""chrF of translations: n-grams of characters, and of words."""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple, Self

import jax.numpy as jnp
import numpy as np

from jaxmetrics.core import (
    Array,
    Direction,
    Metric,
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


class chrF(Metric):
    """F-score of character n-grams; in [0, 1], higher is better.

    Precision and recall of clipped matches, summed over sentences and then averaged
    over the orders 1 to n that both sides have; their F-score weights recall `beta`
    times as much as precision (Popovic 2015). With `word_n=2` the n-grams of 1 and 2
    words are further orders of the same average: chrF++ (Popovic 2017). As sacrebleu's
    chrF2 and chrF2++, which are 100 times this: n-grams of a prediction longer than its
    reference has any do not count (torchmetrics averages the F-scores of the orders
    instead). Of several references the one counts whose score of that sentence alone,
    in float32, is largest, the first on a tie. nan without data, 0 without a match.

    Reads `preds`, ids of characters or bytes `[batch, tokens]`, and `references`,
    `[batch, tokens]` or, with several for each prediction, `[batch, references,
    tokens]`; their numbers of tokens may differ. With `word_n` it reads also the ids of
    words, `pred_words` `[batch, words]` and `reference_words` with the leading axes of
    `references`. A sentence ends before the first ignored id behind a token; a
    reference without tokens beside others is absent. `mask` `[batch]` leaves out
    sentences. `from_strings` takes strings on the host and leaves out white space. The
    update compares all pairs of tokens: tokens x tokens for each reference.

    Args:
      n: Largest order of characters. Default 6.
      beta: Weight of recall. Default 2.
      ignore_index: Id, or tuple of ids, that end a sentence: padding, end of text.
        Those before the first token are skipped: padding on the left, a start token.
        Default none.
      word_n: Largest order of words: 0 (the default) for chrF, 2 for chrF++.
      weighted: Require `weights` `[batch]`, of the sentences.

    Example:
      >>> import jaxmetrics as jm
      >>> metric = jm.chrF(n=2)
      >>> value = metric.from_strings("the cat", "the cart").compute()
      >>> round(float(value), 4)
      0.786
    """

    higher_is_better: ClassVar[Direction] = True

    n: int = 6
    beta: float = 2.0
    ignore_index: int | tuple[int, ...] | None = None
    word_n: int = 0
    weighted: bool = False
    matches: Array = count_leaf("orders", weighted="weighted")
    pred_ngrams: Array = count_leaf("orders", weighted="weighted")
    reference_ngrams: Array = count_leaf("orders", weighted="weighted")
    sentences: Array = count_leaf(weighted="weighted")

    @property
    def orders(self) -> int:
        """Number of orders: those of characters, then those of words."""
        return self.n + self.word_n

    def validate(self) -> None:
        """Refuse orders below 1 and a beta that is not above 0."""
        if self.n < 1 or self.word_n < 0 or not self.beta > 0:
            raise ValueError(
                f"chrF: n is {self.n}, word_n {self.word_n} and beta {self.beta}; n "
                "must be at least 1, word_n at least 0 and beta above 0. Leave them "
                "out for chrF2."
            )

    def observe(
        self,
        *,
        preds: Any,
        references: Any,
        pred_words: Any = None,
        reference_words: Any = None,
        mask: Any = None,
        weights: Any = None,
    ) -> dict[str, Any]:
        """Return the batch's matches and n-grams."""
        counts = self._counts(preds, references, self.n)
        present = counts.reference[..., 0] > 0
        if self.word_n:
            if pred_words is None or reference_words is None:
                raise TypeError(
                    f"chrF: word_n={self.word_n} reads the outputs pred_words and "
                    "reference_words, ids of words. Pass both, or leave word_n out."
                )
            words = self._counts(pred_words, reference_words, self.word_n)
            if words.matches.shape[:-1] != counts.matches.shape[:-1]:
                raise ValueError(
                    "chrF: characters have the leading axes [batch, references] "
                    f"{counts.matches.shape[:-1]} and words "
                    f"{words.matches.shape[:-1]}, which must be equal. Pad missing "
                    "references."
                )
            pairs = zip(counts, words)
            counts = _Counts(*(jnp.concatenate(pair, axis=-1) for pair in pairs))
        score = jnp.where(present, self._score(counts, jnp), jnp.float32(-1))
        best = jnp.argmax(score, axis=-1)[..., None, None]
        chosen = (jnp.take_along_axis(x, best, axis=-2)[..., 0, :] for x in counts)
        matches, own, other = (total(x, mask, weights, keep=1) for x in chosen)
        return dict(
            matches=matches,
            pred_ngrams=own,
            reference_ngrams=other,
            sentences=count_where(jnp.ones(score.shape[:-1], bool), mask, weights),
        )

    def compute(self) -> Any:
        """Return the score."""
        xp = namespace(self)
        names = "matches", "pred_ngrams", "reference_ngrams"
        counts = _Counts(*(xp.asarray(getattr(self, name)) for name in names))
        score = self._score(counts, xp)
        return xp.where(xp.asarray(self.sentences) > 0, score, np.nan)[()]

    def from_strings(
        self,
        preds: str | Sequence[str],
        references: str | Sequence[str] | Sequence[Sequence[str]],
        weights: Sequence[float] | np.ndarray | None = None,
    ) -> Self:
        """Return the state of strings; it runs on the host, except for the counting.

        Words are split at white space, and one punctuation mark at their end, or else
        at their beginning, is a word of its own, as in sacrebleu.

        Args:
          preds: Sentences; one str is one sentence.
          references: For each prediction one sentence, or a list of sentences.
          weights: One for each prediction, with `weighted=True`.

        Returns:
          The metric of these sentences, to be merged with others.
        """
        preds = as_sentences("chrF", "preds", preds)
        groups = reference_groups("chrF", preds, references)
        characters = Vocabulary(lambda text: list("".join(text.split())))
        outputs = dict(
            preds=padded([characters.ids(x) for x in preds]),
            references=padded_groups([[characters.ids(x) for x in g] for g in groups]),
        )
        if self.word_n:
            words = Vocabulary(_words)
            outputs |= dict(
                pred_words=padded([words.ids(x) for x in preds]),
                reference_words=padded_groups(
                    [[words.ids(x) for x in g] for g in groups]
                ),
            )
        outputs |= with_weights(self, weights, len(preds))
        metric = chrF(self.n, self.beta, -1, self.word_n, self.weighted)
        state = metric.from_model_output(**outputs)
        return self.identity().replace(**state.plain())

    def _counts(self, preds: Any, references: Any, n: int) -> _Counts:
        """Return the counts of 1-grams to n-grams of each reference."""
        own, other = sentences_and_references(
            "chrF", preds, references, self.ignore_index
        )
        length = own.length[..., None]
        matches = clipped_matches(
            own.ids[..., None, :],
            length,
            other.ids[..., None, :],
            other.length[..., None],
            n,
        )
        ngrams, reference_ngrams = (ngram_counts(x, n) for x in (length, other.length))
        ngrams = jnp.where(reference_ngrams > 0, ngrams, 0)
        return _Counts(matches, ngrams, reference_ngrams)

    def _score(self, counts: _Counts, xp: Any) -> Any:
        """Return the F-score of counts `[..., orders]`."""
        counted = (counts.pred > 0) & (counts.reference > 0)

        def mean(of: Any) -> Any:
            share = xp.where(counted, divide(counts.matches, of), 0).sum(-1)
            return share / xp.maximum(counted.sum(-1), 1).astype(share.dtype)

        precision, recall = mean(counts.pred), mean(counts.reference)
        weight = np.float32(self.beta) ** 2
        some = precision + recall > 0
        sum_of_both = xp.where(some, weight * precision + recall, 1)
        return (1 + weight) * precision * recall / sum_of_both


class _Counts(NamedTuple):
    """Numbers of n-grams by order, `[..., orders]`."""

    matches: Any
    pred: Any
    reference: Any


def _words(text: str) -> list[str]:
    """Split words at white space, and a punctuation mark from each."""
    words = []
    for word in text.split():
        if len(word) > 1 and word[-1] in string.punctuation:
            words += [word[:-1], word[-1]]
        elif len(word) > 1 and word[0] in string.punctuation:
            words += [word[0], word[1:]]
        else:
            words.append(word)
    return words
