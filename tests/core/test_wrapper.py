"""`Masked` and `ByGroup`; see test_wrapper_by_a_user.py for `Wrapper`."""

import copy
import math

import jax
import numpy as np
import pytest
from support.forms import assert_close, in_every_form, mesh_of

import jaxmetrics as jm

RNG = np.random.default_rng(0)
LOSS = RNG.normal(2, 1, (32, 3)).astype(np.float32)
DOMAIN = RNG.integers(0, 3, 32).astype(np.int32)
VALID = RNG.random(32) < 0.5


def test_masked_counts_what_both_masks_let_through():
    metric = jm.Masked(jm.Mean("loss"), mask="valid")
    assert_close(
        in_every_form(metric, dict(loss=LOSS, valid=VALID)), LOSS[VALID].mean()
    )
    mask = DOMAIN == 1
    outputs = dict(loss=LOSS, valid=VALID, mask=mask)
    assert_close(in_every_form(metric, outputs), LOSS[VALID & mask].mean())


def test_the_outputs_of_a_wrapper_can_be_renamed():
    masked = jm.Masked(jm.Mean("loss"), mask="valid").on(valid="v", values="x")
    assert masked.update(x=[1.0, 5.0], v=[True, False]).compute() == 1.0
    groups = jm.ByGroup(jm.Mean("loss"), groups=2).on(domain="d")
    assert groups.update(loss=[1.0, 5.0], d=[1, 1]).compute()["1"] == 3.0


def test_masked_needs_its_mask():
    with pytest.raises(TypeError, match=r"Masked needs output 'valid'; got \['loss'\]"):
        jm.Masked(jm.Mean("loss")).update(loss=1.0)


def test_by_group_is_the_metric_of_each_group():
    metric = jm.ByGroup(jm.Mean("loss"), by="domain", groups=("a", "b", "c", "none"))
    expected = {g: LOSS[DOMAIN == i].mean() for i, g in enumerate("abc")}
    expected["none"] = math.nan
    values = in_every_form(metric, dict(loss=LOSS, domain=DOMAIN))
    assert list(values["eager"]) == ["a", "b", "c", "none"]
    assert_close(values, expected)


def test_by_group_respects_the_mask_and_counts_ids_out_of_range():
    metric = jm.ByGroup(jm.Count("loss"), groups=2)
    outputs = dict(loss=LOSS[:, 0], domain=DOMAIN, mask=VALID)
    expected = {str(g): ((DOMAIN == g) & VALID).sum() for g in range(2)}
    assert_close(in_every_form(metric, outputs), expected)
    counted = metric.update(**outputs).diagnostics()
    assert counted == {"invalid": ((DOMAIN == 2) & VALID).sum()}


def test_by_group_refuses_groups_that_are_no_integers():
    with pytest.raises(TypeError, match="groups are integers below 2"):
        jm.ByGroup(jm.Mean("x"), groups=2).update(x=[1.0], domain=[0.5])
    with pytest.raises(TypeError, match="ByGroup needs output 'domain'"):
        jm.ByGroup(jm.Mean("x"), groups=2).update(x=[1.0])


def test_by_group_of_a_window_keeps_a_window_a_group():
    metric = jm.ByGroup(jm.Windowed(jm.Count("x"), window=2), groups=2)
    for domain in ([0, 0, 1], [1, 1, 1], [0, 1, 1]):
        metric = metric.update(x=np.ones(3), domain=np.array(domain))
    assert metric.compute() == {"0": 1, "1": 5}


def test_masking_a_metric_that_takes_no_mask_is_an_error():
    class Scale(jm.Metric, scalars=True):
        total: jm.Array = jm.sum_leaf()

        def observe(self, *, scale):
            return dict(total=jm.total(scale))

    with pytest.raises(TypeError, match="Masked masks entries, but Scale takes no"):
        jm.Masked(Scale()).update(scale=1.0, valid=True)


def test_last_values_by_copy_are_reduced_over_devices():
    metric = jm.ByGroup(jm.Last("x"), by="domain", groups=2)
    x, domain = np.arange(16, dtype=np.float32), np.arange(16) % 2
    state = metric.deferred(mesh_of()).update(x=x, domain=domain)
    assert state.compute() == {"0": 14.0, "1": 15.0}


@pytest.mark.parametrize("wrap", [jm.ByGroup, jm.Windowed, jm.MultiOutput])
def test_several_states_start_from_an_empty_metric(wrap):
    empty, seen = jm.Sum("x"), jm.Sum("x").update(x=[1.0])
    for data in (seen, jax.device_get(seen)):
        with pytest.raises(
            ValueError, match=rf"{wrap.__name__}.*Sum\('x', total=1.0\)"
        ):
            wrap(data)
    for fresh in (empty, seen.empty(), copy.deepcopy(empty), empty.place(mesh_of())):
        assert wrap(fresh).compute() == wrap(empty).compute()


def test_bad_configuration_is_refused():
    with pytest.raises(ValueError, match="groups is at least 1"):
        jm.ByGroup(jm.Mean(), groups=0)
    with pytest.raises(ValueError, match="group 'a' is given twice"):
        jm.ByGroup(jm.Mean(), groups=("a", "b", "a"))
    with pytest.raises(TypeError, match="metric is 'loss', not a metric"):
        jm.Masked("loss")


def test_a_scalar_belongs_to_the_group_of_a_scalar():
    metric = jm.ByGroup(jm.Mean("loss"), groups=("code", "web"))
    state = metric.update(loss=2.0, domain=0).update(loss=8.0, domain=1)
    assert state.compute() == {"code": 2.0, "web": 8.0}
    rows = np.array([True, False])  # padding of the batch, not about its loss
    assert metric.update(loss=2.0, domain=0, mask=rows).compute()["code"] == 2.0
    assert math.isnan(metric.update(loss=2.0, domain=0, mask=rows).compute()["web"])


def test_a_scalar_cannot_belong_to_the_groups_of_rows():
    metric = jm.ByGroup(jm.Mean("loss"), groups=2)
    wrong = r"ByGroup masks entries by an array of shape \(3,\), but output 'loss' is"
    with pytest.raises(ValueError, match=wrong):
        metric.update(loss=2.0, domain=[0, 1, 1])
    with pytest.raises(ValueError, match="Masked masks entries by an array of shape"):
        jm.Masked(jm.Mean("loss")).update(loss=2.0, valid=[True, False])
    both = jm.ByGroup(jm.Collection(loss=jm.Mean("loss"), x=jm.Mean("x")), groups=2)
    with pytest.raises(ValueError, match="output 'loss' is one number"):
        both.update(loss=2.0, x=[1.0, 2.0], domain=0, mask=[True, False])


def scale(factor):
    return factor


def test_a_scalar_that_a_function_makes_cannot_belong_to_the_groups_of_rows():
    metric = jm.ByGroup(jm.FromFunction(scale, jm.Mean()), groups=2)
    with pytest.raises(ValueError, match="ByGroup masks entries by an array of shape"):
        metric.update(factor=2.0, domain=[0, 1])
    assert metric.update(factor=2.0, domain=1).compute()["1"] == 2.0


def test_groups_of_sequences_take_a_mask_of_tokens():
    metric = jm.ByGroup(jm.Mean("loss"), by="domain", groups=2)
    state = metric.update(
        loss=np.float32([[1, 9], [3, 9], [5, 7], [9, 9]]),
        mask=np.array([[True, False], [True, False], [True, True], [False, False]]),
        domain=np.int32([0, 1, -1, 7]),
    )
    assert state.compute() == {"0": 1, "1": 3}
    assert state.plain()["invalid"] == 1  # of the last sequence nothing counts
