"""AttentionEntropy and AttentionMaximum by hand, with masks of all kinds."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

import jaxmetrics as jm

HEADS, QUERIES, KEYS = 2, 3, 4
BOTH = pytest.mark.parametrize("kind", [jm.AttentionEntropy, jm.AttentionMaximum])


@pytest.fixture
def logits():
    rng = np.random.default_rng(0)
    return rng.normal(0, 2, (5, HEADS, QUERIES, KEYS)).astype(np.float32)


def test_uniform_attention_has_the_log_of_the_keys_and_certain_attention_none():
    logits = np.zeros((1, 3, 2, KEYS), np.float32)
    logits[:, 1, :, 0] = 200
    logits[:, 2, :, 2:] = -np.inf
    value = jm.evaluate(jm.AttentionEntropy(3), logits=logits)
    np.testing.assert_allclose(value, [math.log(4), 0, math.log(2)], rtol=1e-6)
    assert jm.evaluate(jm.AttentionMaximum(3), logits=logits).tolist() == [0, 200, 0]


@BOTH
def test_an_attention_mask_hides_keys_and_queries_without_keys(kind, logits):
    causal = np.tril(np.ones((QUERIES, KEYS), bool))[None, None]
    padding = np.ones((5, 1, 1, KEYS), bool)
    padding[0] = False
    alone = jm.evaluate(kind(HEADS), logits=logits, mask=causal)
    whole = jm.evaluate(
        kind(HEADS), logits=logits, mask=np.broadcast_to(causal, logits.shape)
    )
    np.testing.assert_array_equal(alone, whole)
    visible = np.broadcast_to(causal & padding, logits.shape)
    bad = np.where(visible, logits, np.nan)
    value = jm.evaluate(kind(HEADS), logits=bad, mask=causal & padding)
    hidden = np.where(visible, np.float64(logits), -np.inf)[1:]
    p = scipy.special.softmax(hidden, -1)
    expected = {
        jm.AttentionEntropy: scipy.special.entr(p).sum(-1).mean((0, 2)),
        jm.AttentionMaximum: hidden.max((0, 2, 3)),
    }
    np.testing.assert_allclose(value, expected[kind], rtol=1e-6)
    state = kind(HEADS).update(logits=bad, mask=causal & padding)
    assert state.plain()["invalid"] == 0
    probs = jm.evaluate(
        kind(HEADS, scores="probs"),
        probs=scipy.special.softmax(logits, -1),
        mask=visible[:, :1, :, :1],
    )
    assert probs.shape == (HEADS,)


@BOTH
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_a_mask_of_leading_axes_leaves_out_what_it_hides(kind, logits, axes):
    mask = np.random.default_rng(axes).random(logits.shape[:axes]) < 0.6
    value = jm.evaluate(kind(HEADS), logits=logits, mask=mask)
    full = np.broadcast_to(
        mask.reshape(*mask.shape, *[1] * (3 - axes)), logits.shape[:3]
    )
    expected = [
        jm.evaluate(kind(1), logits=logits[:, h][full[:, h]][None, None])[0]
        for h in range(HEADS)
    ]
    np.testing.assert_allclose(value, expected, rtol=1e-6)


def test_probabilities_of_flax_and_its_masked_logits_agree(logits):
    query = jnp.asarray(logits[:, :, :, :].transpose(0, 2, 1, 3))
    key = jax.random.normal(jax.random.key(0), (5, KEYS, HEADS, KEYS))
    mask = jnp.tril(jnp.ones((1, 1, QUERIES, KEYS), bool))
    probs = nn.dot_product_attention_weights(query, key, mask=mask)
    scores = jnp.einsum("bqhd,bkhd->bhqk", query / KEYS**0.5, key)
    lowest = jnp.where(mask, scores, jnp.finfo(jnp.float32).min)
    metrics = jm.Collection(
        probs=jm.AttentionEntropy(HEADS, scores="probs"),
        masked=jm.AttentionEntropy(HEADS),
    )
    values = metrics.update(probs=probs, logits=lowest).compute()
    np.testing.assert_allclose(values["probs"], values["masked"], rtol=1e-5)


@BOTH
def test_invalid_queries_are_counted_and_never_scored(kind, logits):
    bad = logits.copy()
    bad[0, 0, 0, 1], bad[1, 1, 2, 0], bad[2, 0, 1] = np.nan, np.inf, -np.inf
    state = kind(HEADS).update(logits=bad)
    assert state.plain()["invalid"] == 3 and np.isfinite(state.compute()).all()
    state = kind(HEADS, scores="probs").update(probs=-np.abs(logits))
    assert state.plain()["invalid"] == logits[..., 0].size
    assert np.isnan(state.compute()).all()


@BOTH
def test_shapes_that_do_not_fit_are_refused(kind, logits):
    with pytest.raises(ValueError, match="3 heads"):
        kind(3).update(logits=logits)
    with pytest.raises(ValueError, match=r"mask has shape \(5, 4\)"):
        kind(HEADS).update(logits=logits, mask=np.ones((5, KEYS), bool))
    with pytest.raises(ValueError, match="mask has shape"):
        kind(HEADS).update(logits=logits, mask=np.ones((1,), bool))
    with pytest.raises(TypeError, match="must be bool"):
        kind(HEADS).update(logits=logits, mask=np.ones(5))


@pytest.mark.parametrize(
    "shape", [None, (2, 2, 2, 4), (2, 1, 1, 4), (1, 1, 2, 4), (2,)]
)
def test_weights_of_queries_go_with_any_mask(shape):
    logits = np.random.default_rng(1).normal(size=(2, 2, 2, 4)).astype(np.float32)
    logits[0, :, 1] = np.nan  # of weight 0, or of one invalid weight
    mask = {} if shape is None else dict(mask=np.ones(shape, bool))
    weighted = jm.AttentionEntropy(HEADS, weighted=True)
    entropy = scipy.special.entr(scipy.special.softmax(logits, -1)).sum(-1)
    state = weighted.update(logits=logits, weights=[[1.0, 0.0], [np.nan, 3.0]], **mask)
    expected = (entropy[0, :, 0] + 3 * entropy[1, :, 1]) / 4
    np.testing.assert_allclose(state.compute(), expected, rtol=1e-6)
    assert state.plain()["invalid"] == 1
    state = weighted.update(logits=logits, weights=[-1.0, 2.0], **mask)
    np.testing.assert_allclose(state.compute(), entropy[1].mean(-1), rtol=1e-6)
    assert state.plain()["invalid"] == 1
