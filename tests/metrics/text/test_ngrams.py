"""BLEU, ROUGE and chrF, by hand and against sacrebleu and rouge_score."""

import math

import numpy as np
import pytest
import sacrebleu.metrics
from rouge_score import rouge_scorer

import jaxmetrics as jm

WORDS = (
    "the a cat dog sat ran on in mat house, 3.5 don't (yes) (no x-y &amp; end.".split()
)


def sampled_sentences(seed, n=60):
    rng = np.random.default_rng(seed)
    preds, references = [], []
    for _ in range(n):
        words = [str(w) for w in rng.choice(WORDS, rng.integers(1, 12))]
        kept = [w for w in words if rng.random() > 0.1]
        kept = [str(rng.choice(WORDS)) if rng.random() < 0.15 else w for w in kept]
        preds.append(" ".join(kept + list(rng.choice(WORDS, rng.integers(0, 3)))))
        references.append(" ".join(words))
    return preds, references


PREDS, REFERENCES = sampled_sentences(0)
OTHERS = [" ".join(x.split()[:-1][::-1]) for x in REFERENCES]


@pytest.mark.parametrize("smooth", ["exp", "floor", "add-k", "none"])
@pytest.mark.parametrize("n", [60, 1])
def test_bleu_agrees_with_sacrebleu(smooth, n):
    preds, references, others = PREDS[:n], REFERENCES[:n], OTHERS[:n]
    for tokenize in ("13a", "none"):
        oracle = sacrebleu.metrics.BLEU(smooth_method=smooth, tokenize=tokenize)
        metric = jm.BLEU(smooth=smooth)
        score = metric.from_strings(preds, references, tokenize).compute()
        expected = oracle.corpus_score(preds, [references]).score / 100
        assert score == pytest.approx(expected, rel=1e-6)
        pairs = list(zip(references, others))
        score = metric.from_strings(preds, pairs, tokenize).compute()
        expected = oracle.corpus_score(preds, [references, others]).score / 100
        assert score == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("kind", ["1", "2", "L"])
def test_rouge_agrees_with_rouge_score(kind):
    scorer = rouge_scorer.RougeScorer([f"rouge{kind}"])
    scores = [scorer.score(r, p)[f"rouge{kind}"] for p, r in zip(PREDS, REFERENCES)]
    names = dict(f1="fmeasure", precision="precision", recall="recall")
    for value, name in names.items():
        ours = jm.ROUGE(kind, value).from_strings(PREDS, REFERENCES).compute()
        expected = np.mean([getattr(score, name) for score in scores])
        assert ours == pytest.approx(expected, rel=1e-6)


def test_rouge_of_summaries_agrees_with_rouge_score():
    """Sentences of few words, so that subsequences tie and unions overlap."""
    rng = np.random.default_rng(1)

    def summary():
        lines = (rng.choice(list("abcd"), rng.integers(0, 7)) for _ in range(4))
        return "\n".join(" ".join(line) for line in lines)

    preds, references = ([summary() for _ in range(100)] for _ in range(2))
    scorer = rouge_scorer.RougeScorer(["rougeLsum"])
    scores = [scorer.score(r, p)["rougeLsum"] for p, r in zip(preds, references)]
    names = dict(f1="fmeasure", precision="precision", recall="recall")
    for value, name in names.items():
        ours = jm.ROUGE("Lsum", value).from_strings(preds, references).compute()
        expected = np.mean([getattr(score, name) for score in scores])
        assert ours == pytest.approx(expected, rel=1e-6)


def test_the_union_of_subsequences_by_hand():
    """The example of Lin 2004, 3.2: w1 w2 and w1 w3 w5 cover 4 of 5 tokens."""
    preds = np.int32([[1, 2, 6, 7, 8, -2, 1, 3, 8, 9, 5]])
    references = np.int32([[1, 2, 3, 4, 5]])
    metric = jm.ROUGE("Lsum", "recall", separator=-2)
    assert jm.evaluate(metric, preds=preds, references=references) == pytest.approx(0.8)
    whole = jm.ROUGE("Lsum", "precision")
    outputs = dict(preds=references, references=references[:, 2:])
    assert jm.evaluate(whole, **outputs) == pytest.approx(3 / 5)


@pytest.mark.parametrize("word_n", [0, 2])
@pytest.mark.parametrize("n", [60, 1])
def test_chrf_agrees_with_sacrebleu(n, word_n):
    preds, references, others = PREDS[:n], REFERENCES[:n], OTHERS[:n]
    oracle, metric = sacrebleu.metrics.CHRF(word_order=word_n), jm.chrF(word_n=word_n)
    expected = oracle.corpus_score(preds, [references]).score / 100
    ours = metric.from_strings(preds, references).compute()
    assert ours == pytest.approx(expected, rel=1e-6)
    # A second reference where it has words; sacrebleu leaves out empty ones too.
    pairs = [[b, a] if b else [a] for a, b in zip(references, others)]
    assert n == 1 or {len(pair) for pair in pairs} == {1, 2}
    expected = oracle.corpus_score(preds, [others, references]).score / 100
    ours = metric.from_strings(preds, pairs).compute()
    assert ours == pytest.approx(expected, rel=1e-6)


def test_the_reference_of_the_best_score_counts():
    preds = np.int32([[1, 2, 3, 4]])
    references = np.int32([[[1, 9, 9, 9], [1, 2, 3, 9], [0, 0, 0, 0]]])
    state = jm.chrF(n=2, ignore_index=0).update(preds=preds, references=references)
    assert state.plain()["matches"].tolist() == [3, 2]
    assert state.plain()["reference_ngrams"].tolist() == [4, 3]
    turned = dict(preds=preds, references=references[:, ::-1])
    again = jm.chrF(n=2, ignore_index=0).update(**turned)
    assert again.plain()["matches"].tolist() == [3, 2]


def test_an_absent_reference_does_not_count_without_a_match():
    preds, references = np.int32([[1, 2]]), np.int32([[[0, 0], [3, 4]]])
    state = jm.chrF(n=1, ignore_index=0).update(preds=preds, references=references)
    assert state.plain()["reference_ngrams"].tolist() == [2]


def test_chrf_of_words_needs_words():
    ids, pair = np.int32([[1, 2]]), np.int32([[[1, 2], [1, 3]]])
    with pytest.raises(TypeError, match="reads the outputs pred_words"):
        jm.evaluate(jm.chrF(word_n=2), preds=ids, references=ids)
    outputs = dict(preds=ids, references=ids, pred_words=ids, reference_words=pair)
    with pytest.raises(ValueError, match="which must be equal"):
        jm.evaluate(jm.chrF(word_n=2), **outputs)


def test_the_closest_reference_gives_the_length_not_the_shortest():
    """Trap 6.28: metrax takes the length 3 and no penalty."""
    pred, references = [1, 2, 3, 4, 5], [[1, 2, 3, 4, 5, 6], [1, 2, 3, 0, 0, 0]]
    metric = jm.BLEU(n=2, ignore_index=0)
    state = metric.update(preds=np.int32([pred]), references=np.int32([references]))
    assert state.plain()["reference_length"] == 6
    assert state.compute() == pytest.approx(math.exp(-0.2), rel=1e-6)


def test_of_references_equally_close_the_shorter_counts():
    references = np.int32([[[1, 2, 3, 0, 0], [1, 2, 3, 4, 5]]])
    state = jm.BLEU(ignore_index=0).update(
        preds=np.int32([[1, 2, 3, 4]]), references=references
    )
    assert state.plain()["reference_length"] == 3


def test_a_padded_reference_is_absent():
    references = np.int32([[[1, 2, 3, 4], [0, 0, 0, 0]]])
    outputs = dict(preds=np.int32([[1, 0, 0, 0]]), references=references)
    state = jm.BLEU(ignore_index=0).update(**outputs)
    assert state.plain()["reference_length"] == 4


def test_a_match_is_used_once():
    """The example of Papineni et al.: seven times "the" against two of them."""
    state = jm.BLEU(n=1).from_strings(
        "the the the the the the the", "the cat is on the mat", tokenize="none"
    )
    assert state.plain()["matches"].tolist() == [2]
    assert state.compute() == pytest.approx(2 / 7)


def test_a_string_is_one_sentence():
    for metric in (jm.BLEU(), jm.ROUGE(), jm.chrF()):
        one = metric.from_strings("the cat sat on it", "the cat sat on it")
        assert one.compute() == pytest.approx(1)
        listed = metric.from_strings(["the cat sat on it"], ["the cat sat on it"])
        assert listed.compute() == one.compute()
        with pytest.raises(TypeError, match="Join words with spaces"):
            metric.from_strings([["the", "cat"]], ["the cat"])
        with pytest.raises(ValueError, match="there are 2 preds and 1 references"):
            metric.from_strings(["a", "b"], ["a"])


def test_nothing_is_nan_and_no_match_is_zero():
    for metric in (jm.BLEU(), jm.ROUGE("2"), jm.ROUGE("Lsum"), jm.chrF(word_n=2)):
        assert math.isnan(metric.compute())
        assert metric.from_strings("a b c d e", "v w x y z").compute() == 0
        assert metric.from_strings("", "v w x y z").compute() == 0
        assert metric.from_strings("a b", "").compute() == 0


def test_masked_sentences_do_not_count():
    ids = np.int32([[1, 2, 3, 4], [5, 6, 7, 8]])
    outputs = dict(preds=ids, references=np.where(ids > 4, 9, ids))
    mask = np.array([True, False])
    for metric in (jm.BLEU(), jm.ROUGE("2"), jm.ROUGE("L"), jm.chrF(n=4)):
        assert jm.evaluate(metric, **outputs, mask=mask) == pytest.approx(1)
        masked = metric.update(**outputs, mask=np.array([False, False]))
        assert math.isnan(masked.compute())


def test_counts_are_exact_beyond_float32():
    state = jm.BLEU(n=1).replace(matches=np.array([2**24]), pred_length=2**40)
    state = state.merge(jm.BLEU(n=1).from_strings("a", "a"))
    assert state.plain()["matches"].tolist() == [2**24 + 1]
    assert state.plain()["pred_length"] == 2**40 + 1


def test_the_values_of_rouge_share_their_state():
    metrics = jm.Collection(
        {value: jm.ROUGE("1", value) for value in ("f1", "precision", "recall")}
    )
    values = metrics.update(
        preds=np.int32([[1, 2]]), references=np.int32([[1, 3, 4, 5]])
    ).compute()
    assert values["precision"] == 0.5 and values["recall"] == 0.25
    assert values["f1"] == pytest.approx(1 / 3)


def test_bad_settings_are_refused():
    with pytest.raises(ValueError, match="smooth is 'linear'"):
        jm.BLEU(smooth="linear")
    with pytest.raises(ValueError, match="n must be at least 1"):
        jm.BLEU(n=0)
    with pytest.raises(ValueError, match="tokenize is 'intl'"):
        jm.BLEU().from_strings("a", "a", tokenize="intl")
    with pytest.raises(ValueError, match="kind is 'W'"):
        jm.ROUGE("W")
    with pytest.raises(ValueError, match="value is 'f2'"):
        jm.ROUGE(value="f2")
    with pytest.raises(ValueError, match="only 'Lsum' has sentences"):
        jm.ROUGE("L", separator=3)
    with pytest.raises(ValueError, match="beta above 0"):
        jm.chrF(beta=0.0)
    with pytest.raises(ValueError, match="with the batch of preds"):
        jm.evaluate(
            jm.BLEU(),
            preds=np.zeros((2, 3), np.int32),
            references=np.zeros((3, 3), np.int32),
        )
