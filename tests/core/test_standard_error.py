"""Laws of `stderr=True`, of each metric of the rows that has the option."""

import re

import cases
import jax
import numpy as np
import pytest
from support.laws import assert_value, draw, host, take

import jaxmetrics as jm

ROWS, DROPPED = 12, 4
REFUSED = "needs per_image=True|needs average='none'|of a mean, got reduction"


def with_errors(case):
    """Return the row's metric without and with errors, and with weights as well."""
    metric = case.metric
    if "stderr" not in getattr(metric, "_configuration", ()):
        return None
    fields = {name: getattr(metric, name) for name in metric._configuration}

    def made(stderr, weighted):
        return type(metric)(**fields | dict(stderr=stderr, weighted=weighted))

    try:
        return made(False, False), made(True, False), made(True, True)
    except ValueError as error:
        assert re.search(REFUSED, str(error)), error
        return None


ROWS_WITH_ERRORS = {
    case.name: (case, *three)
    for case in cases.sample(4)
    if (three := with_errors(case))
}


@jax.jit
def states(outputs, weights):
    """Return the states of all rows, of rows with weights, and of the rows kept."""
    found = {}
    for name, (_, plain, errors, weighted) in ROWS_WITH_ERRORS.items():
        rows = {n: x for n, x in outputs[name].items() if n != "weights"}
        kept = take(rows, slice(DROPPED, None))
        found[name] = (
            plain.from_model_output(**kept),
            errors.from_model_output(**kept),
            weighted.from_model_output(**rows, weights=weights),
        )
    return found


def test_the_mean_is_the_value_and_only_the_ratio_of_weights_counts():
    outputs = {n: draw(case, ROWS) for n, (case, *_) in ROWS_WITH_ERRORS.items()}
    weights = np.where(np.arange(ROWS) < DROPPED, 0, np.float32(0.3))
    for name, made in host(states(outputs, weights)).items():
        case = ROWS_WITH_ERRORS[name][0]
        value, errors, weighted = (state.compute() for state in made)
        assert_value(case, errors["mean"], value, 1e-5)
        assert_value(case, weighted["mean"], value, 1e-5)
        assert_value(case, weighted["stderr"], errors["stderr"], 1e-4)


@pytest.mark.parametrize(
    ("metric", "outputs"),
    [
        (jm.Mean, dict(values=np.float32([1, 2, 9]))),
        (jm.RewardMargin, dict(chosen=np.float32([1, 2, 9]), rejected=np.zeros(3))),
        (jm.MeanBiasError, dict(preds=np.float32([1, 2, 9]), targets=np.zeros(3))),
        (jm.SequenceMean, dict(values=np.float32([[1], [2], [9]]))),
    ],
)
def test_the_error_is_that_of_the_values(metric, outputs):
    value = jm.evaluate(metric(stderr=True), **outputs)
    assert value["mean"] == 4
    assert value["stderr"] == pytest.approx(np.std([1, 2, 9], ddof=1) / np.sqrt(3))
