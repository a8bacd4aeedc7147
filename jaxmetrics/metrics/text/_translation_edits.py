"""Translation edit rate: edits and moves of phrases per word of the references."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import jax.numpy as jnp
import numpy as np

from jaxmetrics.core import (
    Array,
    Direction,
    Metric,
    both,
    count_leaf,
    count_where,
    divide,
    namespace,
    sum_leaf,
    total,
)
from jaxmetrics.metrics.text._sentences import (
    as_sentences,
    reference_groups,
    with_weights,
)
from jaxmetrics.metrics.text._shifted_edits import shifted_edits


class TranslationEditRate(Metric):
    """Edits per word of the references, where a phrase may move as one edit (TER).

    Lower is better; at least 0, and above 1 with many insertions (Snover et al. 2006).
    Edits and words are summed over sentences before dividing. As sacrebleu's `TER`,
    which is 100 times this and follows Tercom: of several references the one counts
    that needs the fewest edits, over the mean of their numbers of words. Without words
    in any reference it is 1 if there are edits; nan without both (sacrebleu gives 0).

    `from_strings` searches for the edits on the host, since the search has no bound
    that arrays could have: up to 1000 trials of moves a sentence, each of which fills a
    part of a table of words x words. `observe` reads what was counted: `edits`,
    integers `[batch]`, and `reference_words`, numbers `[batch]`. `mask` `[batch]`
    leaves out sentences; negative numbers and NaN are counted in `invalid`.

    Args:
      normalized: Split punctuation from words and replace XML entities, as Tercom.
      no_punct: Remove punctuation.
      asian_support: With `normalized`, split CJK text into characters; with `no_punct`,
        remove its punctuation as well.
      case_sensitive: Keep upper case. All four are False by default, as in sacrebleu.
      weighted: Require `weights` `[batch]`, of the sentences.

    Example:
      >>> import jaxmetrics as jm
      >>> metric = jm.TranslationEditRate()
      >>> metric = metric.from_strings("today it rains", "it rains today")
      >>> round(float(metric.compute()), 4)  # one move, three words
      0.3333
    """

    higher_is_better: ClassVar[Direction] = False

    normalized: bool = dataclasses.field(default=False, kw_only=True)
    no_punct: bool = dataclasses.field(default=False, kw_only=True)
    asian_support: bool = dataclasses.field(default=False, kw_only=True)
    case_sensitive: bool = dataclasses.field(default=False, kw_only=True)
    weighted: bool = dataclasses.field(default=False, kw_only=True)
    edits: Array = count_leaf(weighted="weighted")
    reference_words: Array = sum_leaf()
    invalid: Array = count_leaf()

    def observe(
        self,
        *,
        edits: Any,
        reference_words: Any,
        mask: Any = None,
        weights: Any = None,
    ) -> dict[str, Any]:
        """Return the batch's numbers of edits and of words of the references."""
        edits, words = jnp.asarray(edits), jnp.asarray(reference_words)
        if not jnp.issubdtype(edits.dtype, jnp.integer) or edits.shape != words.shape:
            raise TypeError(
                f"TranslationEditRate: edits are {edits.dtype}{list(edits.shape)} and "
                f"reference_words have shape {words.shape}, but edits must be integers "
                "of one shape with them. Call from_strings for strings."
            )
        valid = (edits >= 0) & (words >= 0)
        counted = both(valid, mask)
        return dict(
            edits=total(edits.astype(jnp.int32), counted, weights),
            reference_words=total(words, counted, weights),
            invalid=count_where(~valid, mask),
        )

    def compute(self) -> Any:
        """Return the rate."""
        xp = namespace(self)
        edits, words = xp.asarray(self.edits), xp.asarray(self.reference_words)
        rate = divide(edits, words)
        return xp.where((words == 0) & (edits > 0), 1.0, rate)[()]

    def from_strings(
        self,
        preds: str | Sequence[str],
        references: str | Sequence[str] | Sequence[Sequence[str]],
        weights: Sequence[float] | np.ndarray | None = None,
    ) -> Self:
        """Return the state of strings; it runs on the host.

        Args:
          preds: Sentences; one str is one sentence.
          references: For each prediction one sentence, or a list of sentences.
          weights: One for each prediction, with `weighted=True`.

        Returns:
          The metric of these sentences, to be merged with others.
        """
        preds = as_sentences("TranslationEditRate", "preds", preds)
        groups = reference_groups("TranslationEditRate", preds, references)
        edits, words = np.zeros(len(preds), np.int32), np.zeros(len(preds))
        for i, (pred, group) in enumerate(zip(preds, groups)):
            split, others = self._words(pred), [self._words(x) for x in group or [""]]
            edits[i] = min(shifted_edits(split, other) for other in others)
            words[i] = np.mean([len(other) for other in others])
        state = TranslationEditRate(weighted=self.weighted).from_model_output(
            edits=edits,
            reference_words=words,
            **with_weights(self, weights, len(preds)),
        )
        return self.identity().replace(**state.plain())

    def _words(self, text: str) -> list[str]:
        text = text if self.case_sensitive else text.lower()
        patterns = []
        if self.normalized:
            text = _joined(text.rstrip())
            patterns += _WESTERN + (_ASIAN if self.asian_support else ())
        if self.no_punct:
            patterns += _MARKS + (_ASIAN_MARKS if self.asian_support else ())
        for pattern, replacement in patterns:
            text = pattern.sub(replacement, text)
        return text.split()


_ENTITIES = {"&quot;": '"', "&amp;": "&", "&lt;": "<", "&gt;": ">"}


def _joined(text: str) -> str:
    """Join lines, and replace entities; a space at both ends."""
    text = text.replace("\n-", "").replace("\n", " ")
    for entity, character in _ENTITIES.items():
        text = text.replace(entity, character)
    return f" {text} "


def _patterns(*pairs: tuple[str, str]) -> tuple[tuple[re.Pattern[str], str], ...]:
    return tuple((re.compile(pattern), replacement) for pattern, replacement in pairs)


_WESTERN = _patterns(
    (r"([{-~[-` -&(-+:-@/])", r" \1 "),
    (r"'s ", " 's "),
    (r"([^0-9])([.,])", r"\1 \2 "),
    (r"([.,])([^0-9])", r" \1 \2"),
    (r"([0-9])(-)", r"\1 \2 "),
)
_CJK_MARKS = "[\u3001\u3002\u3008-\u3011\u3014-\u301f\uff61-\uff65\u30fb]"
_WIDE_MARKS = "[\uff0e\uff0c\uff1f\uff1a\uff1b\uff01\uff02\uff08\uff09]"
_ASIAN = _patterns(
    *(
        (f"([{block}])", r" \1 ")
        for block in (
            "\u4e00-\u9fff\u3400-\u4dbf",  # ideographs
            "\u31c0-\u31ef\u2e80-\u2eff",  # strokes and radicals
            "\u3300-\u33ff\uf900-\ufaff\ufe30-\ufe4f",  # compatibility
            "\u3200-\u3f22",  # enclosed letters, and as sacrebleu what follows them
        )
    ),
    *(
        (f"(^|^[{block}])([{block}]+)(?=$|^[{block}])", r"\1 \2 ")
        for block in ("\u3040-\u309f", "\u30a0-\u30ff", "\u31f0-\u31ff")  # kana
    ),
    (f"({_CJK_MARKS})", r" \1 "),
    (f"({_WIDE_MARKS})", r" \1 "),
)
_MARKS = _patterns((r'[.,?:;!"()]', ""))
_ASIAN_MARKS = _patterns((_CJK_MARKS, ""), (_WIDE_MARKS, ""))
