"""Groups by outermost key, glob or label."""

import numpy as np
import pytest
from flax import nnx
from support.trees import GRADS, flat

from jaxmetrics.telemetry import Stacked, norms


def test_groups_are_the_outermost_keys_by_default():
    suffixes = {key.removeprefix("grad/norm") for key in norms(grads=GRADS)}
    assert {"", "/blocks", "/embed", "/head"} <= suffixes
    assert set(norms(grads=GRADS, groups={})) == {"grad/norm", "grad/rms"}


def test_a_number_groups_by_the_first_names_of_a_path():
    assert norms(grads=GRADS, groups=1) == norms(grads=GRADS)
    values = norms(grads=GRADS, groups=99)
    for name in ("bias", "kernel"):
        own = np.linalg.norm(flat(GRADS["blocks"][name]))
        assert values[f"grad/norm/blocks/{name}"] == pytest.approx(own)
    two = {"net": {"a": {"w": np.ones(4), "b": np.ones(5)}, "b": {"w": np.ones(9)}}}
    found = {k: float(v) for k, v in norms(params=two, groups=2).items() if "norm" in k}
    assert found["param/norm/net/a"] == found["param/norm/net/b"] == 3.0
    assert len(found) == 3


@pytest.mark.parametrize("names", [0, -1, True])
def test_a_number_of_names_is_positive(names):
    with pytest.raises(ValueError, match=f"got {names}; expected a positive number"):
        norms(grads=GRADS, groups=names)


def test_stacked_groups_are_values():
    assert len({Stacked("a/**"), Stacked("a/**"), Stacked("b/**")}) == 2


def test_labels_of_optax_are_groups():
    labels = {
        "blocks": {"bias": "slow", "kernel": "fast"},
        "embed": "slow",
        "head": "x",
    }
    for groups in (labels, lambda params: labels):
        values = norms(grads=GRADS, groups=groups)
        slow = [GRADS["blocks"]["bias"], GRADS["embed"]]
        assert values["grad/norm/slow"] == pytest.approx(np.linalg.norm(flat(slow)))
        assert values["grad/norm/x"] == pytest.approx(
            np.linalg.norm(flat(GRADS["head"]))
        )


def test_paths_of_nnx_modules_end_with_the_name_of_the_variable():
    model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
    values = norms(params=nnx.state(model, nnx.Param), groups={"k": "kernel"})
    kernel = np.asarray(model.kernel[...])
    assert values["param/norm/k"] == pytest.approx(np.linalg.norm(kernel), rel=1e-6)


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({"head": "hed/**"}, r"'hed/\*\*'.*none of 5.*'blocks', 'embed', 'head'"),
        ({"all": Stacked("**")}, r"'all'.*\[3\].*'embed'.*\[32\]"),
        ({"blocks": {"w": "slow"}}, "labels do not fit"),
    ],
    ids=["no match", "no stack", "labels"],
)
def test_groups_that_do_not_fit_are_refused(groups, message):
    with pytest.raises(ValueError, match=f"(?s){message}"):
        norms(grads=GRADS, groups=groups)
