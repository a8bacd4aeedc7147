"""Contributions have the kind and shape that a leaf declares."""

import jax.numpy as jnp
import numpy as np
import pytest

import jaxmetrics as jm


def test_a_contribution_of_another_shape_or_name_is_refused():
    class Wrong(jm.Metric, scalars=True):
        classes: int = 5
        counts: jm.Array = jm.count_leaf("classes classes")
        named: bool = True

        def observe(self, *, values):
            name = "counts" if self.named else "count"
            return {name: jnp.zeros(3, jnp.uint32)}

    message = r"Wrong.counts: has shape \(3,\) but is declared \(5, 5\) \(classes"
    with pytest.raises(ValueError, match=message):
        Wrong().update(values=1.0)
    with pytest.raises(TypeError, match=r"returned \['count'\]; the leaves are"):
        Wrong(named=False).update(values=1.0)


def test_a_leaf_has_a_32_bit_type():
    with pytest.raises(TypeError, match="got dtype float64; a leaf has a 32-bit type"):
        jm.leaf(dtype=np.float64)


def test_a_count_refuses_floats_and_negative_numbers():
    with pytest.raises(TypeError, match="Count.count: a count takes integers"):
        jm.Count().replace(count=0.5)
    with pytest.raises(ValueError, match="a count is never negative, got -1"):
        jm.Count().replace(count=-1)


OTHER_CONTRIBUTIONS = {  # leaf, contribution, what the leaf takes
    "a sum in a count": (jm.count_leaf(), jm.total, "takes integers"),
    "moments in a count": (jm.count_leaf(), jm.moments, "got a tuple of 3"),
    "moments in a sum": (jm.sum_leaf(), jm.moments, "takes total.*got a tuple of 3"),
    "integers in a sum": (jm.sum_leaf(), lambda x: jm.maximum(x.astype(int)), "takes "),
    "a sum in an extreme": (jm.max_leaf(), jm.total, r"takes maximum\(values"),
    "a sum in moments": (jm.moments_leaf(), jm.total, r"takes moments\(values"),
    "a number in moments": (jm.moments_leaf(), jnp.sum, "got an array or a number"),
    "weights in moments": (jm.moments_leaf(), lambda x: jm.moments(x, None, x), "of 4"),
    "nothing in a count": (jm.count_leaf(), lambda x: None, "got None"),
    "nothing in an exact sum": (jm.sum_leaf("", True), lambda x: None, "got None"),
}


@pytest.mark.parametrize("name", OTHER_CONTRIBUTIONS)
def test_a_contribution_to_another_kind_of_leaf_is_refused(name):
    declared, contribution, message = OTHER_CONTRIBUTIONS[name]

    class Other(jm.Metric):
        leaf: jm.Array = declared

        def observe(self, *, values, mask=None):
            return dict(leaf=contribution(values))

    with pytest.raises(TypeError, match=rf"^Other.leaf: .*{message}"):
        Other().update(values=[1.0, 2.0])


@pytest.mark.parametrize("returned", [None, 2])
def test_an_observe_that_returns_no_mapping_is_refused(returned):
    class Nothing(jm.Metric, scalars=True):
        count: jm.Array = jm.count_leaf()

        def observe(self, *, values):
            return returned

    with pytest.raises(TypeError, match=r"observe returned .*Return dict\(count=...\)"):
        Nothing().update(values=1.0)


class Step(jm.Metric, scalars=True):
    """Leaves of float32 and int32 for one output."""

    lowest: jm.Array = jm.min_leaf(dtype=np.int32)
    highest: jm.Array = jm.max_leaf(dtype=np.int32)
    as_float: jm.Array = jm.max_leaf()

    def observe(self, *, step):
        wide = jnp.asarray(step, jnp.float32)
        return dict(lowest=step, highest=jm.maximum(step), as_float=wide)

    def compute(self):
        return self.lowest, self.highest, self.as_float


def test_an_extreme_of_integers_takes_integers_and_maximum():
    assert Step().compute() == (np.inf, -np.inf, -np.inf)
    state = Step().update(step=np.int32(2**24 + 1)).update(step=np.int32(-5))
    assert state.compute() == (-5, 2**24 + 1, 2**24)
    assert state.replace(lowest=-(2**31), highest=2**32 - 1).compute()[:2] == (
        -(2**31),
        2**32 - 1,
    )
    assert state.replace(lowest=np.inf).plain()["lowest"] == np.inf


@pytest.mark.parametrize(
    ("declaration", "value"),
    [
        (jm.max_leaf(), jnp.int32(5)),
        (jm.min_leaf(), jnp.uint32(5)),
        (jm.max_leaf(), 2**24 + 1),
        (jm.max_leaf(), jm.maximum(jnp.int32(5))),
        (jm.leaf(), jnp.int32(5)),
    ],
    ids=["max", "min", "host", "maximum", "free"],
)
def test_a_float32_leaf_refuses_integers_that_it_may_round(declaration, value):
    layout = declaration.metadata["leaf"].layout(jm.Sum())
    message = r"rounds integers beyond 2\^24; .*Convert with .astype\(float32\), or dec"
    with pytest.raises(TypeError, match=message):
        layout.encode(value)


def test_integers_that_float32_holds_are_taken_on_the_host():
    assert jm.Max().replace(largest=2**24).plain()["largest"] == 2**24


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (0.5, "holds integers, got float"),
        (jnp.float32(0.5), "holds integers, got float32"),
        (2**32, "holds integers of 32 bits, got 4294967296"),
        (jm.minimum(jnp.int32(5)), "takes maximum.*got the other one"),
    ],
)
def test_an_extreme_of_integers_refuses_other_values(value, message):
    layout = jm.max_leaf(dtype=np.int32).metadata["leaf"].layout(jm.Sum())
    with pytest.raises((TypeError, ValueError), match=message):
        layout.encode(value)


def test_an_extreme_is_declared_float32_or_int32():
    with pytest.raises(TypeError, match=r"max_leaf\(\) got dtype uint32"):
        jm.max_leaf(dtype=np.uint32)


@pytest.mark.parametrize("value", [2**31 - 1, -(2**31), 2**24 + 1, -(2**24) - 1])
def test_a_sum_leaf_takes_integers_exactly(value):
    layout = jm.sum_leaf().metadata["leaf"].layout(jm.Sum())
    assert layout.decode(np.asarray(layout.encode(jnp.int32(value))), True) == value
    if value > 0:
        state = layout.encode(jnp.uint32(2 * value + 1))
        assert layout.decode(np.asarray(state), True) == 2 * value + 1


def test_the_layout_of_leaves_is_derived_once_and_kept_by_copies():
    metric = jm.ConfusionMatrix(3)
    batch = dict(logits=np.eye(3, dtype=np.float32), labels=[0, 1, 2])
    state = metric.update(**batch)
    layout = state._layout
    assert metric.update(**batch)._layout is layout
    assert state.empty()._layout is layout
    assert state.on(logits="x")._layout is not layout
