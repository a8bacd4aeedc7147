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


def test_choices_beyond_the_capacity_overflow_group_by_group():
    experts = np.int32([[[0], [0], [0], [1]], [[0], [1], [0], [1]]])
    metric = jm.CapacityOverflow(2)
    assert metric.capacity(tokens=4, k=1) == 2
    assert jm.evaluate(metric, experts=experts) == 1 / 8
    assert jm.evaluate(metric, experts=experts.reshape(8, 1)) == 1 / 8  # of 4 each
    assert jm.evaluate(jm.CapacityOverflow(2, 1.5), experts=experts) == 0
    assert jm.evaluate(jm.CapacityOverflow(2, 0.5), experts=experts) == 4 / 8


def test_masked_tokens_take_no_place_but_count_in_the_capacity():
    experts = np.int32([[[0], [0], [0], [0]]])
    mask = np.array([[True, True, True, False]])
    assert jm.evaluate(jm.CapacityOverflow(2), experts=experts, mask=mask) == 1 / 3


def test_a_capacity_is_not_rounded_up_by_the_float():
    assert jm.CapacityOverflow(1, 1.1).capacity(tokens=100, k=1) == 110
    assert jm.CapacityOverflow(8, 1.25).capacity(tokens=33, k=2) == 11


def test_a_token_is_dropped_if_all_its_choices_are():
    dropped = np.array([[True, True], [True, False], [False, False]])
    assert jm.evaluate(jm.DroppedTokens(), dropped=dropped) == pytest.approx(1 / 3)
    mask = np.array([True, True, False])
    assert jm.evaluate(jm.DroppedTokens(), dropped=dropped, mask=mask) == 1 / 2
    with pytest.raises(TypeError, match="experts < 0"):
        jm.DroppedTokens().update(dropped=dropped.astype(np.int32))


@pytest.mark.parametrize("experts", [2, 3, 7, 8, 60, 64, 384])
def test_the_entropy_of_a_uniform_router_is_exactly_1(experts):
    for offset in (0, 1e4):
        logits = np.full((100, experts), offset, np.float32)
        assert jm.evaluate(jm.RouterEntropy(), router_logits=logits) == 1


def test_a_certain_router_has_no_entropy_and_masked_experts_are_not_likely():
    certain = np.float32([[200, 0, 0, 0]])
    assert jm.evaluate(jm.RouterEntropy(), router_logits=certain) == pytest.approx(
        0, abs=1e-6
    )
    masked = np.float32([[0, 0, -np.inf, -np.inf]])
    value = jm.evaluate(jm.RouterEntropy(), router_logits=masked)
    assert value == pytest.approx(0.5, rel=5e-6)  # exp() of large numbers


@pytest.mark.parametrize(
    "make, match",
    [
        (lambda: jm.CapacityOverflow(0), "experts is 0"),
        (lambda: jm.CapacityOverflow(2, 0.0), "capacity_factor 0.0"),
        (
            lambda: jm.CapacityOverflow(2).update(experts=np.zeros(3, np.int32)),
            r"experts\[..., None\]",
        ),
        (
            lambda: jm.RouterEntropy().update(router_logits=np.zeros((3, 1))),
            "at least two experts",
        ),
    ],
)
def test_what_has_no_meaning_is_refused(make, match):
    with pytest.raises(ValueError, match=match):
        make()


@pytest.mark.parametrize("metric", [jm.ExpertLoad, jm.ExpertPeakLoad])
def test_fewer_than_one_expert_is_refused_by_the_metric_that_was_written(metric):
    with pytest.raises(ValueError, match=f"^{metric.__name__}: experts is 0"):
        metric(experts=0)
