"""Association of nominal variables."""

import jax
import numpy as np
import pytest
from support.tables import with_table

import jaxmetrics as jm

FROM_CHI_SQUARED = (jm.CramersV, jm.TschuprowsT, jm.ContingencyCoefficient)
ALL = (*FROM_CHI_SQUARED, jm.TheilsU)
LABELS = np.int32([0, 0, 1, 1])


def test_a_table_by_hand():
    """The expected counts of [[3, 1], [1, 3]] are 2, so that chi2 = 4 * 1 / 2 = 2."""
    phi2 = 2 / 8
    value = {m: with_table(m(classes=2), [[3, 1], [1, 3]]).compute() for m in ALL}
    assert value[jm.CramersV] == pytest.approx(np.sqrt(phi2))
    assert value[jm.TschuprowsT] == pytest.approx(np.sqrt(phi2))
    assert value[jm.ContingencyCoefficient] == pytest.approx(np.sqrt(phi2 / 1.25))
    entropy = -(0.75 * np.log2(0.75) + 0.25 * np.log2(0.25))
    assert value[jm.TheilsU] == pytest.approx(1 - entropy)


def test_theils_u_is_of_the_predictions_given_the_labels():
    outputs = dict(labels=LABELS, preds=np.int32([0, 1, 2, 2]))
    metric = jm.TheilsU(classes=3)
    assert jm.evaluate(metric, **outputs) == pytest.approx(2 / 3)
    exchanged = metric.on(labels="preds", preds="labels")
    assert jm.evaluate(exchanged, **outputs) == pytest.approx(1)


def test_values_that_never_occur_do_not_count():
    table = np.array([[5, 1, 0], [2, 7, 0], [0, 0, 0]])
    for metric in ALL:
        value = with_table(metric(classes=3), table).compute()
        assert value == with_table(metric(classes=2), table[:2, :2]).compute()


def test_the_bias_correction_of_independent_variables_is_to_zero():
    outputs = dict(labels=LABELS, preds=np.int32([0, 1, 0, 1]))
    metric = jm.CramersV(classes=2, bias_correction=True)
    assert jm.evaluate(metric, **outputs) == 0


def test_torchmetrics_bias_correction_without_yates():
    """By torchmetrics 1.9.0, functional.nominal.cramers_v and tschuprows_t."""
    table = np.array([[8, 3, 2], [1, 9, 4], [5, 2, 7]])
    for metric, right in ((jm.CramersV, 0.3615), (jm.TschuprowsT, 0.3615)):
        state = with_table(metric(classes=3, bias_correction=True), table)
        assert state.compute() == pytest.approx(right, abs=1e-4)


@pytest.mark.parametrize("metric", [jm.CramersV, jm.TschuprowsT, jm.TheilsU])
def test_a_constant_has_no_association(metric):
    outputs = dict(labels=LABELS, preds=np.zeros(4, np.int32))
    assert np.isnan(jm.evaluate(metric(classes=2), **outputs))


@pytest.mark.parametrize("metric", ALL)
def test_no_data_is_no_association(metric):
    assert np.isnan(metric(classes=2).compute())
    state = metric(classes=2).update(labels=LABELS, preds=LABELS, mask=LABELS > 1)
    assert np.isnan(state.compute())


@pytest.mark.parametrize("metric", ALL)
def test_counts_beyond_float32_do_not_stick(metric):
    table = np.array([[2**26, 1], [1, 2**26 + 1]])
    value = with_table(metric(classes=2), table).compute()
    assert value < 1 or metric is jm.ContingencyCoefficient


def test_metrics_of_one_table_share_it():
    metrics = jm.Collection(v=jm.CramersV(classes=3), u=jm.TheilsU(classes=3))
    assert len(jax.tree.leaves(metrics)) == 2
    state = metrics.update(labels=LABELS, preds=np.int32([0, 1, 2, 3]))
    assert state["v"].plain()["table/invalid"] == 1
    with pytest.raises(ValueError, match="needs the number of classes"):
        jm.CramersV()
