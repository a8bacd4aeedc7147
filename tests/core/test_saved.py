"""States by name, restored in another layout; configuration is compared."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.forms import mesh_of

import jaxmetrics as jm
from jaxmetrics.core import from_saved, saved_form
from jaxmetrics.record import dumps, loads


def above(default):
    """Return a class as one version of a package has it, with this default."""

    class Above(jm.Metric):
        threshold: float = default
        count: jm.Array = jm.count_leaf()

        def observe(self, *, values, mask=None):
            values = jnp.asarray(values)
            return dict(count=jm.count_where(values > self.threshold, mask))

        def compute(self):
            return self.count

    return Above


def restored(state, template):
    """Save a state as JSON and host arrays, and restore it."""
    saved = saved_form(state)
    arrays = {name: np.asarray(x) for name, x in saved.arrays.items()}
    return from_saved(template, loads(dumps(saved.layout)), arrays)


def test_a_changed_default_is_refused_and_named():
    state = jm.Collection(a=above(0.5)()).update(values=[0.6, 0.95])
    with pytest.raises(ValueError, match="a was saved.*threshold was 0.5, is 0.9"):
        restored(state, jm.Collection(a=above(0.9)()))
    same, _ = restored(state, jm.Collection(a=above(0.9)(threshold=0.5)))
    assert same.compute() == {"a": 2}


def test_a_changed_default_of_a_metric_inside_is_refused():
    state = jm.Windowed(above(0.5)(), window=2).update(values=[0.6])
    with pytest.raises(ValueError, match="metric.threshold was 0.5, is 0.9"):
        restored(state, jm.Windowed(above(0.9)(), window=2))


def test_another_shape_or_type_is_refused():
    with pytest.raises(ValueError, match=r"w was float32\[2\], is float32\[3\]"):
        restored({"w": np.zeros(2, np.float32)}, {"w": np.zeros(3, np.float32)})


@pytest.mark.parametrize("leaf", ["text", jax.nn.relu, np.array(["text"])])
def test_a_leaf_that_could_not_be_restored_is_refused_when_it_is_saved(leaf):
    with pytest.raises(TypeError, match="the leaf 'model/a' is a .*expected arrays"):
        saved_form({"model": {"a": leaf, "b": 1.0}})


def test_leaves_of_one_name_are_refused_when_they_are_saved():
    with pytest.raises(ValueError, match="two leaves of the tree are called 'a/b'"):
        saved_form({"a": {"b": np.zeros(1)}, "a/b": np.ones(1)})


TYPES = {int: jnp.int32, float: jnp.float32, bool: jnp.bool_}
HOLDERS = {
    "Python": lambda x: x,
    "NumPy": lambda x: np.asarray(x)[()],
    "a weakly typed array": jnp.asarray,
    "a typed array": lambda x: jnp.asarray(x, TYPES[type(x)]),
}


@pytest.mark.parametrize("zero, number", [(0, 3), (0.0, 3.5), (False, True)])
@pytest.mark.parametrize("saved", HOLDERS)
@pytest.mark.parametrize("template", HOLDERS)
def test_a_number_is_restored_whatever_holds_it(saved, template, zero, number):
    like = HOLDERS[template](zero)
    tree, _ = restored({"step": HOLDERS[saved](number)}, {"step": like})
    assert tree["step"] == number
    assert np.asarray(tree["step"]).dtype.kind == np.asarray(like).dtype.kind
    assert isinstance(tree["step"], jax.Array) == isinstance(like, jax.Array)


def test_a_number_that_the_template_cannot_hold_is_refused():
    integer = jnp.asarray(0)
    for saved in (0.5, 2**40, np.float64(1.0)):
        with pytest.raises(ValueError, match="step was .*, is int32.*saved shape and"):
            restored({"step": saved}, {"step": integer})
    assert restored({"decay": jnp.float32(0.5)}, {"decay": 0})[0] == {"decay": 0.5}
    with pytest.raises(ValueError, match="is float16"):
        restored({"x": np.float32(1)}, {"x": np.float16(1)})


def test_a_number_of_a_metric_keeps_its_type():
    state = {"m": jm.Last("x").update(x=2.0)}
    with pytest.raises(ValueError, match="m/value was float32"):
        restored(state, {"m": {"value": 0.0}})


def test_a_metric_in_the_place_of_an_array_is_refused():
    with pytest.raises(ValueError, match="saved as an array, and the template has"):
        restored({"m": {"count": np.zeros(2, np.uint32)}}, {"m": jm.Count()})


def test_an_earlier_format_is_refused():
    with pytest.raises(ValueError, match="saved in format 1; this version reads 2"):
        from_saved(jm.Count(), {"shards": 0, "leaves": {}}, {})


def test_an_added_metric_starts_empty_and_a_removed_one_is_named():
    state = jm.Collection(a=jm.Count("x")).update(x=[1.0])
    back, removed = restored(state, jm.Collection(b=jm.Count("y")))
    assert back.compute() == {"b": 0} and removed == ["a"]


PRECISION, RECALL, F1 = (cls(classes=2) for cls in (jm.Precision, jm.Recall, jm.F1))


@pytest.mark.parametrize(
    "template",
    [
        dict(recall=RECALL, precision=PRECISION),
        dict(f1=F1, precision=PRECISION, recall=RECALL),
        dict(recall=RECALL),
    ],
    ids=["in another order", "with one added before", "with the first removed"],
)
@pytest.mark.parametrize("earlier", [False, True], ids=["", "without aliases"])
def test_a_shared_state_is_restored_whichever_metric_comes_first(template, earlier):
    metrics = jm.Collection(precision=PRECISION, recall=RECALL)
    state = metrics.update(logits=np.eye(2), labels=np.array([0, 0]))
    saved = saved_form({"val": state})
    layout = dict(saved.layout)
    if earlier:
        del layout["aliases"]
    back, removed = from_saved({"val": jm.Collection(template)}, layout, saved.arrays)
    if earlier and "precision" not in template:
        assert removed == ["val/precision.counts"]
        return
    assert removed == []
    assert back["val"]["recall"].compute() == state["recall"].compute()


@pytest.mark.parametrize("wrap", [jm.Masked, jm.ByGroup])
def test_a_wrapped_window_is_restored_on_fewer_devices(wrap):
    metric = wrap(jm.Windowed(jm.Sum("x"), window=3))
    reads = metric.reads()
    extra = {"valid": np.ones(16, bool), "domain": np.zeros(16, np.int32)}
    extra = {name: x for name, x in extra.items() if name in reads.required}
    state = metric.deferred(mesh_of())
    for i in range(4):
        state = state.update(x=np.full(16, i, np.float32), **extra)
    saved = saved_form(state)
    arrays = {name: np.asarray(x) for name, x in saved.arrays.items()}
    restored, _ = from_saved(metric, saved.layout, arrays)
    assert restored.compute() == state.compute()
    assert 16.0 * (1 + 2 + 3) in jax.tree.leaves(restored.compute())
