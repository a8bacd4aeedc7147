"""Metrics of what a function makes of the model outputs."""

import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmetrics as jm

LOGITS = np.eye(3, dtype=np.float32)[[0, 1, 2, 2]]
LABELS = np.array([0, 1, 1, 0])
MASK = np.array([True, True, True, False])


def hits(logits, labels, **_):
    return (logits.argmax(-1) == labels).astype(jnp.float32)


def head(head_logits, labels, head_mask=None):
    return dict(logits=head_logits, labels=labels, mask=head_mask, more=labels)


def scale(factor):
    return factor


def test_the_values_are_the_first_argument():
    metric = jm.FromFunction(hits, jm.Mean())
    assert jm.evaluate(metric, logits=LOGITS, labels=LABELS) == 0.5
    assert metric.reads().required == {"logits", "labels"}
    assert repr(metric) == "FromFunction(function=hits, metric=Mean())"
    renamed = jm.FromFunction(hits, jm.Mean("correct"))
    assert jm.evaluate(renamed, logits=LOGITS, labels=LABELS) == 0.5


def test_a_mapping_holds_outputs_by_name_and_may_hold_more():
    metric = jm.FromFunction(head, jm.Accuracy())
    outputs = dict(head_logits=LOGITS, labels=LABELS)
    assert jm.evaluate(metric, **outputs) == 0.5
    assert jm.evaluate(metric, **outputs, head_mask=MASK) == pytest.approx(2 / 3)


def test_mask_and_weights_go_to_the_metric():
    weights = np.array([2.0, 1.0, 1.0, 9.0], np.float32)
    metric = jm.FromFunction(hits, jm.Mean(weighted=True)).on(weights="w", mask="m")
    outputs = dict(logits=LOGITS, labels=LABELS)
    assert jm.evaluate(metric, **outputs, w=weights, m=MASK) == 0.75
    with pytest.raises(
        TypeError, match=r"needs output 'w'; the function returned \['v"
    ):
        metric.update(**outputs)


def test_a_returned_mask_wins_over_that_of_the_model():
    metric = jm.FromFunction(head, jm.Accuracy())
    outputs = dict(head_logits=LOGITS, labels=LABELS, mask=np.zeros(4, bool))
    assert jm.evaluate(metric, **outputs, head_mask=MASK) == pytest.approx(2 / 3)
    assert jm.evaluate(metric, **outputs) == 0.5  # the function says: no mask


def test_a_mask_of_rows_does_not_apply_to_a_scalar():
    metric = jm.FromFunction(scale, jm.Mean())
    state = metric.update(factor=2.0, mask=np.zeros(4, bool)).update(factor=4.0)
    assert state.compute() == 3.0


def test_its_parameters_are_renamed():
    metric = jm.FromFunction(head, jm.Accuracy()).on(head_logits="a", head_mask="m")
    assert metric.reads().required == {"a", "labels"}
    assert jm.evaluate(metric, a=LOGITS, labels=LABELS, m=MASK) == pytest.approx(2 / 3)


def test_an_output_that_is_missing_is_named():
    metric = jm.FromFunction(hits, jm.Mean())
    with pytest.raises(TypeError, match="FromFunction needs output 'labels'"):
        metric.update(logits=LOGITS)
    wrong = r"FromFunction\(hits\) returned values, but Collection\(.*Return a mapping"
    both = jm.Collection(a=jm.Mean("x"), b=jm.Mean("y"))
    with pytest.raises(TypeError, match=wrong):
        jm.FromFunction(hits, both).update(logits=LOGITS, labels=LABELS)
    wrong = r"FromFunction\(hits\): Accuracy\(\) needs output 'labels'; the function"
    with pytest.raises(TypeError, match=wrong):
        jm.FromFunction(hits, jm.Accuracy()).update(logits=LOGITS, labels=LABELS)


def test_functions_whose_outputs_are_not_named_are_refused():
    with pytest.raises(TypeError, match="of only are the names.*but it names none"):
        jm.FromFunction(only, jm.Mean())
    with pytest.raises(TypeError, match="takes 'x' by position"):
        jm.FromFunction(by_position, jm.Mean())
    with pytest.raises(TypeError, match="function is a str"):
        jm.FromFunction("hits", jm.Mean())
    with pytest.raises(TypeError, match="metric is <class .*, not a metric"):
        jm.FromFunction(hits, jm.Mean)


def only(**outputs):
    return outputs["loss"]


def by_position(x, /):
    return x


def test_a_local_function_works_but_for_pickle():
    metric = jm.FromFunction(lambda loss: 2 * loss, jm.Mean())
    assert jm.evaluate(metric, loss=[1.0, 2.0]) == 3.0
    module_level = jm.FromFunction(hits, jm.Mean())
    restored = pickle.loads(pickle.dumps(module_level))
    assert jax.tree.structure(restored) == jax.tree.structure(module_level)


def test_from_fun_is_the_spelling_of_clu():
    metric = jm.Accuracy.from_fun(head)
    assert jm.evaluate(metric, head_logits=LOGITS, labels=LABELS) == 0.5
    assert jm.evaluate(jm.Mean.from_fun(hits), logits=LOGITS, labels=LABELS) == 0.5
    top = jm.TopKAccuracy(k=3).from_fun(head)
    assert jm.evaluate(top, head_logits=LOGITS, labels=LABELS) == 1.0
    loss = jm.Mean.from_output("loss").from_fun(lambda x: dict(loss=x + 1))
    assert jm.evaluate(loss, x=[1.0, 2.0]) == 2.5


def test_from_fun_agrees_with_that_of_clu_in_a_collection_of_clu():
    clu = pytest.importorskip("clu.metrics")
    ours = clu.Collection.create(
        hits=jm.Mean.from_fun(hits), head=jm.Accuracy.from_fun(head)
    )
    theirs = clu.Collection.create(
        hits=clu.Average.from_fun(hits),
        head=clu.Accuracy.from_fun(
            lambda head_logits, labels, head_mask, **_: dict(
                logits=head_logits, labels=labels, mask=head_mask
            )
        ),
    )
    outputs = dict(logits=LOGITS, labels=LABELS, head_logits=LOGITS[::-1], mask=MASK)
    outputs = {n: jnp.asarray(x) for n, x in outputs.items()} | dict(
        head_mask=jnp.asarray(MASK[::-1])
    )
    states = []
    for collection in (ours, theirs):
        step = jax.jit(collection.single_from_model_output)
        states.append(collection.empty().merge(step(**outputs)).merge(step(**outputs)))
    value, right = states[0].compute(), states[1].compute()
    assert value == pytest.approx({name: float(x) for name, x in right.items()})
