"""Translation edit rate, by hand and against sacrebleu."""

import itertools
import random

import numpy as np
import pytest
from sacrebleu.metrics import TER

import jaxmetrics as jm

OPTIONS = ("normalized", "no_punct", "asian_support", "case_sensitive")
SENTENCES = (
    "The cat's hat, it said: &quot;no&quot; - 3.5 of 1,000!",
    "the cat is on the mat today",
    "today the cat is on the mat .",
    "Ünïcode — “quotes” (and) [brackets]; semi-colons? yes!",
    "他说：「你好」，我是3号。 ひらがな カタカナ",
    "他说，你好 我是 3 号 ㈱ ㌔",
    "line one\n-joined\nline two  ",
    "",
)


def moved(words, rng):
    """Return words with some phrases moved, and some words replaced."""
    words = list(words)
    for _ in range(rng.randrange(4)):
        i, j = sorted(rng.randrange(len(words) + 1) for _ in range(2))
        phrase, words = words[i:j], words[:i] + words[j:]
        at = rng.randrange(len(words) + 1)
        words = words[:at] + phrase + words[at:]
    return [rng.choice("abcxyz") if rng.random() < 0.15 else x for x in words]


def assert_as_sacrebleu(preds, groups, **options):
    most = max(map(len, groups))
    columns = [[group[i % len(group)] for group in groups] for i in range(most)]
    right = TER(**options).corpus_score(preds, columns)
    state = jm.TranslationEditRate(**options).from_strings(
        preds, [[column[i] for column in columns] for i in range(len(preds))]
    )
    plain = state.plain()
    assert plain["edits"] == right.num_edits
    assert float(plain["reference_words"]) == pytest.approx(right.ref_length)
    assert float(state.compute()) == pytest.approx(right.score / 100, rel=1e-12)


@pytest.mark.parametrize("seed", range(20))
def test_random_sentences_with_moves_are_as_sacrebleu(seed):
    rng = random.Random(seed)
    preds, groups = [], []
    for _ in range(25):
        words = rng.choices("abcdefgh"[: rng.choice([2, 4, 8])], k=rng.randrange(1, 15))
        preds.append(" ".join(moved(words, rng)))
        group = [words, moved(words, rng)][: rng.choice([1, 2])]
        groups.append([" ".join(x) for x in group])
    assert_as_sacrebleu(preds, groups)


def test_sentences_far_longer_than_the_beam_are_as_sacrebleu():
    rng = random.Random(0)
    words = [rng.choices("abcdefgh", k=k) for k in (70, 4, 90)]
    others = [rng.choices("abcdefgh", k=k) for k in (60, 80, 5)]
    pairs = [" ".join(x) for x in words], [[" ".join(x)] for x in others]
    assert_as_sacrebleu(*pairs)


@pytest.mark.parametrize("chosen", [*itertools.product([False, True], repeat=4)])
def test_options_are_as_sacrebleu(chosen):
    options = dict(zip(OPTIONS, chosen))
    pairs = list(itertools.product(SENTENCES, SENTENCES[:-1]))
    assert_as_sacrebleu([a for a, _ in pairs], [[b] for _, b in pairs], **options)


def test_a_moved_phrase_is_one_edit():
    metric = jm.TranslationEditRate()
    assert metric.from_strings("c d e a b", "a b c d e").compute() == 1 / 5
    assert metric.from_strings("a b x", "a b c d").compute() == 2 / 4


def test_without_words_in_references():
    metric = jm.TranslationEditRate()
    assert metric.from_strings("a b", "").compute() == 1
    assert np.isnan(metric.from_strings("", "").compute())
    assert np.isnan(metric.compute())


def test_states_are_merged_and_weighted():
    metric = jm.TranslationEditRate()
    pairs = [("b a", "a b"), ("a c", "a d e")]
    states = [metric.from_strings(*pair) for pair in pairs]
    assert states[0].merge(states[1]).compute() == (1 + 2) / (2 + 3)
    weighted = jm.TranslationEditRate(weighted=True)
    state = weighted.from_strings(*zip(*pairs), weights=[3, 0.5])
    assert state.compute() == pytest.approx((3 + 1) / (6 + 1.5))


def test_counts_that_are_no_counts():
    metric = jm.TranslationEditRate()
    state = metric.update(edits=[1, -1, 2], reference_words=[4.0, 2.0, np.nan])
    assert state.compute() == 1 / 4 and state.diagnostics() == {"invalid": 2}
    with pytest.raises(TypeError, match="edits must be integers of one shape"):
        metric.update(edits=[1.0], reference_words=[4.0])
