"""Error rates of transcripts: edits that make the prediction of the reference."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Self

import numpy as np

from jaxmetrics.core import Direction, Metric, child, divide, namespace
from jaxmetrics.metrics.text._edit_counts import EditCounts
from jaxmetrics.metrics.text._sentences import (
    Vocabulary,
    as_sentences,
    padded,
    single_references,
    with_weights,
)


class _EditRatio(Metric):
    """Base of ratios of hits and edits."""

    ignore_index: int | tuple[int, ...] | None = None
    weighted: bool = False
    edits: EditCounts = child(lambda m: EditCounts(m.ignore_index, m.weighted))

    def from_strings(
        self,
        preds: str | Iterable[str],
        references: str | Iterable[str],
        weights: Sequence[float] | np.ndarray | None = None,
    ) -> Self:
        """Return the state of strings; it runs on the host, except for the alignment.

        Args:
          preds: Sentences; one str is one sentence.
          references: One sentence for each prediction.
          weights: One for each prediction, with `weighted=True`.

        Returns:
          The metric of these sentences, to be merged with others.
        """
        name = type(self).__name__
        preds = as_sentences(name, "preds", preds)
        references = single_references(name, preds, references)
        vocabulary = Vocabulary(self._tokens)
        counts = EditCounts(-1, self.weighted).from_model_output(
            preds=padded([vocabulary.ids(x) for x in preds]),
            references=padded([vocabulary.ids(x) for x in references]),
            **with_weights(self, weights, len(preds)),
        )
        edits = self.edits.identity().replace(**counts.plain())
        return self.with_fields(edits=edits)

    @staticmethod
    def _tokens(text: str) -> list[str]:
        return text.split()

    def _errors(self) -> Any:
        edits = self.edits
        return edits.substitutions + edits.deletions + edits.insertions

    def _preserved(self) -> Any:
        """Return the share of the words' information that is kept, 0 without a hit."""
        edits, xp = self.edits, namespace(self)
        aligned = edits.hits + edits.substitutions
        recall = divide(edits.hits, aligned + edits.deletions)
        share = recall * divide(edits.hits, aligned + edits.insertions)
        missed = (xp.asarray(edits.hits) == 0) & (xp.asarray(self._errors()) > 0)
        return xp.where(missed, 0.0, share)[()]


class WordErrorRate(_EditRatio):
    """Edits per token of the references: (S + D + I) / (H + S + D); lower is better.

    S substitutions, D deletions, I insertions and H hits of the alignment with the
    fewest edits (Levenshtein 1966), summed over sentences before dividing, as in jiwer
    and torchmetrics. At least 0, and above 1 with many insertions; nan without words in
    any reference, where jiwer gives the number of insertions.

    Reads `preds` and `references`, token ids `[batch, tokens]`; their numbers of tokens
    may differ. A sentence ends before the first ignored id behind a token. `mask`
    `[batch]` leaves out sentences. `from_strings` takes strings on the host, split at
    white space.

    Args:
      ignore_index: Id, or tuple of ids, that end a sentence: padding, end of text.
        Those before the first token are skipped: padding on the left, a start token.
        Default none.
      weighted: Require `weights` `[batch]`, of the sentences.

    Example:
      >>> import jaxmetrics as jm
      >>> metric = jm.WordErrorRate(ignore_index=0)
      >>> preds, references = [[1, 2, 9, 0]], [[1, 2, 3, 4]]
      >>> float(jm.evaluate(metric, preds=preds, references=references))
      0.5
      >>> float(jm.WordErrorRate().from_strings("a b c d", "a b c x").compute())
      0.25
    """

    higher_is_better: ClassVar[Direction] = False

    def compute(self) -> Any:
        """Return the errors per token of the references."""
        edits = self.edits
        tokens = edits.hits + edits.substitutions + edits.deletions
        return divide(self._errors(), tokens)


class CharErrorRate(_EditRatio):
    """Edits per character of the references; lower is better.

    `WordErrorRate` of ids that stand for characters; as in jiwer's `cer`. At least 0,
    and above 1 with many insertions; nan without characters in any reference, where
    jiwer gives the number of insertions.

    Reads `preds` and `references`, ids of characters or bytes `[batch, tokens]`; their
    numbers may differ. A sentence ends before the first ignored id behind a token.
    `mask` `[batch]` leaves out sentences. `from_strings` takes strings on the host:
    each character counts, white space at both ends does not.

    Args:
      ignore_index: Id, or tuple of ids, that end a sentence. Those before the first
        token are skipped: padding on the left, a start token. Default none.
      weighted: Require `weights` `[batch]`, of the sentences.

    Example:
      >>> import jaxmetrics as jm
      >>> float(jm.CharErrorRate().from_strings("abxd", "abcd").compute())
      0.25
    """

    higher_is_better: ClassVar[Direction] = False

    @staticmethod
    def _tokens(text: str) -> list[str]:
        return list(text.strip())

    def compute(self) -> Any:
        """Return the errors per character of the references."""
        edits = self.edits
        tokens = edits.hits + edits.substitutions + edits.deletions
        return divide(self._errors(), tokens)


class MatchErrorRate(_EditRatio):
    """Fraction of aligned pairs that are errors: (S + D + I) / (H + S + D + I).

    In [0, 1], lower is better; nan without data (Morris, Maier and Green 2004). As in
    jiwer, see `WordErrorRate` for the letters. Where several alignments have the fewest
    edits, the hits are those of jiwer's. torchmetrics and torcheval take the length of
    the longer sentence less the edits as hits.

    Reads `preds` and `references`, token ids `[batch, tokens]`; their numbers of tokens
    may differ. A sentence ends before the first ignored id behind a token. `mask`
    `[batch]` leaves out sentences. `from_strings` takes strings on the host, split at
    white space.

    Args:
      ignore_index: Id, or tuple of ids, that end a sentence. Those before the first
        token are skipped: padding on the left, a start token. Default none.
      weighted: Require `weights` `[batch]`, of the sentences.

    Example:
      >>> import jaxmetrics as jm
      >>> value = jm.MatchErrorRate().from_strings("a b c d e", "a b c x").compute()
      >>> float(value)
      0.4
    """

    higher_is_better: ClassVar[Direction] = False

    def compute(self) -> Any:
        """Return the fraction of errors."""
        errors = self._errors()
        return divide(errors, errors + self.edits.hits)


class WordInfoPreserved(_EditRatio):
    """Share of the words' information that is kept: H / (H + S + D) * H / (H + S + I).

    In [0, 1], higher is better; 0 without a hit, nan without words (Morris, Maier and
    Green 2004). As in jiwer, see `WordErrorRate` for the letters. Where several
    alignments have the fewest edits, the hits are those of jiwer's.

    Reads `preds` and `references`, token ids `[batch, tokens]`; their numbers of tokens
    may differ. A sentence ends before the first ignored id behind a token. `mask`
    `[batch]` leaves out sentences. `from_strings` takes strings on the host, split at
    white space.

    Args:
      ignore_index: Id, or tuple of ids, that end a sentence. Those before the first
        token are skipped: padding on the left, a start token. Default none.
      weighted: Require `weights` `[batch]`, of the sentences.

    Example:
      >>> import jaxmetrics as jm
      >>> metric = jm.WordInfoPreserved()
      >>> float(metric.from_strings("a b c d", "a b c x").compute())
      0.5625
    """

    higher_is_better: ClassVar[Direction] = True

    def compute(self) -> Any:
        """Return the share that is kept."""
        return self._preserved()


class WordInfoLost(_EditRatio):
    """Share of the words' information that is lost, `1 - WordInfoPreserved`.

    In [0, 1], lower is better; 1 without a hit, nan without words (Morris, Maier and
    Green 2004). As in jiwer.

    Reads `preds` and `references`, token ids `[batch, tokens]`; their numbers of tokens
    may differ. A sentence ends before the first ignored id behind a token. `mask`
    `[batch]` leaves out sentences. `from_strings` takes strings on the host, split at
    white space.

    Args:
      ignore_index: Id, or tuple of ids, that end a sentence. Those before the first
        token are skipped: padding on the left, a start token. Default none.
      weighted: Require `weights` `[batch]`, of the sentences.

    Example:
      >>> import jaxmetrics as jm
      >>> float(jm.WordInfoLost().from_strings("a b c d", "a b c x").compute())
      0.4375
    """

    higher_is_better: ClassVar[Direction] = False

    def compute(self) -> Any:
        """Return the share that is lost."""
        return 1 - self._preserved()


class EditDistance(_EditRatio):
    """Mean number of edits between a prediction and its reference; lower is better.

    The Levenshtein distance, meaned over sentences; at least 0, nan without data. As
    torchmetrics' `EditDistance` on characters with `reduction="mean"`.

    Reads `preds` and `references`, token ids `[batch, tokens]`; their numbers of tokens
    may differ. A sentence ends before the first ignored id behind a token. `mask`
    `[batch]` leaves out sentences. `from_strings` takes strings on the host, whose
    characters are the tokens.

    Args:
      ignore_index: Id, or tuple of ids, that end a sentence. Those before the first
        token are skipped: padding on the left, a start token. Default none.
      weighted: Require `weights` `[batch]`, of the sentences.

    Example:
      >>> import jaxmetrics as jm
      >>> float(jm.EditDistance().from_strings(["rain"], ["shine"]).compute())
      3.0
    """

    higher_is_better: ClassVar[Direction] = False

    @staticmethod
    def _tokens(text: str) -> list[str]:
        return list(text)

    def compute(self) -> Any:
        """Return the edits per sentence."""
        return divide(self._errors(), self.edits.sentences)
