import math

import numpy as np
import pytest
from support.pages import HOSTILE, Document
from support.plots import is_cut_off, texts
from support.runs import epoch, rows_of, write_epochs, write_run

from jaxmetrics.runs import Run


def load(folder, **values):
    return Run.load(write_run(folder, rows_of(4, **values)))


def titles(figure):
    return [axes.get_title("left") for axes in figure.axes if axes.axison]


@pytest.fixture
def run(tmp_path):
    rows = rows_of(40, time=lambda s: 90.0 * s, train__loss=lambda s: 90.0 / s)
    rows += [
        {"step": s, "split": "val", "val/loss": 5.0, "val/confusion": [[s, 1], [2, 3]]}
        | {"val/recall": [0.1 * s, 0.5, "NaN"], "val/top": list(range(s))}
        for s in (1, 2, 3)
    ]
    return Run.load(write_run(tmp_path / "run", rows, run_name="named"))


def test_a_metric_of_all_splits_is_one_chart(run):
    figure = run.plot("train/loss", "val/loss")
    (axes,) = figure.axes
    assert axes.get_title("left") == "loss" and axes.get_yscale() == "log"
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert names == ["train/loss", "val/loss"]
    assert axes.lines[0].get_xdata().tolist() == list(range(1, 41))
    assert not is_cut_off(figure)


def test_keys_may_be_globs_and_are_drawn_in_their_order(run):
    figure = run.plot("val/re*", "*/loss", "val/confusion")
    assert titles(figure)[:3] == ["val/recall", "loss", "val/confusion, step 3"]
    assert [axes.axison for axes in figure.axes].count(False) == 0
    assert titles(run.plot("val/top")) == ["val/top, step 3"]
    assert not is_cut_off(figure)


def test_arrays_of_rank_1_are_a_map_over_time_and_matrices_the_last_one(run):
    (mesh,) = run.plot("val/recall").axes[0].collections
    expected = [[0.1, 0.2, 0.3], [0.5] * 3, [np.nan] * 3]
    np.testing.assert_allclose(mesh.get_array().filled(np.nan), expected, atol=1e-9)
    figure = run.plot("val/confusion")
    (mesh,) = figure.axes[0].collections
    assert mesh.get_array().tolist() == [[3, 1], [2, 3]]
    assert {"predicted class", "true class"} <= set(texts(figure))


def test_the_x_axis_is_chosen(run):
    (axes,) = run.plot("train/loss", x="time").axes
    assert axes.get_xlabel() == "training time (min)"
    assert axes.lines[0].get_xdata()[:2].tolist() == [1.5, 3.0]
    with pytest.raises(ValueError, match=r"x='tokens'; .* \['step', 'time'\]"):
        run.plot(x="tokens")


def test_an_unknown_key_names_similar_ones(run):
    with pytest.raises(KeyError, match="similar keys are .*train/loss"):
        run.plot("train/los")


def test_the_first_charts_are_drawn_without_keys_losses_before_everything(tmp_path):
    values = {f"perf__p{n}": float for n in range(9)} | {"train__learning_rate": float}
    figure = load(tmp_path, **values, val__loss=float).plot()
    assert titles(figure) == ["val/loss", "train/learning_rate"] + [
        f"perf/p{n}" for n in range(4)
    ]


def test_many_charts_are_limited_and_counted(tmp_path):
    figure = load(tmp_path, **{f"k{n}": float for n in range(30)}).plot("k*")
    assert len(titles(figure)) == 24 and figure.get_suptitle() == "24 of 30 charts"


def test_runs_without_values_are_drawn(tmp_path):
    empty = Run.load(write_run(tmp_path / "a", []))
    assert "no metric was recorded" in texts(empty.plot())
    nan = load(tmp_path / "b", x=lambda s: math.nan)
    assert "none of the values is finite" in texts(nan.plot())


def test_epochs_are_named(tmp_path):
    run = Run.load(write_epochs(tmp_path, epoch(1), epoch(2)))
    assert run.plot("train/loss").axes[0].get_xlabel() == "epoch"
    assert Document(run._repr_html_()).texts["caption"].split(" · ")[1] == "epoch 2"


def test_a_notebook_shows_totals_and_last_values(run):
    document = Document(run._repr_html_())
    caption = "Run named · step 40 · 1h00m · 43 records"
    assert document.texts["caption"] == caption
    assert document.texts["th"] == "keylastat stepminmax"
    assert document.texts["td"].startswith("train/loss2.25402.2590val/loss5355")
    assert document.texts["td"].endswith("arrays: val/confusion, val/recall, val/top")


def test_a_notebook_shows_the_first_keys_and_any_text(tmp_path):
    keys = {f"k{n}": float for n in range(25)}
    run = Run.load(write_run(tmp_path, rows_of(2, **keys), run_name=HOSTILE))
    document = Document(run._repr_html_())
    assert document.texts["td"].endswith("and 5 more")
    assert document.texts["caption"].startswith("Run </script><img")
    assert {name for name, _ in document.elements} <= {
        *("table", "caption", "thead", "tbody", "tr", "th", "td")
    }
