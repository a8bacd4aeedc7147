"""Weights of strings: one for each prediction, worth as many of them."""

import numpy as np
import pytest

import jaxmetrics as jm

PREDS = ["the cat sat", "a dog", "it rains today", "no"]
REFERENCES = ["the cat sat down", "the dog ran", "it rained", "yes no"]
WEIGHTS = [2, 0, 1, 3]
METRICS = [
    jm.WordErrorRate,
    jm.CharErrorRate,
    jm.MatchErrorRate,
    jm.WordInfoLost,
    jm.WordInfoPreserved,
    jm.EditDistance,
    jm.BLEU,
    jm.chrF,
    jm.ROUGE,
    jm.SQuAD,
    jm.TranslationEditRate,
]

every_metric = pytest.mark.parametrize("metric", METRICS, ids=lambda x: x.__name__)


@every_metric
def test_a_weight_of_n_is_worth_n_strings(metric):
    pairs = [np.repeat(x, WEIGHTS).tolist() for x in (PREDS, REFERENCES)]
    repeated = metric().from_strings(*pairs).compute()
    state = metric(weighted=True).from_strings(PREDS, REFERENCES, weights=WEIGHTS)
    # Products of scores of sentences and weights are rounded to float32.
    assert state.compute() == pytest.approx(repeated, rel=1e-6)


@every_metric
def test_weights_go_with_a_weighted_metric_and_one_for_each_string(metric):
    with pytest.raises(TypeError, match="Pass weights=..., or .*weighted=False"):
        metric(weighted=True).from_strings(PREDS, REFERENCES)
    with pytest.raises(TypeError, match="Leave weights out, or .*weighted=True"):
        metric().from_strings(PREDS, REFERENCES, weights=WEIGHTS)
    with pytest.raises(ValueError, match=r"shape \(3,\), but must be \(4,\)"):
        metric(weighted=True).from_strings(PREDS, REFERENCES, weights=[1, 2, 3])
