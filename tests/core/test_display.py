"""Metrics in notebooks: tables and charts of their values."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh
from support.metrics import Positives
from support.pages import HOSTILE, Document

import jaxmetrics as jm
from jaxmetrics.figures import Bars, Curves, Heatmap, HistogramBars

LOGITS = np.array([[2.0, 1.0, 0.0], [0.0, 3.0, 1.0], [1.0, 0.0, 5.0], [9.0, 1.0, 0.0]])
LABELS = np.array([0, 1, 1, 2])


def texts(html):
    return Document(html).texts


def classified(metric):
    return metric.update(logits=LOGITS, labels=LABELS)


def test_the_table_of_a_metric_has_its_configuration_and_values():
    shown = texts(Positives(1.0).update(values=[1.0, 4.0, 4.0])._repr_html_())
    assert shown["caption"] == "Positives(threshold=1.0)"
    assert shown["td"] == "count2root2"
    large = jm.Count().replace(count=2**40)
    assert texts(large._repr_html_())["td"] == "value1,099,511,627,776"


def test_the_table_of_a_collection_has_a_row_for_each_value():
    metrics = jm.Collection(loss=jm.Mean("loss"), matrix=jm.ConfusionMatrix(3))
    metrics = metrics.update(loss=0.5, logits=LOGITS, labels=LABELS)
    html = metrics._repr_html_()
    assert texts(html)["td"] == "loss0.5matrix100011100"  # a table within the table
    assert [tag for tag, _ in Document(html).elements].count("table") == 2


@pytest.mark.parametrize("metric", [jm.Mean(), jm.Collection(loss=jm.Mean())])
def test_without_data_there_is_nothing_to_show(metric):
    assert texts(metric._repr_html_())["td"] == "no data yet"


def test_a_state_that_cannot_be_read_is_described():
    shown = []
    jax.jit(lambda m: shown.append(m._repr_html_()) or m)(jm.Mean().update(values=1.0))
    assert "traced" in texts(shown[0])["td"]
    state = jax.tree.map(jnp.asarray, jm.Mean().update(values=1.0))
    jax.tree.map(lambda x: x.delete(), state)
    assert "donated" in texts(state._repr_html_())["td"]


def test_large_values_are_described_and_names_are_escaped():
    groups = jm.ByGroup(jm.Mean("loss"), groups=100)
    state = groups.update(loss=np.ones(100), domain=np.arange(100))
    assert "more" in texts(state._repr_html_())["td"]
    assert (
        "array of shape (13, 13)"
        in jm.ConfusionMatrix(13).replace(counts=np.ones((13, 13), int))._repr_html_()
    )
    named = jm.Collection(**{HOSTILE: jm.Mean("x")}).update(x=1.0)
    assert HOSTILE.replace("\u2028", "\\u2028") in texts(named._repr_html_())["td"]


CHARTS = {
    "Mean": (jm.Mean("labels"), Bars),
    "Accuracy": (jm.Accuracy(classes=3, average="none"), Bars),
    "ConfusionMatrix": (jm.ConfusionMatrix(3), Heatmap),
    "AUROC": (jm.AUROC(classes=3), Curves),
    "AveragePrecision": (jm.AveragePrecision(classes=3), Curves),
    "Histogram": (jm.Histogram("labels", low=0, high=4, bins=2), HistogramBars),
}


@pytest.mark.parametrize("name", CHARTS)
def test_a_metric_is_drawn_by_its_kind_of_value(name):
    empty, kind = CHARTS[name]
    metric = classified(empty)
    ((title, chart),) = metric.charts().items()
    assert (title, type(chart)) == (name, kind)
    figure = metric.plot()
    figure.draw_without_rendering()
    assert figure.axes[0].get_title("left").startswith(name)


def test_losses_by_position_are_a_line_over_the_positions_with_data():
    metric = jm.LossByPosition(positions=3, ignore_index=-1)
    logits = np.zeros((1, 3, 2), np.float32)
    state = metric.update(logits=logits, labels=np.int32([[0, -1, 1]]))
    ((title, chart),) = state.charts().items()
    assert (title, type(chart), chart.x_label) == ("LossByPosition", Curves, "position")
    ((x, y),) = chart.lines.values()
    assert x.tolist() == [0, 2] and y == pytest.approx(np.log([2, 2]))


def test_a_confusion_matrix_names_its_axes():
    metric = classified(jm.ConfusionMatrix(3))
    (chart,) = metric.charts().values()
    assert (chart.x_label, chart.y_label) == ("predicted class", "true class")
    np.testing.assert_array_equal(chart.values, metric.compute())
    binary = jm.ConfusionMatrix(2, task="multilabel")
    state = binary.update(logits=LOGITS[:, :2], labels=LABELS[:, None] == [0, 1])
    assert list(state.charts("m")) == ["m, label 0", "m, label 1"]


def test_counts_of_classes_are_drawn_with_their_names():
    names = ("tp", "fp", "tn", "fn", "support")
    state = jm.StatScores(classes=3).update(logits=LOGITS, labels=LABELS)
    (chart,) = state.charts().values()
    assert (chart.x_names, chart.y_label) == (names, "class")
    np.testing.assert_array_equal(chart.values, state.compute())
    binary = jm.StatScores(task="binary", scores="preds")
    (bars,) = binary.update(preds=[1, 1, 0], labels=[1, 0, 0]).charts().values()
    assert dict(bars.values) == dict(zip(names, (1, 1, 1, 0, 1)))
    groups = jm.GroupStatScores(groups=2, scores="preds")
    state = groups.update(preds=[1, 0], labels=[1, 1], groups=[0, 1])
    (chart,) = state.charts().values()
    assert (chart.x_names, chart.y_label) == (names, "group")
    assert chart.values.tolist() == [[1, 0, 0, 0, 1], [0, 0, 0, 1, 1]]


def test_a_contingency_table_names_its_axes():
    metric = jm.Purity(classes=2, clusters=3)
    table = metric.update(labels=[0, 1, 1], preds=[2, 0, 0]).table
    ((title, chart),) = table.charts("table").items()
    assert (title, chart.x_label, chart.y_label) == ("table", "prediction", "label")
    assert chart.values.tolist() == [[0, 0, 1], [2, 0, 0]]


def test_ranks_of_an_ensemble_are_bars_around_each_rank():
    preds, targets = [[1.0, 3.0]] * 3, [0.0, 2.0, 2.0]
    state = jm.RankHistogram(2).update(preds=preds, targets=targets)
    (chart,) = state.charts().values()
    assert (type(chart), chart.label) == (HistogramBars, "rank")
    assert chart.counts.tolist() == [1, 2, 0]
    assert chart.edges.tolist() == [-0.5, 0.5, 1.5, 2.5]


def test_the_area_under_the_drawn_curve_is_that_of_the_metric():
    scores = np.array([3.0, 2.0, 1.0, -1.0, -2.0])
    labels = np.array([1, 0, 1, 1, 0])
    for metric in (jm.AUROC(task="binary"), jm.AveragePrecision(task="binary")):
        state = metric.update(logits=scores, labels=labels)
        (chart,) = state.charts().values()
        ((x, y),) = chart.lines.values()
        if isinstance(metric, jm.AUROC):
            area = np.trapezoid(y, x)
            assert chart.diagonal
        else:
            area = np.sum(np.diff(x, prepend=0) * y)
        assert area == pytest.approx(float(state.compute()), abs=1e-3)


def test_a_collection_has_one_chart_of_its_numbers():
    metrics = jm.Collection(
        loss=jm.Mean("loss"),
        accuracy=jm.Accuracy(),
        matrix=jm.ConfusionMatrix(3),
        spread=jm.Quantiles("loss"),
    )
    metrics = metrics.update(loss=0.5, logits=LOGITS, labels=LABELS)
    titles = [axes.get_title("left") for axes in metrics.plot().axes]
    assert [t for t in titles if t] == ["values", "matrix", "spread"]


def test_metrics_on_a_mesh_are_shown():
    mesh = Mesh(np.array(jax.devices()), ("data",))
    metrics = jm.Collection(loss=jm.Mean("loss")).place(mesh).update(loss=0.25)
    assert texts(metrics._repr_html_())["td"] == "loss0.25"
    assert metrics.plot().axes[0].get_title("left") == "values"
