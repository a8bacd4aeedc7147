"""Scores of 16 bits count as the float32 numbers of equal value do."""

import cases
import jax
import jax.numpy as jnp
import numpy as np
from support.laws import draw, host

import jaxmetrics as jm

SCORES = ("logits", "probs")
CASES = [
    case
    for case in cases.sample(23)
    if set(SCORES) & set(case.outputs(np.random.default_rng(0), 2))
]


def with_scores(outputs, change):
    return {k: change(v) if k in SCORES else v for k, v in outputs.items()}


def test_a_single_narrow_argument_is_not_its_letters():
    seen = {}

    class Narrow(jm.Metric, narrow="scores"):
        total: jm.Array = jm.sum_leaf()

        def observe(self, *, scores, score, mask=None):
            seen.update(scores=scores.dtype, score=score.dtype)
            return dict(total=jm.total(scores, mask))

    half = jnp.ones(2, jnp.bfloat16)
    Narrow().contribution(dict(scores=half, score=half))
    assert seen == {"scores": jnp.bfloat16, "score": jnp.float32}


def test_narrow_scores_count_as_float32():
    batches = [
        with_scores(draw(case, rows=64), lambda x: jnp.asarray(x, jnp.bfloat16))
        for case in CASES
    ]
    wide = [with_scores(batch, lambda x: x.astype(jnp.float32)) for batch in batches]

    @jax.jit
    def values(batches):
        return [
            case.metric.update(**batch).compute()
            for case, batch in zip(CASES, batches, strict=True)
        ]

    for case, a, b in zip(CASES, host(values(batches)), host(values(wide))):
        for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-6, atol=1e-7, err_msg=case.name)
