"""ROUGE of summaries."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np

from jaxmetrics.core import (
    Direction,
    Metric,
    check_choice,
    child,
    mean_of,
)
from jaxmetrics.metrics.text._rouge_scores import RougeScores
from jaxmetrics.metrics.text._sentences import (
    Vocabulary,
    as_sentences,
    padded,
    single_references,
    with_weights,
)

_KINDS = ("1", "2", "3", "4", "L", "Lsum")
_ID_OF_NEWLINE = -2  # below the ids of a vocabulary; -1 is padding
_VALUES = ("f1", "precision", "recall")


class ROUGE(Metric):
    """Overlap of a summary with its reference; in [0, 1], higher is better.

    Of each sentence, or summary: with "1" to "4" the clipped matches of n-grams, with
    "L" the tokens of the longest common subsequence, divided by the prediction's
    n-grams (precision) and by the reference's (recall); F1 is their harmonic mean, 0
    without a match. With "Lsum" a summary is several sentences, and the matches are the
    tokens of each of the reference's that are in the longest common subsequence with
    any of the prediction's, clipped. The value is the mean over summaries (Lin 2004),
    as the mean of rouge_score's `rouge1`, `rouge2`, `rougeL` and `rougeLsum`. nan
    without data.

    Reads `preds` and `references`, token ids `[batch, tokens]`; their numbers of tokens
    may differ. A sentence ends before the first ignored id behind a token. `mask`
    `[batch]` leaves out sentences. `from_strings` takes strings on the host. The update
    of n-grams and of "Lsum" compares all pairs of tokens, tokens x tokens for each
    sentence or summary.

    Args:
      kind: "1" (the default) to "4" for n-grams, "L" for the common subsequence, "Lsum"
        for that of the sentences of a summary.
      value: "f1" (the default), "precision" or "recall".
      ignore_index: Id, or tuple of ids, that end a sentence: padding, end of text.
        Those before the first token are skipped: padding on the left, a start token.
        Default none.
      separator: Id between the sentences of a summary, of "Lsum" only; it is no token.
        Default none: each summary is one sentence, and "Lsum" is "L".
      weighted: Require `weights` `[batch]`, of the summaries.
      stderr: Compute mean and standard error, as `Mean(stderr=True)`. Default False.

    Example:
      >>> import jaxmetrics as jm
      >>> metric = jm.ROUGE("L", value="recall", ignore_index=0)
      >>> preds, references = [[1, 3, 9, 0]], [[1, 2, 3, 4]]
      >>> float(jm.evaluate(metric, preds=preds, references=references))
      0.5
    """

    higher_is_better: ClassVar[Direction] = True

    kind: str = "1"
    value: str = "f1"
    ignore_index: int | tuple[int, ...] | None = None
    separator: int | None = None
    weighted: bool = False
    stderr: bool = dataclasses.field(default=False, kw_only=True)
    scores: RougeScores = child(
        lambda m: RougeScores(m.kind, m.ignore_index, m.separator, m.weighted, m.stderr)
    )

    def validate(self) -> None:
        """Refuse unknown kinds and values, and a separator without a use."""
        check_choice("ROUGE", "kind", self.kind, _KINDS)
        check_choice("ROUGE", "value", self.value, _VALUES)
        if self.separator is not None and self.kind != "Lsum":
            raise ValueError(
                f"ROUGE: separator is {self.separator} and kind {self.kind!r}, but "
                "only 'Lsum' has sentences. Leave one of them out."
            )

    def compute(self) -> Any:
        """Return the mean over sentences."""
        return mean_of(getattr(self.scores, self.value), self.scores.sentences)

    def from_strings(
        self,
        preds: str | Sequence[str],
        references: str | Sequence[str],
        weights: Sequence[float] | np.ndarray | None = None,
    ) -> Self:
        """Return the state of strings; it runs on the host, except for the counting.

        Tokens are the runs of letters a-z and digits of the lower-case string, as in
        rouge_score without a stemmer. With "Lsum" a newline ends a sentence.

        Args:
          preds: Summaries; one str is one summary.
          references: One summary for each prediction.
          weights: One for each prediction, with `weighted=True`.

        Returns:
          The metric of these summaries, to be merged with others.
        """
        preds = as_sentences("ROUGE", "preds", preds)
        references = single_references("ROUGE", preds, references)
        vocabulary = Vocabulary(_tokens)
        separator = _ID_OF_NEWLINE if self.kind == "Lsum" else None

        def ids(text: str) -> list[int]:
            if separator is None:
                return vocabulary.ids(text)
            lines = (vocabulary.ids(line) for line in text.split("\n"))
            return [x for line in lines for x in [*line, separator]]

        as_ids = dict(ignore_index=-1, separator=separator, renames=())
        scores = self.scores.identity().with_fields(**as_ids)
        state = scores.from_model_output(
            preds=padded([ids(x) for x in preds]),
            references=padded([ids(x) for x in references]),
            **with_weights(self, weights, len(preds)),
        )
        own = {name: getattr(self.scores, name) for name in as_ids}
        return self.with_fields(scores=state.with_fields(**own))


def _tokens(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", text.lower())
