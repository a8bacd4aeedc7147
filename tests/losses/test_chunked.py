"""The chunked loss, its terms and its gradients, against float64 and the plain one."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P
from scipy.special import logsumexp

import jaxmetrics as jm
from jaxmetrics import losses

pytestmark = pytest.mark.sampled(4)

STATIC = "chunk shards tied pad_id label_smoothing z_loss softcap".split()
chunked_cross_entropy = jax.jit(losses.chunked_cross_entropy, static_argnames=STATIC)

FEATURES, VOCABULARY = 8, 24
OPTIONS = [
    {},
    dict(label_smoothing=0.1, z_loss=0.01),
    dict(softcap=3.0),
    dict(softcap=3.0, label_smoothing=0.1, z_loss=0.01),
]
SPLITS = [  # chunks that divide the vocabulary, that do not, and of shards
    dict(chunk=8),
    dict(chunk=7),
    dict(chunk=100),
    dict(chunk=8, shards=4),
    dict(chunk=10, shards=2),
    dict(chunk=1),
]


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=(3, 5, FEATURES)).astype(np.float32)
    unembedding = rng.normal(size=(FEATURES, VOCABULARY)).astype(np.float32)
    labels = rng.integers(1, VOCABULARY, (3, 5)).astype(np.int32)
    labels[0, 2:] = 0
    return hidden, unembedding, labels


def logits_of(hidden, unembedding, softcap=None):
    logits = np.float64(hidden) @ np.float64(unembedding)
    return logits if softcap is None else softcap * np.tanh(logits / softcap)


def reference(
    hidden, unembedding, labels, label_smoothing=0.0, z_loss=0.0, softcap=None
):
    """Return the terms by NumPy; label 0 is padding."""
    logits = logits_of(hidden, unembedding, softcap)
    log_z = logsumexp(logits, -1)
    losses = log_z - np.take_along_axis(logits, labels[..., None], -1)[..., 0]
    kept = labels != 0
    loss = (1 - label_smoothing) * losses
    loss += label_smoothing * (log_z - logits.mean(-1)) + z_loss * log_z**2
    preds = np.where(kept, logits.argmax(-1), -1)
    return loss[kept].mean(), losses * kept, log_z * kept, preds


def plain(hidden, unembedding, labels, label_smoothing=0.0, z_loss=0.0, softcap=None):
    """The loss from all logits, to be differentiated by jax."""
    logits = jnp.matmul(hidden, unembedding, preferred_element_type=jnp.float32)
    if softcap is not None:
        logits = softcap * jnp.tanh(logits / softcap)
    log_p = jax.nn.log_softmax(logits)
    target = jax.nn.one_hot(labels, VOCABULARY) * (1 - label_smoothing)
    loss = -((target + label_smoothing / VOCABULARY) * log_p).sum(-1)
    loss += z_loss * jax.nn.logsumexp(logits, -1) ** 2
    return jnp.where(labels != 0, loss, 0).sum() / (labels != 0).sum()


def gradients(function, batch, **options):
    def loss(hidden, unembedding):
        value = function(hidden, unembedding, batch[2], **options)
        return value.total if isinstance(value, tuple) else value

    return jax.jit(jax.grad(loss, (0, 1)))(*batch[:2])


PAIRS = [(OPTIONS[-1], split) for split in SPLITS]
PAIRS += [(options, SPLITS[1]) for options in OPTIONS[:-1]]


@pytest.mark.parametrize("options, split", PAIRS)
def test_terms_and_gradients_are_those_of_all_logits(batch, options, split):
    @jax.jit
    def step(hidden, unembedding):
        def loss(*arrays):
            terms = chunked_cross_entropy(
                *arrays, batch[2], pad_id=0, **options, **split
            )
            return terms.total, terms

        return jax.grad(loss, (0, 1), has_aux=True)(hidden, unembedding)

    values, terms = step(*batch[:2])
    for value, right in zip(terms, reference(*batch, **options), strict=True):
        np.testing.assert_allclose(value, right, rtol=2e-6, atol=1e-6)
    for value, right in zip(values, gradients(plain, batch, **options), strict=True):
        np.testing.assert_allclose(value, right, atol=2e-7)


@pytest.mark.parametrize("split", [dict(chunk=7), dict(chunk=8, shards=4)])
def test_a_table_of_embeddings_is_a_transposed_unembedding(batch, split):
    hidden, unembedding, labels = batch
    loss = functools.partial(chunked_cross_entropy, **split)
    tied = functools.partial(loss, tied=True)
    table = unembedding.T.copy()
    terms, expected = tied(hidden, table, labels), loss(*batch)
    np.testing.assert_allclose(terms.losses, expected.losses, rtol=1e-6)
    np.testing.assert_array_equal(terms.preds, expected.preds)
    by_hidden, by_table = gradients(tied, (hidden, table, labels))
    expected = gradients(loss, batch)
    np.testing.assert_allclose(by_hidden, expected[0], atol=2e-7)
    np.testing.assert_allclose(by_table.T, expected[1], atol=2e-7)


@pytest.mark.parametrize("split", [dict(chunk=7), dict(chunk=8, shards=4)])
def test_a_bias_is_the_weight_of_one_more_feature_of_one(batch, split):
    hidden, unembedding, labels = batch
    bias = np.linspace(-2, 2, VOCABULARY, dtype=np.float32)
    wider = np.pad(hidden, [(0, 0)] * 2 + [(0, 1)], constant_values=1)
    taller = np.concatenate([unembedding, bias[None]])
    options = OPTIONS[-1]

    @jax.jit
    def step(*arrays):
        def loss(hidden, unembedding, bias):
            terms = chunked_cross_entropy(
                hidden, unembedding, labels, bias=bias, pad_id=0, **options, **split
            )
            return terms.total, terms

        return jax.grad(loss, (0, 1, 2), has_aux=True)(*arrays)

    values, terms = step(hidden, unembedding, bias)
    right = reference(wider, taller, labels, **options)
    for value, expected in zip(terms, right, strict=True):
        np.testing.assert_allclose(value, expected, rtol=2e-6, atol=1e-6)
    by_wider, by_taller = gradients(plain, (wider, taller, labels), **options)
    right = by_wider[..., :-1], by_taller[:-1], by_taller[-1]
    for value, expected in zip(values, right, strict=True):
        np.testing.assert_allclose(value, expected, atol=2e-7)


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("split", [dict(chunk=5), dict(chunk=8, shards=4)])
def test_a_bias_of_minus_infinity_takes_its_ids_out(batch, options, split):
    hidden, unembedding, labels = batch
    bias = np.zeros(VOCABULARY, np.float32)
    bias[:8] = bias[-9:] = -np.inf  # whole chunks and shards of them
    labels = np.where(labels == 0, 0, 8 + labels % 7)

    @functools.partial(jax.jit, static_argnames=("first", "last"))
    def step(bias, hidden, unembedding, first=0, last=VOCABULARY):
        def loss(*arrays):
            terms = losses.chunked_cross_entropy(
                *arrays, labels - first, bias=bias, mask=labels > 0, **options, **split
            )
            return terms.total, terms

        columns = unembedding[:, first:last]
        return jax.grad(loss, (0, 1), has_aux=True)(hidden, columns)

    (by_hidden, by_columns), terms = step(bias, hidden, unembedding)
    split = dict(chunk=3)
    right, expected = step(bias[8:-9], hidden, unembedding, 8, VOCABULARY - 9)
    for term, other in zip(terms[:3], expected[:3], strict=True):
        np.testing.assert_allclose(term, other, rtol=2e-6, atol=1e-6)
    kept = labels > 0
    np.testing.assert_array_equal(terms.preds[kept], expected.preds[kept] + 8)
    np.testing.assert_allclose(by_hidden, right[0], atol=2e-7)
    np.testing.assert_allclose(by_columns[:, 8:-9], right[1], atol=2e-7)
    assert not by_columns[:, :8].any() and not by_columns[:, -9:].any()


def test_a_label_that_is_taken_out_costs_infinity_and_has_a_prediction(batch):
    hidden, unembedding, _ = batch
    bias = np.float32([-np.inf] + [0] * (VOCABULARY - 1))
    labels = np.zeros(hidden.shape[:-1], np.int32)
    terms = chunked_cross_entropy(hidden, unembedding, labels, bias=bias)
    assert np.isposinf(terms.losses).all()
    logits = logits_of(hidden, unembedding) + bias
    np.testing.assert_array_equal(terms.preds, logits.argmax(-1))
    nothing = np.full(VOCABULARY, -np.inf, np.float32)
    terms = chunked_cross_entropy(hidden, unembedding, labels, bias=nothing)
    assert np.isnan(terms.losses).all() and (terms.preds == -1).all()


def test_a_bias_of_another_length_or_of_integers_is_refused(batch):
    with pytest.raises(ValueError, match=r"a bias \(1,\) and a vocabulary of 24"):
        losses.chunked_cross_entropy(*batch, bias=jnp.zeros(1))
    with pytest.raises(TypeError, match="bias of int32"):
        losses.chunked_cross_entropy(*batch, bias=jnp.zeros(VOCABULARY, jnp.int32))


def test_terms_of_tokens_can_be_differentiated_one_by_one(batch):
    hidden, unembedding, labels = batch
    weights = jnp.linspace(-1, 1, labels.size).reshape(labels.shape)

    def chunked(hidden, unembedding):
        terms = chunked_cross_entropy(hidden, unembedding, labels, chunk=8)
        return (weights * terms.losses + terms.log_normalizers**2).sum()

    def formula(hidden, unembedding):
        logits = hidden @ unembedding
        log_z = jax.nn.logsumexp(logits, -1)
        label = jnp.take_along_axis(logits, labels[..., None], -1)[..., 0]
        return (weights * (log_z - label) + log_z**2).sum()

    values = jax.jit(jax.grad(chunked, (0, 1)))(hidden, unembedding)
    expected = jax.jit(jax.grad(formula, (0, 1)))(hidden, unembedding)
    for value, right in zip(values, expected, strict=True):
        np.testing.assert_allclose(value, right, rtol=1e-4, atol=2e-5)


def test_bfloat16_is_summed_in_float32(batch):
    hidden, unembedding, labels = batch
    narrow = [jnp.asarray(x, jnp.bfloat16) for x in (hidden, unembedding)]
    terms = chunked_cross_entropy(*narrow, labels, pad_id=0, chunk=8)
    expected = reference(*map(np.float64, narrow), labels)
    assert terms.total.dtype == terms.losses.dtype == jnp.float32
    for value, right in zip(terms, expected, strict=True):
        np.testing.assert_allclose(value, right, rtol=2e-6, atol=1e-6)
    chunked = functools.partial(chunked_cross_entropy, pad_id=0, chunk=8)
    values = gradients(chunked, (*narrow, labels))
    wide = [np.float32(x) for x in narrow]
    for value, right in zip(values, gradients(plain, (*wide, labels)), strict=True):
        assert value.dtype == jnp.bfloat16
        # Gradients of logits, here up to 0.1, and the result are rounded to 8 bits.
        np.testing.assert_allclose(np.float32(value), right, rtol=2**-8, atol=1e-3)


def test_products_are_of_the_wider_dtype(batch):
    hidden, unembedding, labels = batch
    narrow = jnp.asarray(unembedding, jnp.bfloat16)
    terms = chunked_cross_entropy(hidden, narrow, labels, pad_id=0, chunk=8)
    expected = reference(hidden, np.float64(narrow), labels)
    np.testing.assert_allclose(terms.total, expected[0], rtol=1e-6)
    chunked = functools.partial(chunked_cross_entropy, chunk=8)
    by_hidden, by_unembedding = gradients(chunked, (hidden, narrow, labels))
    assert by_hidden.dtype == np.float32 and by_unembedding.dtype == jnp.bfloat16


def test_masked_tokens_are_not_read_even_where_they_are_nan(batch):
    hidden, unembedding, labels = batch
    mask = labels != 0
    bad = np.where(mask[..., None], hidden, np.nan)
    right = chunked_cross_entropy(*batch, pad_id=0, chunk=8)
    loss = functools.partial(chunked_cross_entropy, chunk=8, mask=mask)
    for value, expected in zip(loss(bad, unembedding, labels - 100 * ~mask), right):
        np.testing.assert_array_equal(value, expected)
    by_hidden, by_unembedding = gradients(loss, (bad, unembedding, labels))
    assert not by_hidden[0, 2:].any()
    expected = gradients(plain, batch)
    np.testing.assert_allclose(by_hidden, expected[0], atol=2e-7)
    np.testing.assert_allclose(by_unembedding, expected[1], atol=2e-7)


def test_all_tokens_masked_is_nan_with_gradients_of_zero_tokens(batch):
    mask = np.zeros((3, 5), bool)
    terms = chunked_cross_entropy(*batch, mask=mask, chunk=8)
    assert np.isnan(terms.total) and not terms.losses.any()
    assert (terms.preds == -1).all()


def test_one_token_is_a_batch(batch):
    hidden, unembedding, _ = batch
    terms = chunked_cross_entropy(hidden[0, 0], unembedding, jnp.int32(3), chunk=8)
    expected = reference(hidden[0, 0], unembedding, np.int32(3))
    assert terms.losses.shape == ()
    np.testing.assert_allclose(terms.total, expected[0], rtol=1e-6)


def test_a_label_out_of_range_makes_losses_and_gradients_nan(batch):
    hidden, unembedding, labels = batch
    labels = labels.copy()
    labels[1, 1] = VOCABULARY
    terms = chunked_cross_entropy(hidden, unembedding, labels, chunk=8)
    assert np.argwhere(np.isnan(terms.losses)).tolist() == [[1, 1]]
    assert np.isnan(terms.total) and terms.preds[1, 1] == -1
    chunked = functools.partial(chunked_cross_entropy, chunk=8)
    by_hidden, by_unembedding = gradients(chunked, (hidden, unembedding, labels))
    assert np.isnan(by_hidden[1, 1]).all() and np.isnan(by_unembedding).all()
    assert np.isfinite(np.delete(by_hidden.reshape(15, -1), 6, axis=0)).all()


def test_a_label_beyond_32_bits_is_out_of_range_and_no_other_id():
    labels = [2**32 + 1, 1]  # the first one is 1 in its lower 32 bits
    terms = losses.chunked_cross_entropy(np.ones((2, 3)), np.zeros((3, 8)), labels)
    assert np.isnan(terms.losses).tolist() == [True, False]
    assert np.isnan(terms.total)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_logit_that_is_not_finite_makes_its_token_nan(batch, bad):
    hidden, unembedding, labels = batch
    hidden = hidden.copy()
    hidden[2, 3, 0] = bad
    terms = chunked_cross_entropy(hidden, unembedding, labels, chunk=8)
    assert np.argwhere(np.isnan(terms.losses)).tolist() == [[2, 3]]
    assert np.argwhere(terms.preds == -1).tolist() == [[2, 3]]


def test_ties_go_to_the_lower_id_in_any_chunk_and_shard():
    hidden, unembedding = jnp.ones((4, 2)), jnp.zeros((2, VOCABULARY))
    unembedding = unembedding.at[:, 5::6].set(1)
    for split in SPLITS[1:4:2]:
        terms = chunked_cross_entropy(hidden, unembedding, jnp.arange(4), **split)
        assert terms.preds.tolist() == [5] * 4


def test_a_small_loss_keeps_its_digits():
    hidden, unembedding = jnp.ones((1, 1)), jnp.zeros((1, 6)).at[0, 4].set(17)
    for split in (dict(chunk=2), dict(chunk=2, shards=2)):
        terms = chunked_cross_entropy(hidden, unembedding, jnp.array([4]), **split)
        np.testing.assert_allclose(terms.losses, 5 * np.exp(-17), rtol=1e-6)


def test_a_common_offset_of_the_logits_changes_no_loss(batch):
    hidden, unembedding, labels = (np.round(4 * x) / 4 for x in batch)
    hidden, labels = np.pad(hidden, ((0, 0), (0, 0), (0, 1))), labels.astype(np.int32)
    unembedding = np.pad(unembedding, ((0, 1), (0, 0)), constant_values=1)
    loss = functools.partial(chunked_cross_entropy, chunk=7)
    near = loss(hidden, unembedding, labels)
    hidden[..., -1] = 2**16
    far = loss(hidden, unembedding, labels)
    np.testing.assert_array_equal(near.losses, far.losses)
    np.testing.assert_array_equal(near.preds, far.preds)


def test_it_equals_the_loss_of_logits(batch):
    hidden, unembedding, labels = batch
    options = dict(pad_id=0, label_smoothing=0.1, z_loss=1e-3)
    expected = losses.cross_entropy_with_entropy_loss(
        hidden @ unembedding, labels, entropy_weight=0.0, **options
    )
    terms = chunked_cross_entropy(*batch, chunk=8, **options)
    np.testing.assert_allclose(terms.total, expected[2], rtol=1e-6)


def test_metrics_of_the_terms_are_those_of_the_logits(batch):
    hidden, unembedding, labels = batch
    names = dict(
        loss=jm.CrossEntropy,
        perplexity=jm.Perplexity,
        bits=jm.BitsPerToken,
        positions=functools.partial(jm.LossByPosition, 5),
    )
    kinds = dict.fromkeys(names, "losses") | dict(accuracy="preds")
    names |= dict(accuracy=jm.TokenAccuracy)
    of_logits = jm.Collection(**{n: m(ignore_index=0) for n, m in names.items()})
    of_terms = jm.Collection(
        **{n: m(ignore_index=0, scores=kinds[n]) for n, m in names.items()}
    )
    terms = chunked_cross_entropy(*batch, pad_id=0, chunk=8)
    outputs = dict(terms._asdict(), labels=labels)
    values = jm.evaluate(of_terms, **outputs)
    expected = jm.evaluate(of_logits, logits=hidden @ unembedding, labels=labels)
    for name, value in expected.items():
        np.testing.assert_allclose(values[name], value, rtol=1e-6, err_msg=name)


TOKENS, WIDE = 512, 64


def memory(vocabulary, chunk, function=chunked_cross_entropy):
    hidden = jax.ShapeDtypeStruct((TOKENS, WIDE), jnp.float32)
    unembedding = jax.ShapeDtypeStruct((WIDE, vocabulary), jnp.float32)
    labels = jax.ShapeDtypeStruct((TOKENS,), jnp.int32)

    def loss(hidden, unembedding, labels):
        return function(hidden, unembedding, labels, chunk=chunk).total

    step = jax.jit(jax.value_and_grad(loss, (0, 1)))
    compiled = step.lower(hidden, unembedding, labels).compile()
    return compiled.memory_analysis().temp_size_in_bytes


@pytest.mark.parametrize("vocabulary", [32_768, 131_072])
def test_memory_is_that_of_a_chunk_of_logits(vocabulary):
    chunk, logits = 2048, TOKENS * vocabulary * 4
    gradient = WIDE * vocabulary * 4
    used = memory(vocabulary, chunk)
    assert used < 4 * TOKENS * chunk * 4 + gradient + 2**20
    assert used < logits / 2


MESH = (2, 4), ("data", "model")
GATHERS = r" (?:all-gather|all-to-all|collective-permute)[-\w]*\("


def sharded_step(batch, kind, **options):
    mesh = jax.make_mesh(*MESH, axis_types=(kind,) * 2)
    places = P("data", None, None), P(None, "model"), P("data", None), P("model")
    operands = [
        jax.device_put(x, NamedSharding(mesh, place)) for x, place in zip(batch, places)
    ]

    @jax.jit
    def step(hidden, unembedding, labels, bias=None):
        def loss(hidden, unembedding, bias):
            terms = chunked_cross_entropy(
                hidden, unembedding, labels, bias=bias, pad_id=0, chunk=8, **options
            )
            return terms.total, terms

        by = (0, 1) if bias is None else (0, 1, 2)
        return jax.value_and_grad(loss, by, has_aux=True)(hidden, unembedding, bias)

    return step, operands, mesh


@pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit])
def test_a_sharded_vocabulary_is_not_gathered(batch, kind):
    rng = np.random.default_rng(1)
    hidden = rng.normal(size=(4, 5, FEATURES)).astype(np.float32)
    labels = rng.integers(0, VOCABULARY, (4, 5)).astype(np.int32)
    batch = hidden, batch[1], labels
    step, operands, mesh = sharded_step(batch, kind, shards=4)
    with jax.set_mesh(mesh):
        text = step.lower(*operands).compile().as_text()
        (total, terms), by = step(*operands)
    assert not re.findall(GATHERS, text)
    loops, _, _ = text.partition("ENTRY")
    # The gradient of a chunk's columns is a sum over the data axis; nothing else is.
    assert len(re.findall(r" all-reduce(?:-start)?\(", loops)) == 1
    np.testing.assert_allclose(total, reference(*batch)[0], rtol=1e-6)
    np.testing.assert_array_equal(terms.preds, reference(*batch)[3])
    for value, right in zip(by, gradients(plain, batch), strict=True):
        np.testing.assert_allclose(value, right, atol=2e-7)
    assert by[1].sharding.spec == P(None, "model")


@pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit])
def test_a_bias_that_is_sharded_with_the_vocabulary_is_not_gathered(batch, kind):
    hidden, unembedding, labels = batch
    hidden, labels = hidden[:2], labels[:2]
    bias = np.linspace(-2, 2, VOCABULARY, dtype=np.float32)
    operands = hidden, unembedding, labels, bias
    step, operands, mesh = sharded_step(operands, kind, shards=4)
    with jax.set_mesh(mesh):
        text = step.lower(*operands).compile().as_text()
        (total, _), (*_, by_bias) = step(*operands)
    assert not re.findall(GATHERS, text)
    wider = np.pad(hidden, [(0, 0)] * 2 + [(0, 1)], constant_values=1)
    taller = np.concatenate([unembedding, bias[None]])
    np.testing.assert_allclose(total, reference(wider, taller, labels)[0], rtol=1e-6)
    right = gradients(plain, (wider, taller, labels))[1][-1]
    np.testing.assert_allclose(by_bias, right, atol=2e-7)
    assert by_bias.sharding.spec == P("model")


def test_with_too_few_shards_the_vocabulary_is_gathered(batch):
    rows = [x[:2] if len(x) == 3 else x for x in batch]
    step, operands, _ = sharded_step(rows, AxisType.Auto)
    assert re.findall(GATHERS, step.lower(*operands).compile().as_text())


def test_inside_shard_map_the_gradient_of_the_unembedding_is_the_sum(batch):
    rng = np.random.default_rng(1)
    hidden = rng.normal(size=(8, 5, FEATURES)).astype(np.float32)
    labels = rng.integers(1, VOCABULARY, (8, 5)).astype(np.int32)
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))

    @jax.jit
    @functools.partial(
        jax.shard_map,
        mesh=mesh,
        in_specs=(P("data"), P(), P("data")),
        out_specs=(P(), P()),
    )
    def step(hidden, unembedding, labels):
        def loss(unembedding):
            terms = chunked_cross_entropy(hidden, unembedding, labels, chunk=7)
            return jax.lax.pmean(terms.total, "data")

        return jax.value_and_grad(loss)(unembedding)

    batch = hidden, batch[1], labels
    value, gradient = step(*batch)
    np.testing.assert_allclose(value, reference(*batch)[0], rtol=1e-6)
    np.testing.assert_allclose(gradient, gradients(plain, batch)[1], atol=2e-7)


@pytest.mark.parametrize(
    "changes, error, match",
    [
        (dict(hidden=np.zeros((2, 3), int)), TypeError, "hidden of int"),
        (dict(unembedding=np.zeros((3, 4), int)), TypeError, "unembedding of int"),
        (dict(labels=np.zeros(2)), TypeError, "labels of float"),
        (dict(labels=np.zeros(3, int)), ValueError, r"labels \(3,\)"),
        (dict(unembedding=np.zeros((4, 3))), ValueError, "tied=True for a table"),
        (dict(mask=np.ones(2)), TypeError, "bool"),
        (dict(shards=3), ValueError, "shards=3 and a vocabulary of 4"),
        (dict(chunk=0), ValueError, "chunk=0"),
        (dict(softcap=0.0), ValueError, "softcap=0.0"),
        (dict(softcap=np.nan), ValueError, "softcap=nan"),
        (dict(label_smoothing=1), ValueError, "label_smoothing=1"),
    ],
)
def test_invalid_arguments_are_refused(changes, error, match):
    arguments = dict(
        hidden=np.zeros((2, 3)), unembedding=np.zeros((3, 4)), labels=np.zeros(2, int)
    )
    with pytest.raises(error, match=match):
        losses.chunked_cross_entropy(**(arguments | changes))


def test_losses_of_domains_and_of_positions_add_up_to_the_total(batch):
    names = ("web", "code", "books")
    metrics = jm.Collection(
        sum=jm.ByGroup(jm.Sum("losses"), by="domain", groups=names),
        count=jm.ByGroup(jm.Count("losses"), by="domain", groups=names),
        mean=jm.ByGroup(jm.CrossEntropy(scores="losses"), by="domain", groups=names),
        position=jm.LossByPosition(5, scores="losses"),
        total=jm.Sum("losses"),
        loss=jm.CrossEntropy(scores="losses"),
    )
    labels = batch[2]
    terms = chunked_cross_entropy(*batch, pad_id=0, chunk=8)
    values = metrics.update(
        losses=terms.losses,
        labels=labels,
        mask=labels != 0,
        domain=np.int32([0, 2, 0]),
    ).compute()
    sums, counts, means = (
        np.array([values[f"{key}/{name}"] for name in names])
        for key in ("sum", "count", "mean")
    )
    assert counts.tolist() == [7, 0, 5] and np.isnan(means[1])
    assert sums.sum() == pytest.approx(values["total"], rel=1e-12)
    shares = counts[[0, 2]] / counts.sum()
    assert (shares * means[[0, 2]]).sum() == pytest.approx(values["loss"], rel=1e-12)
    by_position = values["position"] * (labels != 0).sum(0)
    assert by_position.sum() == pytest.approx(values["total"], rel=1e-12)
    assert values["loss"] == pytest.approx(float(terms.total), rel=1e-6)
