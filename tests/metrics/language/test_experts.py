"""Load of experts, by hand."""

import math

import numpy as np
import pytest

import jaxmetrics as jm

EXPERTS = np.int32([[[0, 1], [0, 2]], [[0, 1], [0, 1]]])  # [batch, tokens, k]


def test_a_token_counts_for_each_of_its_experts():
    load = jm.evaluate(jm.ExpertLoad(4), experts=EXPERTS)
    assert load.tolist() == [4 / 8, 3 / 8, 1 / 8, 0]
    assert jm.evaluate(jm.ExpertPeakLoad(4), experts=EXPERTS) == 2


def test_an_even_load_is_balanced_and_a_single_expert_is_not():
    even = np.arange(8, dtype=np.int32)[:, None] % 4
    assert jm.evaluate(jm.ExpertBalance(4), experts=even) == pytest.approx(1)
    assert jm.evaluate(jm.ExpertPeakLoad(4), experts=even) == 1
    one = np.full((8, 1), 2, np.int32)
    assert jm.evaluate(jm.ExpertBalance(4), experts=one) == 0
    assert jm.evaluate(jm.ExpertPeakLoad(4), experts=one) == 4


def test_tokens_are_masked_with_all_their_experts():
    mask = np.array([[True, False], [False, False]])
    load = jm.evaluate(jm.ExpertLoad(4), experts=EXPERTS, mask=mask)
    assert load.tolist() == [0.5, 0.5, 0, 0]


def test_numbers_out_of_range_are_invalid_and_dropped_tokens_are_not():
    experts = np.int32([[0, -1], [4, 1]])
    state = jm.ExpertLoad(4).update(experts=experts)
    assert state.plain()["invalid"] == 2
    assert state.compute().tolist() == [0.5, 0.5, 0, 0]
    state = jm.ExpertLoad(4, ignore_index=-1).update(experts=experts)
    assert state.plain()["invalid"] == 1


def test_gates_weight_the_load():
    gates = np.float32([[[0.75, 0.25], [1, 0]], [[0.5, 0.5], [0.5, 0.5]]])
    metric = jm.ExpertLoad(4, weighted=True)
    load = jm.evaluate(metric, experts=EXPERTS, weights=gates)
    np.testing.assert_allclose(load, [2.75 / 4, 1.25 / 4, 0, 0], rtol=1e-6)


def test_loads_are_exact_beyond_float32():
    state = jm.ExpertLoad(2).replace(load=np.array([2**24, 2**40]))
    state = state.update(experts=np.int32([[0], [0], [1]]))
    assert state.plain()["load"].tolist() == [2**24 + 2, 2**40 + 1]


def test_a_collection_stores_one_load():
    metrics = jm.Collection(
        load=jm.ExpertLoad(4), balance=jm.ExpertBalance(4), peak=jm.ExpertPeakLoad(4)
    )
    values = metrics.update(experts=EXPERTS).compute()
    assert values["peak"] == 2 and 0 < values["balance"] < 1


def test_without_data_all_are_nan():
    assert np.isnan(jm.ExpertLoad(3).compute()).all()
    assert math.isnan(jm.ExpertBalance(3).compute())
    assert math.isnan(jm.ExpertPeakLoad(3).compute())


def test_bad_settings_and_probabilities_are_refused():
    with pytest.raises(ValueError, match="experts is 0, but must be at least 1"):
        jm.ExpertLoad(0)
    with pytest.raises(ValueError, match="experts is 1, but must be at least 2"):
        jm.ExpertBalance(1)
    with pytest.raises(TypeError, match="experts are float32, but must be integers"):
        jm.evaluate(jm.ExpertLoad(4), experts=np.float32([[0.5, 0.5]]))
