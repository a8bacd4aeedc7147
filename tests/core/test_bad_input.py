"""Mistakes with metrics raise at trace time, with the culprit and the remedy."""

import cases
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P
from support.laws import draw

import jaxmetrics as jm

LOGITS = np.array([[2.0, 1.0, 0.0], [0.0, 3.0, 1.0]], np.float32)
LABELS = np.array([0, 2], np.int32)


def mesh():
    return Mesh(np.array(jax.devices()), ("data",))


def trace_update(metric, **outputs):
    """Trace an update: errors must come before anything runs."""
    return jax.eval_shape(lambda o: metric.update(**o), outputs)


def test_a_missing_output_is_refused_with_the_outputs_and_how_to_rename():
    message = (
        r"Accuracy needs output 'labels'; got \['logits', 'y'\]. "
        r"Rename with Accuracy\(...\).on\(labels=...\)."
    )
    with pytest.raises(TypeError, match=message):
        trace_update(jm.Accuracy(), logits=LOGITS, y=LABELS)


def test_a_missing_output_in_a_collection_names_the_metric():
    metrics = jm.Collection(loss=jm.Mean("loss"), top=jm.TopKAccuracy(k=2))
    with pytest.raises(TypeError, match="TopKAccuracy needs output 'labels'"):
        trace_update(metrics, loss=1.0, logits=LOGITS)


@pytest.mark.parametrize("name", ["msk", "masks", "mask_", "maks"])
def test_a_misspelt_optional_output_is_refused(name):
    outputs = {"values": np.ones(3, np.float32), name: np.ones(3, bool)}
    with pytest.raises(TypeError, match=f"{name!r} is read by no metric.*'mask'"):
        trace_update(jm.Mean(), **outputs)


def test_an_extra_output_that_resembles_no_other_is_ignored():
    metric = jm.Mean().update(values=np.ones(3), learning_rate=0.1, task="code")
    assert metric.compute() == 1


@pytest.mark.parametrize("name", ["weights", "weight", "sample_weight"])
def test_weights_that_no_metric_uses_are_refused(name):
    with pytest.raises(
        TypeError, match=f"'{name}' is used by no metric.*weighted=True"
    ):
        trace_update(jm.Mean(), values=np.ones(3), **{name: np.ones(3)})


def test_an_output_may_be_called_weight_where_weights_are_used_or_it_is_read():
    outputs = dict(values=np.ones(3), weight=np.ones(3))
    trace_update(jm.Mean(weighted=True), weights=np.ones(3), **outputs)
    trace_update(jm.Mean(weighted=True).on(weights="weight"), **outputs)
    trace_update(jm.Mean("weight"), **outputs)


def test_a_weighted_metric_requires_weights():
    with pytest.raises(TypeError, match="Mean needs output 'weights'"):
        trace_update(jm.Mean(weighted=True), values=np.ones(3))


def test_weights_apply_to_the_weighted_metrics_of_a_collection():
    metrics = jm.Collection(a=jm.Mean(weighted=True), b=jm.Mean())
    values = metrics.update(values=[1.0, 3.0], weights=[3.0, 1.0]).compute()
    assert values == {"a": 1.5, "b": 2.0}


def test_a_float_mask_is_refused():
    with pytest.raises(TypeError, match=r"Mean\(\).*mask is float32.*bool"):
        trace_update(jm.Mean(), values=np.ones(3), mask=np.ones(3, np.float32))


def test_a_mask_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"mask has shape \(2,\), the values \(3,\)"):
        trace_update(jm.Mean(), values=np.ones(3, np.float32), mask=np.ones(2, bool))


def test_a_mask_does_not_apply_to_a_scalar_output():
    metric = jm.Mean("loss").update(loss=2.0, mask=np.array([True, False]))
    assert metric.plain() == {"total": 2.0, "count": 1}


def test_float_labels_are_refused():
    with pytest.raises(TypeError, match=r"Accuracy\(\).*labels are integer.*float32"):
        trace_update(jm.Accuracy(), logits=LOGITS, labels=LABELS.astype(np.float32))


def test_labels_of_another_shape_are_refused():
    with pytest.raises(
        ValueError, match=r"labels have shape \(2, 1\) and logits \(2, 3"
    ):
        trace_update(jm.Accuracy(), logits=LOGITS, labels=LABELS[:, None])


def test_logits_of_another_number_of_classes_are_refused():
    with pytest.raises(ValueError, match="last axis must be the 4 classes"):
        trace_update(jm.ConfusionMatrix(4), logits=LOGITS, labels=LABELS)


@pytest.mark.parametrize("value", ["three", None, object(), np.array(["a"]), 1j])
def test_an_output_that_is_not_numeric_is_refused(value):
    with pytest.raises(TypeError, match="Output 'values'|needs output 'values'"):
        jm.Mean().update(values=value)


def test_an_output_that_is_none_is_not_among_those_passed():
    message = r"Mean needs output 'x'; got \['y'\]. 'x' is None: pass an array"
    with pytest.raises(TypeError, match=message):
        jm.Mean("x").update(x=None, y=1.0)


def test_an_integer_beyond_32_bits_is_refused():
    with pytest.raises(ValueError, match="'values' has integers beyond 32 bits"):
        jm.Sum().update(values=2**40)


def test_different_configurations_do_not_merge():
    with pytest.raises(
        TypeError, match=r"TopKAccuracy\(k=2\) with TopKAccuracy\(k=3\)"
    ):
        jm.TopKAccuracy(k=2).merge(jm.TopKAccuracy(k=3))


def test_different_classes_do_not_merge():
    with pytest.raises(TypeError, match=r"Cannot merge Mean\(\) with Sum\(\)"):
        jm.Mean().merge(jm.Sum())


def test_different_collections_do_not_merge():
    with pytest.raises(TypeError, match="Cannot merge Collection.*with Collection"):
        jm.Collection(a=jm.Mean()).merge(jm.Collection(b=jm.Mean()))


def test_a_metric_does_not_merge_with_a_number():
    with pytest.raises(TypeError, match=r"Cannot merge Mean\(\) with 3"):
        jm.Mean().merge(3)


def test_a_batch_that_is_not_divisible_by_the_shards_is_refused():
    metric = jm.Mean().deferred(mesh())
    message = r"'values' of shape \(12,\) is not divided by the 8 shards.*Pad the batch"
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(lambda m: m.update(values=jnp.ones(12)), metric)


def test_an_axis_that_is_not_in_the_mesh_is_refused():
    with pytest.raises(ValueError, match=r"axis 'dta' is not in the mesh.*\('data',\)"):
        jm.Mean().deferred(mesh(), "dta")


def test_a_partition_of_an_output_that_no_metric_reads_is_refused():
    with pytest.raises(TypeError, match="no metric reads output 'los'"):
        jm.Mean("loss").deferred(mesh(), "data", los=P("data"))


def test_reduce_outside_a_mapped_function_is_refused():
    with pytest.raises(ValueError, match="axis 'data' is not bound here.*shard_map"):
        jax.jit(lambda m: m.reduce("data"))(jm.Mean())


def test_deferred_metrics_refuse_pmap():
    metric = jm.Mean().deferred(mesh())
    with pytest.raises(ValueError, match="pmap"):
        jax.pmap(lambda x: metric.update(values=x), axis_name="batch")(np.ones((8, 4)))


def test_different_deferred_states_do_not_merge():
    one, other = jm.Mean().deferred(mesh()), jm.Sum().deferred(mesh())
    with pytest.raises(TypeError, match="Cannot merge Deferred"):
        one.merge(other)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: jm.TopKAccuracy(k=0), "k is 0, but must be at least 1"),
        (lambda: jm.TopKAccuracy(k=True), "k is declared int, got True"),
        (lambda: jm.TopKAccuracy(k=np.int64(3)), r"int64\(3\). Convert with int\(\)"),
        (lambda: jm.Mean("loss", weighted=1), "bool, got 1. Pass True or False"),
        (lambda: jm.Accuracy(task="binray"), "task is .binray.*one of"),
        (lambda: jm.Accuracy(average="macro"), "needs the number of classes"),
        (lambda: jm.Accuracy(average="weighted"), "average is .weighted.*one of"),
        (lambda: jm.Accuracy(task="binary", threshold=1.5), "between 0 and 1"),
        (lambda: jm.ConfusionMatrix(), "needs the number of classes"),
        (lambda: jm.CrossEntropy(label_smoothing=1.0), r"\[0, 1\)"),
        (lambda: jm.Variance(ddof=1, weighted=True), "ddof=0"),
        (lambda: jm.Accuracy(ignore_index=[1]), r"got \[1\]. Convert with tuple"),
        (lambda: jm.Accuracy().on(logit="x"), r"observes \['labels', 'logits'"),
        (lambda: jm.Mean().replace(sum=1), "has no leaf 'sum'"),
        (lambda: jm.Mean().replace(count=-1), "never negative"),
        (lambda: jm.Mean().replace(count=0.5), "takes integers"),
        (lambda: jm.ConfusionMatrix(3).replace(counts=[1, 2]), "declared \\(3, 3\\)"),
        (lambda: jm.Collection(loss=3), "loss is a int, not a metric"),
        (lambda: jm.Collection(a=jm.Mean())["b"], "no metric 'b'.*'a'"),
    ],
)
def test_invalid_configuration_is_refused_at_construction(make, message):
    with pytest.raises((TypeError, ValueError, KeyError), match=message):
        make()


def test_labels_out_of_range_and_nonfinite_logits_are_counted_as_invalid():
    logits = np.array([[2, 1, 0], [0, np.nan, 1], [0, 1, 2], [3, 1, 0]], np.float32)
    labels = np.array([0, 1, -1, 7], np.int32)
    for metric in (
        jm.Accuracy(),
        jm.Accuracy(average="macro", classes=3),
        jm.TopKAccuracy(k=3),
        jm.ConfusionMatrix(3),
        jm.CrossEntropy(),
        jm.TokenAccuracy(),
    ):
        updated = metric.update(logits=logits, labels=labels)
        assert updated.plain()["invalid"] == 3, metric
        assert np.isfinite(np.sum(updated.compute())), metric
    assert jm.evaluate(jm.Accuracy(), logits=logits, labels=labels) == 1
    matrix = jm.evaluate(jm.ConfusionMatrix(3), logits=logits, labels=labels)
    assert matrix.sum() == matrix[0, 0] == 1


HIDDEN = {  # metrics that count in a metric of their own, which users do not know
    "F1": jm.F1(classes=3),
    "AUROC": jm.AUROC(classes=3),
    "Perplexity": jm.Perplexity(),
    "RootMeanSquaredError": jm.RootMeanSquaredError(),
    "Std": jm.Std("loss"),
}


@pytest.mark.parametrize("name", HIDDEN)
@pytest.mark.parametrize("inside", ["alone", "in a collection"])
def test_errors_name_the_metric_that_the_user_wrote(name, inside):
    metric = HIDDEN[name]
    if inside == "in a collection":
        metric = jm.Collection(first=jm.Mean("other"), second=metric)
    with pytest.raises(TypeError, match=rf"^{name} needs output"):
        metric.from_model_output(other=np.ones(2))


@pytest.mark.parametrize("inside", ["alone", "in a collection"])
def test_the_traceback_of_an_error_names_no_other_metric(inside):
    metric = jm.Hamming(classes=5)
    if inside == "in a collection":
        metric = jm.Collection(first=metric)
    with pytest.raises(ValueError, match=r"^Hamming\(classes=5\) on") as error:
        metric.update(logits=np.ones((8, 5)), labels=np.zeros(8, int))
    chain = [error.value]
    while following := chain[-1].__cause__ or chain[-1].__context__:
        chain.append(following)
    assert not any("Accuracy" in str(each) for each in chain)


def test_the_shapes_in_errors_are_those_of_outputs_by_their_names():
    message = r"^F1\(task='binary', scores='probs'\) on \{'probs': \(4, 2\), 'labels'"
    with pytest.raises(ValueError, match=message):
        jm.evaluate(
            jm.F1(task="binary", scores="probs"),
            probs=np.ones((4, 2)),
            labels=np.ones(4, int),
        )


def test_a_metric_that_is_a_member_itself_names_itself():
    metrics = jm.Collection(loss=jm.CrossEntropy(), perplexity=jm.Perplexity())
    with pytest.raises(TypeError, match="^CrossEntropy needs output"):
        metrics.update(labels=np.zeros(2, int))


CASES = cases.sample(5)
FITS_ANY_SHAPE = {  # outputs of which one axis more, or one number, is right
    "values": "the arrays of a statistic have any shape",
    "experts": "the experts of tokens, with any axes",
    "correct": "a row is a problem or several",
    "weights": "one number applies to all rows",
    "valid": "as above: a mask",
    "domain": "as above: a group",
    "ids": "as above: an identity",
}
OTHER_SHAPES = {
    "mean of a function": "the function is the user's, and so its shapes",
    "frechet distance": "two sets of features, each with rows of its own",
    "kernel distance": "as above",
    "gradient noise scale": "norms of any number of microbatches and updates",
    "gradient noise scale, some updated": "as above",
    "chrf": "a further axis of the references is one of several references",
    "chrf weighted": "as above",
}


def misshapen(x):
    """Yield the array with a row more, without its last axis, and with one more."""
    yield np.concatenate([x, x[:1]])
    yield x[..., None]
    yield x[(0,) * x.ndim]


def by_name(case):
    return case.name


@pytest.mark.parametrize(
    "case",
    [c for c in CASES if c.name not in OTHER_SHAPES and len(draw(c, 1)) > 1],
    ids=by_name,
)
def test_shapes_that_disagree_are_refused_when_traced(case):
    outputs = draw(case, 4)
    for name, x in outputs.items():
        for wrong in list(misshapen(x))[: 1 if name in FITS_ANY_SHAPE else 3]:
            with pytest.raises((TypeError, ValueError)) as error:
                trace_update(case.metric, **{**outputs, name: wrong})
            message = str(error.value)
            assert type(error.value) in (TypeError, ValueError)
            assert str(wrong.shape) in message or repr(name) in message, message
            assert "for broadcasting" not in message, message  # an error of jax's own
            assert "Cannot broadcast" not in message, message


IGNORES_MASKS = {"global norm": "a tree has no rows"}


@pytest.mark.parametrize("case", CASES, ids=by_name)
def test_a_mask_with_more_axes_than_the_outputs_is_refused(case):
    outputs = draw(case, 4)
    rank = max(x.ndim for x in outputs.values())
    if case.metric.reads().mask is None or case.name in IGNORES_MASKS:
        return
    mask = np.ones((4,) + (1,) * rank, bool)
    with pytest.raises((TypeError, ValueError)) as error:
        trace_update(case.metric, **outputs, mask=mask)
    message = str(error.value)
    assert "mask" in message and str(mask.shape) in message, message
    assert "for broadcasting" not in message and "concatenate" not in message, message


@pytest.mark.parametrize("number", [np.float32, np.int64, jnp.float32, int])
def test_lists_of_numbers_are_arrays_on_the_host_and_traced(number):
    numbers = [[number(1), number(2)], (number(3), number(6))]
    metrics = jm.Collection(
        mean=jm.Mean("loss"), most=jm.Max("loss"), bad=jm.NonFiniteCount("loss")
    )
    for update in (metrics.update, jax.jit(lambda **o: metrics.update(**o))):
        values = update(loss=numbers, mask=[np.True_, np.False_]).compute()
        assert values == {"mean": 1.5, "most": 2, "bad": 0}


def test_labels_may_be_a_list_of_traced_numbers():
    labels = [jnp.int32(0), jnp.int32(2)]
    state = jax.jit(jm.Accuracy().update)(logits=LOGITS, labels=labels)
    assert state.compute() == 0.5


ANY_INTEGER = {
    "ignore_index": "any label may mark padding",
    "seed": "any number seeds",
    "separator": "any id may separate sentences",
}
FROM_ZERO = {
    "background": "0 is the first class",
    "ddof": "0 is the population",
    "predictors": "0 predictors adjust nothing",
    "word_n": "0 is chrF, without words",
}


def metrics_of(metric):
    """Yield a metric, or those within a wrapper of the core, that users configure."""
    if not type(metric).__module__.startswith("jaxmetrics.core"):
        yield metric
        return
    for child in vars(metric).values():
        if isinstance(child, jm.Collection):
            for _, inside in child.items():
                yield from metrics_of(inside)
        elif isinstance(child, jm.Metric):
            yield from metrics_of(child)


SIZES = {
    (type(metric), name): metric
    for case in reversed(cases.CASES)  # the first row of a metric is its usual form
    for metric in metrics_of(case.metric)
    for name, setting in vars(metric).items()
    if type(setting) is int and name not in ANY_INTEGER
}


def with_setting(metric, name, value):
    settings = {n: x for n, x in vars(metric).items() if n in metric._configuration}
    return type(metric)(**{**settings, name: value})


@pytest.mark.parametrize(
    ("kind", "name"), SIZES, ids=lambda x: x if isinstance(x, str) else x.__name__
)
def test_a_size_below_one_is_refused_at_construction(kind, name):
    for value in (-1,) if name in FROM_ZERO else (0, -1):
        with pytest.raises(ValueError, match=rf"{name}\b.*{value}"):
            with_setting(SIZES[kind, name], name, value)


def test_one_class_is_a_size_as_others_are():
    outputs = dict(logits=np.zeros((4, 1), np.float32), labels=np.zeros(4, np.int32))
    metrics = jm.Collection(
        accuracy=jm.Accuracy(average="macro", classes=1),
        f1=jm.F1(classes=1),
        matrix=jm.ConfusionMatrix(1),
        pixels=jm.MeanIoU(classes=1),
        auroc=jm.AUROC(classes=1, bins=16),
        kappa=jm.CohenKappa(classes=1),
    )
    values = metrics.update(**outputs).compute()
    assert values["matrix"].tolist() == [[4]]
    assert values["accuracy"] == values["f1"] == values["pixels"] == 1
    assert np.isnan(values["auroc"]) and np.isnan(values["kappa"])
