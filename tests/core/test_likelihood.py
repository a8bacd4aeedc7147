"""The negative log-likelihood that several metrics share."""

import math

import numpy as np
import pytest

from jaxmetrics.core import negative_log_likelihood

LOGITS = np.log(np.float32([[0.5, 0.25, 0.25], [0.2, 0.2, 0.6]]))


def test_logits_are_normalized():
    nats, valid = negative_log_likelihood(LOGITS + 7, np.int32([0, 2]))
    np.testing.assert_allclose(nats, [math.log(2), -math.log(0.6)], rtol=1e-6)
    assert valid.all()


def test_probabilities_are_not_normalized():
    probs = np.float32([[0.5, 0.25]])
    nats, _ = negative_log_likelihood(probs, np.int32([1]), probs=True)
    assert float(nats[0]) == pytest.approx(math.log(4))


def test_smoothing_mixes_in_the_mean_over_all_classes():
    nats, _ = negative_log_likelihood(LOGITS, np.int32([0, 2]), label_smoothing=0.3)
    each = -np.float64(LOGITS)
    expected = 0.7 * each[[0, 1], [0, 2]] + 0.3 * each.mean(-1)
    np.testing.assert_allclose(nats, expected, rtol=1e-6)


@pytest.mark.parametrize("label", [-1, 3, -100])
def test_a_label_out_of_range_is_invalid(label):
    _, valid = negative_log_likelihood(LOGITS, np.int32([0, label]))
    assert valid.tolist() == [True, False]


def test_a_row_with_a_score_that_is_not_finite_is_invalid():
    logits = LOGITS.copy()
    logits[0, 2] = np.nan
    _, valid = negative_log_likelihood(logits, np.int32([0, 2]))
    assert valid.tolist() == [False, True]


def test_labels_that_are_not_integers_are_refused():
    with pytest.raises(TypeError, match="labels are integer"):
        negative_log_likelihood(LOGITS, np.float32([0, 2]))
