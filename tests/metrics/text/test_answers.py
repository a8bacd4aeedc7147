"""SQuAD: the official script's values, several references, no answer, bad input."""

import collections
import re
import string

import jax
import numpy as np
import pytest

import jaxmetrics as jm

WORDS = ["the", "a", "Denver", "denver,", "Colorado", "1976", "of", "an", "-", "It's"]


def normalized(text):
    """Return the tokens of an answer as the official script does, step by step."""
    text = "".join(x for x in text.lower() if x not in set(string.punctuation))
    return re.sub(r"\b(a|an|the)\b", " ", text).split()


def score(pred, answer):
    """Return exact match and F1 of one pair, as version 2 of the script."""
    pred, answer = normalized(pred), normalized(answer)
    if not pred or not answer:
        return int(pred == answer), float(pred == answer)
    common = sum((collections.Counter(pred) & collections.Counter(answer)).values())
    precision, recall = common / len(pred), common / len(answer)
    f1 = 2 * precision * recall / (precision + recall) if common else 0.0
    return int(pred == answer), f1


def official(preds, references):
    values = []
    for pred, answers in zip(preds, references, strict=True):
        answers = [x for x in answers if normalized(x)] or [""]
        values.append(np.max([score(pred, x) for x in answers], axis=0))
    return dict(zip(("exact_match", "f1"), np.mean(values, axis=0)))


def answers(rng):
    return " ".join(rng.choice(WORDS, rng.integers(0, 4)))


@pytest.mark.parametrize("seed", range(3))
def test_strings_score_as_in_the_official_script(seed):
    rng = np.random.default_rng(seed)
    preds = [answers(rng) for _ in range(60)]
    references = [[answers(rng) for _ in range(rng.integers(0, 4))] for _ in preds]
    whole = jm.SQuAD().from_strings(preds, references)
    assert whole.compute() == pytest.approx(official(preds, references), rel=1e-6)
    halves = [jm.SQuAD().from_strings(preds[s], references[s]) for s in HALVES]
    assert halves[0].merge(halves[1]).compute() == pytest.approx(whole.compute())


HALVES = slice(0, 25), slice(25, None)


def test_case_punctuation_and_articles_do_not_count():
    state = jm.SQuAD().from_strings("The  Denver-Post!", "a denverpost")
    assert state.compute() == {"exact_match": 1, "f1": 1}


def test_f1_by_hand_is_the_best_of_the_references():
    """Two of three and of two tokens: 4/5, or one of three and of one: 1/2."""
    state = jm.SQuAD().from_strings(["in new york"], [["york", "york new"]])
    assert state.compute() == pytest.approx({"exact_match": 0, "f1": 0.8})


def test_a_repeated_token_is_matched_once():
    state = jm.SQuAD().from_strings("yes yes", "yes")
    assert state.compute()["f1"] == pytest.approx(2 / 3)


def test_no_answer_matches_no_answer_only():
    state = jm.SQuAD().from_strings(["", "Denver", ""], [[], [], ["Denver"]])
    assert state.compute() == pytest.approx({"exact_match": 1 / 3, "f1": 1 / 3})


def test_ids_behind_the_padding_do_not_count():
    metric = jm.SQuAD(ignore_index=0)
    value = jm.evaluate(metric, preds=[[5, 0, 7]], references=[[5, 0, 0, 9]])
    assert value == {"exact_match": 1, "f1": 1}
    value = jm.evaluate(metric, preds=[[5, 6]], references=[[[5, 0], [6, 5]]])
    assert value == {"exact_match": 0, "f1": 1}


def test_without_data_the_values_are_nan():
    masked = jm.SQuAD().update(preds=[[1]], references=[[1]], mask=np.array([False]))
    for state in (jm.SQuAD(), masked, jm.SQuAD().from_strings([], [])):
        assert all(np.isnan(x) for x in state.compute().values())


def test_questions_beyond_two_to_the_24():
    state = jm.SQuAD().replace(matched=2**24 + 1, questions=2**25 + 2, f1=2.0**24)
    state = jax.jit(lambda s: s.update(preds=np.ones((1, 1), int), references=ONE))(
        state
    )
    assert state.compute()["exact_match"] == (2**24 + 2) / (2**25 + 3)


ONE = np.ones((1, 1), int)


def test_wrong_inputs_are_refused():
    with pytest.raises(ValueError, match="Pad missing ones"):
        jm.SQuAD().update(preds=np.ones((2, 3), int), references=np.ones((3, 3), int))
    with pytest.raises(TypeError, match="must be integers"):
        jm.SQuAD().update(preds=np.ones((2, 3)), references=np.ones((2, 3), int))
    with pytest.raises(ValueError, match="1 preds and 2 references"):
        jm.SQuAD().from_strings("a", ["a", "b"])
