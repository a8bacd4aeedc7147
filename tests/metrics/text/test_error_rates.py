"""Error rates of transcripts, by hand and against jiwer."""

import math

import jax.numpy as jnp
import jiwer
import numpy as np
import pytest

import jaxmetrics as jm
from jaxmetrics.metrics.text import _alignment

PREDS = np.int32([[1, 2, 9, 0], [5, 5, 0, 0]])
REFERENCES = np.int32([[1, 2, 3, 4, 0], [5, 0, 0, 0, 0]])
RATES = (jm.WordErrorRate, jm.MatchErrorRate, jm.WordInfoLost, jm.WordInfoPreserved)


def counts(preds, references, **options):
    state = jm.WordErrorRate(ignore_index=0).update(
        preds=np.int32(preds), references=np.int32(references), **options
    )
    return state.edits.plain()


def test_the_edits_by_hand():
    assert counts(PREDS, REFERENCES) == dict(
        hits=3, substitutions=1, deletions=1, insertions=1, sentences=2
    )
    value = jm.evaluate(
        jm.WordErrorRate(ignore_index=0), preds=PREDS, references=REFERENCES
    )
    assert value == 3 / 5


def test_errors_are_summed_before_they_are_divided():
    """The mean of the sentences' rates, 2 / 4 and 1 / 1, would be 0.75."""
    metric = jm.WordErrorRate(ignore_index=0)
    rates = [
        jm.evaluate(metric, preds=PREDS[i : i + 1], references=REFERENCES[i : i + 1])
        for i in range(2)
    ]
    assert np.mean(rates) == 0.75
    assert jm.evaluate(metric, preds=PREDS, references=REFERENCES) == 0.6


def test_of_paths_with_equal_edits_a_deletion_is_taken_before_others():
    """Two substitutions and no hit would be as short."""
    assert counts([[2, 1, 0]], [[1, 2, 0]]) == dict(
        hits=1, substitutions=0, deletions=1, insertions=1, sentences=1
    )


def test_a_sentence_ends_before_its_first_ignored_id():
    edits = counts([[1, 2, 0, 7, 7]], [[1, 0, 2, 2, 2]])
    assert edits["hits"] == 1 and edits["insertions"] == 1
    metric = jm.WordErrorRate(ignore_index=(0, 3))
    state = metric.update(preds=np.int32([[1, 3, 5]]), references=np.int32([[1, 2, 3]]))
    assert state.edits.plain()["deletions"] == 1


def test_masked_sentences_do_not_count():
    mask = np.array([True, False])
    assert counts(PREDS, REFERENCES, mask=mask)["sentences"] == 1
    state = jm.WordErrorRate().update(
        preds=PREDS, references=REFERENCES, mask=np.array([False, False])
    )
    assert math.isnan(state.compute())


def test_empty_sentences():
    assert counts([[0, 0]], [[1, 2]])["deletions"] == 2
    assert counts([[1, 2]], [[0, 0]])["insertions"] == 2
    assert counts(np.zeros((2, 0)), np.zeros((2, 0)))["sentences"] == 2
    assert counts(np.zeros((1, 0)), [[1, 2, 3]])["deletions"] == 3
    assert math.isnan(jm.WordErrorRate().from_strings("", "").compute())


@pytest.mark.parametrize("pair", [(["", ""], ["a b", "c"]), ("a b", ""), ("", "")])
def test_information_without_a_hit_is_lost_as_in_jiwer_and_nan_without_words(pair):
    lost, kept = (
        float(metric.from_strings(*pair).compute())
        for metric in (jm.WordInfoLost(), jm.WordInfoPreserved())
    )
    nothing = pair == ("", "")
    np.testing.assert_equal((lost, kept), (np.nan,) * 2 if nothing else (1, 0))


def test_more_insertions_than_tokens_are_above_one_but_the_match_error_rate_is_not():
    preds, reference = "a b c d", "x"
    assert jm.WordErrorRate().from_strings(preds, reference).compute() == 4
    assert jm.MatchErrorRate().from_strings(preds, reference).compute() == 1


def test_counts_are_exact_beyond_float32():
    metric = jm.WordErrorRate(ignore_index=0)
    preset = metric.edits.replace(hits=2**24, insertions=2**40)
    state = metric.with_fields(edits=preset).update(preds=PREDS, references=REFERENCES)
    assert state.edits.plain()["hits"] == 2**24 + 3
    assert state.edits.plain()["insertions"] == 2**40 + 1


def test_a_collection_stores_one_alignment():
    metrics = jm.Collection(
        {rate.__name__: rate(ignore_index=0) for rate in RATES}
    ).update(preds=PREDS, references=REFERENCES)
    values = metrics.compute()
    assert values["WordInfoLost"] == pytest.approx(1 - 3 / 5 * 3 / 5)
    assert values["MatchErrorRate"] == 3 / 6


def test_a_string_is_one_sentence_not_a_sequence_of_characters():
    """Trap 6.27: metrax takes the sentence of a list as one token, and says 1."""
    as_list = jm.WordErrorRate().from_strings(["a b c d"], ["a b c x"])
    assert as_list.compute() == 0.25
    assert jm.WordErrorRate().from_strings("a b c d", "a b c x").compute() == 0.25
    with pytest.raises(TypeError, match="Join words with spaces"):
        jm.WordErrorRate().from_strings([["a", "b"]], ["a b"])


def test_states_of_strings_are_merged():
    whole = jm.WordErrorRate().from_strings(["a b", "c"], ["a x", "c d"])
    first = jm.WordErrorRate().from_strings(["a b"], ["a x"])
    merged = first.merge(jm.WordErrorRate().from_strings(["c"], ["c d"]))
    assert merged.edits.plain() == whole.edits.plain()


def test_other_numbers_of_sentences_and_scores_are_refused():
    with pytest.raises(ValueError, match="there are 1 preds and 2 references"):
        jm.WordErrorRate().from_strings(["a"], ["a", "b"])
    with pytest.raises(ValueError, match="all axes but the tokens must be equal"):
        counts(PREDS, REFERENCES[:1])
    with pytest.raises(TypeError, match="preds are float32, but must be integers"):
        jm.evaluate(jm.WordErrorRate(), preds=np.float32(PREDS), references=REFERENCES)
    with pytest.raises(ValueError, match="preds are a scalar"):
        jm.evaluate(jm.WordErrorRate(), preds=np.int32(1), references=np.int32(1))


WORDS = "the a cat dog sat ran on in mat house".split()


def sampled_sentences(seed, n=200):
    rng = np.random.default_rng(seed)
    references = [list(rng.choice(WORDS, rng.integers(1, 12))) for _ in range(n)]
    preds = []
    for words in references:
        kept = [w for w in words if rng.random() > 0.15]
        kept = [str(rng.choice(WORDS)) if rng.random() < 0.2 else w for w in kept]
        preds.append(kept + list(rng.choice(WORDS, rng.integers(0, 3))))
    return [" ".join(x) for x in preds], [" ".join(x) for x in references]


def test_strings_agree_with_jiwer():
    preds, references = sampled_sentences(0)
    words = jiwer.process_words(references, preds)
    expected = dict(zip(RATES, (words.wer, words.mer, words.wil, words.wip)))
    for rate, value in expected.items():
        ours = rate().from_strings(preds, references).compute()
        assert ours == pytest.approx(value, rel=1e-12)
    state = jm.WordErrorRate().from_strings(preds, references)
    names = ("hits", "substitutions", "deletions", "insertions")
    assert [state.edits.plain()[x] for x in names] == [getattr(words, x) for x in names]
    ours = jm.CharErrorRate().from_strings(preds, references).compute()
    assert ours == pytest.approx(jiwer.cer(references, preds), rel=1e-12)


def test_the_table_of_long_sentences_is_that_of_short_ones(monkeypatch):
    """Beyond 2^14 tokens a cell is two words, here beyond 2."""
    rng = np.random.default_rng(0)
    pair = [rng.integers(0, 4, (30, tokens), np.int32) for tokens in (9, 12)]
    lengths = [rng.integers(0, x.shape[-1] + 1, len(x)) for x in pair]
    arguments = [jnp.asarray(x) for both in zip(pair, lengths) for x in both]
    packed = _alignment.align(*arguments)
    monkeypatch.setattr(_alignment, "_BITS", 1)
    for name, counts in _alignment.align(*arguments)._asdict().items():
        np.testing.assert_array_equal(counts, getattr(packed, name))
