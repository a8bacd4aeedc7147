"""chrF of translations: n-grams of characters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np

from jaxmetrics.core import (
    Array,
    Metric,
    both,
    count_leaf,
    count_where,
    divide,
    namespace,
)
from jaxmetrics.metrics.text._ngrams import clipped_matches, ngram_counts
from jaxmetrics.metrics.text._sentences import (
    Vocabulary,
    as_sentences,
    lengths,
    padded,
    require_pairs,
    same_number,
    sentences,
)


class chrF(Metric):
    """F-score of character n-grams; in [0, 1], higher is better.

    Precision and recall of clipped matches, summed over sentences and then averaged
    over the orders 1 to n that both sides have; their F-score weights recall `beta`
    times as much as precision (Popovic 2015). As sacrebleu's chrF2 with one reference,
    which is 100 times this: n-grams of a prediction longer than its reference has any
    do not count. nan without data, 0 without a match.

    Reads `preds` and `references`, ids of characters or bytes `[batch, tokens]`; their
    numbers may differ. A sentence ends before its first ignored id. `mask` `[batch]`
    leaves out sentences. `from_strings` takes strings on the host and leaves out white
    space. The update compares all pairs of tokens, tokens x tokens for each sentence.

    Args:
      n: Largest order. Default 6.
      beta: Weight of recall. Default 2.
      ignore_index: Id, or tuple of ids, that end a sentence: padding, end of text.
        Default none.

    Example:
      >>> import jaxmetrics as jm
      >>> metric = jm.chrF(n=2)
      >>> value = metric.from_strings("the cat", "the cart").compute()
      >>> round(float(value), 4)
      0.786
    """

    n: int = 6
    beta: float = 2.0
    ignore_index: int | tuple[int, ...] | None = None
    matches: Array = count_leaf("n")
    pred_ngrams: Array = count_leaf("n")
    reference_ngrams: Array = count_leaf("n")
    sentences: Array = count_leaf()

    def validate(self) -> None:
        """Refuse orders below 1 and a beta that is not above 0."""
        if self.n < 1 or not self.beta > 0:
            raise ValueError(
                f"chrF: n is {self.n} and beta {self.beta}; n must be at least 1 and "
                "beta above 0. Leave them out for chrF2."
            )

    def observe(
        self, *, preds: Any, references: Any, mask: Any = None
    ) -> dict[str, Any]:
        """Return the batch's matches and n-grams."""
        preds = sentences("chrF", "preds", preds)
        references = sentences("chrF", "references", references)
        require_pairs("chrF", preds, references)
        length = lengths(preds, self.ignore_index)
        reference_length = lengths(references, self.ignore_index)
        matches = clipped_matches(
            preds,
            length,
            references[..., None, :],
            reference_length[..., None],
            self.n,
        )
        own, other = (ngram_counts(x, self.n) for x in (length, reference_length))
        kept = both(jnp.ones(length.shape, bool), mask)

        def summed(counts: jax.Array) -> jax.Array:
            counts = jnp.where(kept[..., None], counts, 0)
            return counts.sum(axis=tuple(range(kept.ndim)), dtype=jnp.uint32)

        return dict(
            matches=summed(matches),
            pred_ngrams=summed(jnp.where(other > 0, own, 0)),
            reference_ngrams=summed(other),
            sentences=count_where(kept),
        )

    def compute(self) -> Any:
        """Return the score."""
        xp = namespace(self)
        matches, own = xp.asarray(self.matches), xp.asarray(self.pred_ngrams)
        other = xp.asarray(self.reference_ngrams)
        counted = (own > 0) & (other > 0)

        def mean(of: Any) -> Any:
            share = xp.where(counted, divide(matches, of), 0).sum(-1)
            return share / xp.maximum(counted.sum(-1), 1).astype(share.dtype)

        precision, recall = mean(own), mean(other)
        weight = np.float32(self.beta) ** 2
        some = precision + recall > 0
        sum_of_both = xp.where(some, weight * precision + recall, 1)
        score = (1 + weight) * precision * recall / sum_of_both
        return xp.where(xp.asarray(self.sentences) > 0, score, np.nan)[()]

    def from_strings(
        self, preds: str | Sequence[str], references: str | Sequence[str]
    ) -> Self:
        """Return the state of strings; it runs on the host, except for the counting.

        Args:
          preds: Sentences; one str is one sentence.
          references: One sentence for each prediction.

        Returns:
          The metric of these sentences, to be merged with others.
        """
        preds = as_sentences("chrF", "preds", preds)
        references = as_sentences("chrF", "references", references)
        same_number("chrF", preds, references)
        characters = Vocabulary(lambda text: list("".join(text.split())))
        state = chrF(self.n, self.beta, -1).from_model_output(
            preds=padded([characters.ids(x) for x in preds]),
            references=padded([characters.ids(x) for x in references]),
        )
        return self.identity().replace(**state.plain())
