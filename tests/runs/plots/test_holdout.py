import math

import numpy as np
import pytest
from support.plots import is_cut_off, texts
from support.runs import rows_of, write_run

from jaxmetrics.record import dumps
from jaxmetrics.runs import generate_all_plots
from jaxmetrics.runs.plots._holdout import flips, holdout_predictions, predictions_of
from jaxmetrics.runs.reading import load_history


def line(step, logits, labels, predictions=None, **more):
    if predictions is None:
        predictions = np.argmax(logits, -1).tolist()
    values = {"logits": logits, "labels": labels, "predictions": predictions}
    header = {"batch_idx": 1, "epoch": 0} | ({} if step is None else {"step": step})
    return header | {"holdout_logits": values | more}


def run_with(folder, lines):
    write_run(folder, rows_of(3, train__loss=float))
    (folder / "telemetry").mkdir()
    text = "".join(f"{dumps(one)}\n" for one in lines)
    (folder / "telemetry" / "telemetry.jsonl").write_text(text)
    return folder


LINES = [
    line(200, [[2.0, 0.0], [0.0, 2.0], [1.0, 0.0]], [0, 0, 1]),
    line(400, [[2.0, 0.0], [2.0, 0.0], [0.0, 1.0]], [0, 0, 1]),
    line(600, [[2.0, 0.0], [2.0, 0.0], [0.0, 1.0]], [0, 0, 1]),
]


def test_accuracy_flips_and_confidence_are_those_of_the_examples():
    first, second, third = predictions_of(LINES)
    assert (first.accuracy, second.accuracy) == (pytest.approx(1 / 3), 1.0)
    np.testing.assert_allclose(flips([first, second, third]), [2 / 3, 0.0])
    p = [1 / (1 + math.exp(-x)) for x in (2.0, 2.0, 1.0)]
    np.testing.assert_allclose(first.confidence, p)
    np.testing.assert_allclose(first.of_label, [p[0], 1 - p[1], 1 - p[2]])


def test_binary_logits_are_those_of_class_1():
    (one,) = predictions_of([line(1, [2.0, -2.0], [1, 1], predictions=[1, 0])])
    p = 1 / (1 + math.exp(-2.0))
    np.testing.assert_allclose(one.of_label, [p, 1 - p])
    np.testing.assert_allclose(one.confidence, [p, p])


@pytest.mark.parametrize(
    "damaged",
    [
        line(1, [[1.0, 2.0]], [0, 1], predictions=[0]),
        line(1, [[1.0], [2.0, 3.0]], [0, 1], predictions=[0, 1]),
        line(1, ["x"], [0], predictions=[0]),
        line(1, [], [], predictions=[]),
        {"step": 1, "holdout_logits": {"logits": [[1.0]]}},
        {"step": 1, "holdout_logits": 3},
        {"step": 1},
    ],
)
def test_lines_that_do_not_fit_together_are_left_out(damaged):
    assert len(predictions_of([damaged, *LINES])) == len(LINES)


def test_a_label_beyond_the_classes_has_no_probability():
    (one,) = predictions_of([line(1, [[1.0, 0.0]], [-1])])
    assert np.isnan(one.of_label).all() and one.accuracy == 0


def test_a_changed_number_of_examples_has_no_flips():
    assert np.isnan(flips(predictions_of([LINES[0], line(800, [[1.0, 0.0]], [0])])))


def test_the_plot_has_a_chart_of_each_and_a_map_of_the_examples(tmp_path):
    figure = holdout_predictions(load_history(run_with(tmp_path, LINES)))
    shown = texts(figure)
    assert "Accuracy for 3 holdout examples" in shown and "step" in shown
    assert {"right predictions", "wrong predictions"} <= set(shown)
    accuracy, changed = (axes.lines[0] for axes in figure.axes[:2])
    assert accuracy.get_xdata().tolist() == [200, 400, 600]
    assert changed.get_xdata().tolist() == [400, 600]
    (mesh,) = figure.axes[3].collections
    assert mesh.get_array().shape == (3, 3)
    means = mesh.get_array().mean(axis=1)
    assert means.tolist() == sorted(means, reverse=True)  # the best on top
    assert figure.axes[3].yaxis_inverted()
    assert not is_cut_off(figure)


@pytest.mark.parametrize(
    "lines",
    [
        LINES[:1],
        [line(None, [[1.0, 2.0]], [1])] * 3,
        [line(n, [["NaN", "Infinity"]], [0], predictions=[0]) for n in (1, 2)],
        [LINES[0], line(800, [[1.0, 0.0]], [0])],
    ],
    ids=["one", "no steps", "not finite", "other examples"],
)
def test_odd_telemetry_is_drawn(tmp_path, lines):
    figure = holdout_predictions(load_history(run_with(tmp_path, lines)))
    assert not is_cut_off(figure)


def test_only_a_run_with_predictions_has_the_plot(tmp_path):
    without = run_with(tmp_path / "a", [{"step": 1, "gradient_norm": {"overall": 1}}])
    assert holdout_predictions(load_history(without)) is None
    names = [
        p.name for p in generate_all_plots(run_with(tmp_path / "b", LINES), dpi=20)
    ]
    assert names[-1] == "holdout_predictions.png"
