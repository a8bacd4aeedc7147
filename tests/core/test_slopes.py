"""Values that models are trained on have the derivatives of their formula.

They are compared with differences of the rows' references along a direction. Where a
formula has a kink, as at equal images, a slope is finite, so that it spoils no other.
"""

import functools

import cases
import jax
import numpy as np
import pytest
from support.laws import draw, host

pytestmark = pytest.mark.sampled(3)

FAMILIES = ("image", "audio")
NAMES = {case.name for family in FAMILIES for case in cases.FAMILIES[family]}
NAMES |= {"box iou, weighted", "complete box iou"}
WITHOUT = {
    "frechet distance": "computes on the host only",
    "kernel distance": "the rows that a state keeps have no derivative",
}
CASES = [case for case in cases.CASES if case.name in NAMES - WITHOUT.keys()]
SMOOTH = [case for case in CASES if case.name != "total variation"]  # clipped pixels
STEP = 1e-5  # of float64 differences, whose error is of the order of its square
BAD = {  # changes of the outputs after which the slopes stay finite
    "equal": lambda preds, targets: targets,
    "zero": lambda preds, targets: np.zeros_like(preds),
    "inverted": lambda preds, targets: 1 - targets,
}


def slopes(inputs):
    """The derivative of the value of each case by `preds`, by one program."""

    def value(case, preds, others):
        return case.metric.update(preds=preds, **others).compute()

    @jax.jit
    def all_slopes(inputs):
        return {
            case.name: jax.grad(functools.partial(value, case))(*inputs[case.name])
            for case in CASES
        }

    return host(all_slopes(inputs))


def inputs_of(case, change=None):
    outputs = draw(case, 4)
    preds = outputs.pop("preds")
    if change is not None and "targets" in outputs:
        preds = change(preds, outputs["targets"])
    return preds, outputs


@pytest.fixture(scope="module")
def usual():
    return slopes({case.name: inputs_of(case) for case in CASES})


@pytest.mark.parametrize("case", SMOOTH, ids=lambda case: case.name)
def test_derivatives_are_those_of_the_formula(case, usual):
    preds, others = inputs_of(case)
    wide = {name: np.float64(x) for name, x in others.items()}
    direction = np.random.default_rng(0).normal(size=preds.shape)
    ahead, behind = (
        case.reference(preds=preds + sign * STEP * direction, **wide)
        for sign in (1, -1)
    )
    right = (ahead - behind) / (2 * STEP)
    slope = (np.float64(usual[case.name]) * direction).sum()
    assert slope == pytest.approx(right, rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("change", BAD)
def test_derivatives_at_kinks_are_finite(change):
    found = slopes({case.name: inputs_of(case, BAD[change]) for case in CASES})
    bad = [name for name, x in found.items() if not np.isfinite(x).all()]
    assert not bad
