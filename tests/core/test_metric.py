"""How a metric is declared, and what follows from the declaration."""

import dataclasses
import pickle

import jax
import numpy as np
import pytest
from support.metrics import Positives

import jaxmetrics as jm


def test_the_instance_is_the_empty_metric():
    metric = Positives(threshold=1.0)
    assert jax.tree.structure(metric) == jax.tree.structure(metric.empty())
    assert metric.plain() == {"count": 0, "largest": -np.inf}


def test_a_metric_is_immutable_and_so_are_its_identities():
    with pytest.raises(AttributeError):
        Positives().threshold = 2.0
    with pytest.raises(ValueError, match="read-only"):
        Positives().count[0] = 5


def test_paths_are_names_and_configuration_is_structure():
    metrics = jm.Collection(hits=Positives(1.0))
    paths, treedef = jax.tree_util.tree_flatten_with_path(metrics)
    names = [jax.tree_util.keystr(p, simple=True, separator="/") for p, _ in paths]
    assert names == ["hits/count", "hits/largest"]
    assert list(jm.state_dict(metrics)) == names
    assert treedef != jax.tree.structure(jm.Collection(hits=Positives(2.0)))
    assert hash(treedef) == hash(jax.tree.structure(jm.Collection(hits=Positives(1.0))))


def test_methods_on_the_class_bind_the_default_configuration():
    assert Positives.empty().threshold == 0.0
    state = Positives.from_model_output(values=[1.0, -1.0, 4.0])
    assert state.compute() == {"count": 2, "root": 2.0}
    assert jm.evaluate(Positives, values=[9.0])["root"] == 3.0


def test_methods_of_a_class_that_needs_a_configuration_exist():
    assert hasattr(jm.Histogram, "empty")
    with pytest.raises(TypeError, match="missing 2 required"):
        jm.Histogram.empty()


def test_replace_takes_plain_values():
    assert Positives().replace(count=2**61).plain()["count"] == 2**61
    total = jm.Mean().replace(total=0.1, count=1)
    assert total.compute() == pytest.approx(0.1, rel=1e-14)


def test_on_renames_outputs_and_from_output_is_its_other_name():
    metric = Positives().on(values="scores", mask="valid")
    state = metric.update(scores=[1.0, 2.0], valid=np.array([True, False]))
    assert state.plain()["count"] == 1
    assert jm.Mean.from_output("loss").update(loss=3.0).compute() == 3.0
    assert jm.Std("a").on(values="b").update(b=[1.0, 3.0]).compute() == 1.0
    renamed = jm.Perplexity().on(logits="x").reads()
    assert "x" in renamed.required and "logits" not in renamed.required


def test_a_metric_pickles_with_its_configuration_and_state():
    seen = jm.Collection(top=jm.TopKAccuracy(k=2), mean=jm.Mean("loss")).update(
        logits=np.eye(3, dtype=np.float32), labels=np.array([0, 1, 0]), loss=2.0
    )
    back = pickle.loads(pickle.dumps(seen))
    assert back.compute() == seen.compute()
    assert repr(back) == repr(seen)


def test_a_pickle_without_a_later_field_of_the_configuration_has_its_default():
    fields = jm.Mean("loss", weighted=True).__getstate__()
    del fields["stderr"]
    metric = object.__new__(jm.Mean)
    metric.__setstate__(fields)
    assert jax.tree.structure(metric) == jax.tree.structure(
        jm.Mean("loss", weighted=True)
    )


def test_a_metric_inside_follows_from_the_configuration():
    with pytest.raises(ValueError, match=r"Std: variance is Variance\('loss'\).*'x'"):
        dataclasses.replace(jm.Std("loss"), output="x")
    seen = jm.Std("loss").update(loss=[1.0, 3.0])
    assert dataclasses.replace(seen).compute() == 1.0
    exact = jm.F1(classes=2, weighted=True).reproducible()
    assert dataclasses.replace(exact, zero_division=1.0).counts.reproducible_sums
