"""Each mistake is a clear error that names the culprit and the remedy.

Of metrics it comes at trace time; of a logger it costs nothing else that was logged.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P
from support.processes import run_python

import jaxmetrics as jm
from jaxmetrics.record import WriterLockedError, read_lines
from jaxmetrics.writers import CSV, JSONL, TensorBoard

LOGITS = np.array([[2.0, 1.0, 0.0], [0.0, 3.0, 1.0]], np.float32)
LABELS = np.array([0, 2], np.int32)


def mesh():
    return Mesh(np.array(jax.devices()), ("data",))


def traced(metric, **outputs):
    """The error must come while tracing, before anything runs."""
    return jax.eval_shape(lambda o: metric.update(**o), outputs)


def test_a_missing_output_names_what_came_and_how_to_rename():
    message = (
        r"Accuracy needs output 'labels'; got \['logits', 'y'\]. "
        r"Rename with Accuracy\(...\).on\(labels=...\)."
    )
    with pytest.raises(TypeError, match=message):
        traced(jm.Accuracy(), logits=LOGITS, y=LABELS)


def test_a_missing_output_in_a_collection_names_the_metric():
    metrics = jm.Collection(loss=jm.Mean("loss"), top=jm.TopKAccuracy(k=2))
    with pytest.raises(TypeError, match="TopKAccuracy needs output 'labels'"):
        traced(metrics, loss=1.0, logits=LOGITS)


@pytest.mark.parametrize("name", ["msk", "masks", "mask_"])
def test_a_misspelt_optional_output_is_refused(name):
    given = {"values": np.ones(3, np.float32), name: np.ones(3, bool)}
    with pytest.raises(TypeError, match=f"{name!r} is read by no metric.*'mask'"):
        traced(jm.Mean(), **given)


def test_an_output_that_resembles_nothing_harms_nobody():
    metric = jm.Mean().update(values=np.ones(3), learning_rate=0.1, task="code")
    assert metric.compute() == 1


def test_weights_that_no_metric_uses_are_refused():
    with pytest.raises(
        TypeError, match="'weights' is used by no metric.*weighted=True"
    ):
        traced(jm.Mean(), values=np.ones(3), weights=np.ones(3))


def test_a_weighted_metric_requires_weights():
    with pytest.raises(TypeError, match="Mean needs output 'weights'"):
        traced(jm.Mean(weighted=True), values=np.ones(3))


def test_weights_serve_those_metrics_of_a_collection_that_are_weighted():
    metrics = jm.Collection(a=jm.Mean(weighted=True), b=jm.Mean())
    values = metrics.update(values=[1.0, 3.0], weights=[3.0, 1.0]).compute()
    assert values == {"a": 1.5, "b": 2.0}


def test_a_float_mask_is_refused():
    with pytest.raises(TypeError, match=r"Mean\(\).*mask is float32.*bool"):
        traced(jm.Mean(), values=np.ones(3), mask=np.ones(3, np.float32))


def test_a_mask_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"mask has shape \(2,\), the values \(3,\)"):
        traced(jm.Mean(), values=np.ones(3, np.float32), mask=np.ones(2, bool))


def test_a_mask_on_a_scalar_output_is_left_alone():
    metric = jm.Mean("loss").update(loss=2.0, mask=np.array([True, False]))
    assert metric.plain() == {"total": 2.0, "count": 1}


def test_float_labels_are_refused():
    with pytest.raises(TypeError, match=r"Accuracy\(\).*labels are integer.*float32"):
        traced(jm.Accuracy(), logits=LOGITS, labels=LABELS.astype(np.float32))


def test_labels_of_another_shape_are_refused():
    with pytest.raises(
        ValueError, match=r"labels have shape \(2, 1\) and logits \(2, 3"
    ):
        traced(jm.Accuracy(), logits=LOGITS, labels=LABELS[:, None])


def test_a_matrix_of_other_classes_is_refused():
    with pytest.raises(ValueError, match="last axis is not the 4 classes"):
        traced(jm.ConfusionMatrix(4), logits=LOGITS, labels=LABELS)


@pytest.mark.parametrize("value", ["three", None, object(), np.array(["a"]), 1j])
def test_an_output_that_is_no_number_is_refused(value):
    with pytest.raises(TypeError, match="Output 'values'|needs output 'values'"):
        jm.Mean().update(values=value)


def test_an_integer_beyond_32_bits_is_refused_not_cut():
    with pytest.raises(ValueError, match="'values' has integers beyond 32 bits"):
        jm.Sum().update(values=2**40)


def test_other_configurations_do_not_merge():
    with pytest.raises(
        TypeError, match=r"TopKAccuracy\(k=2\) with TopKAccuracy\(k=3\)"
    ):
        jm.TopKAccuracy(k=2).merge(jm.TopKAccuracy(k=3))


def test_other_classes_do_not_merge():
    with pytest.raises(TypeError, match=r"Cannot merge Mean\(\) with Sum\(\)"):
        jm.Mean().merge(jm.Sum())


def test_other_collections_do_not_merge():
    with pytest.raises(TypeError, match="Cannot merge Collection.*with Collection"):
        jm.Collection(a=jm.Mean()).merge(jm.Collection(b=jm.Mean()))


def test_a_metric_does_not_merge_with_a_number():
    with pytest.raises(TypeError, match=r"Cannot merge Mean\(\) with 3"):
        jm.Mean().merge(3)


def test_a_batch_that_the_mesh_does_not_divide_is_refused():
    metric = jm.Mean().deferred(mesh())
    message = r"'values' of shape \(12,\) is not divided by the 8 shards.*Pad the batch"
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(lambda m: m.update(values=jnp.ones(12)), metric)


def test_an_axis_that_the_mesh_has_not_is_refused():
    with pytest.raises(ValueError, match=r"axis 'dta' is not in the mesh.*\('data',\)"):
        jm.Mean().deferred(mesh(), "dta")


def test_a_named_partition_of_an_output_nobody_reads_is_refused():
    with pytest.raises(TypeError, match="no metric reads output 'los'"):
        jm.Mean("loss").deferred(mesh(), "data", los=P("data"))


def test_reduce_outside_a_mapped_function_is_refused():
    with pytest.raises(ValueError, match="axis 'data' is not bound here.*shard_map"):
        jax.jit(lambda m: m.reduce("data"))(jm.Mean())


def test_deferred_metrics_refuse_pmap():
    metric = jm.Mean().deferred(mesh())
    with pytest.raises(ValueError, match="pmap"):
        jax.pmap(lambda x: metric.update(values=x), axis_name="batch")(np.ones((8, 4)))


def test_other_deferred_states_do_not_merge():
    one, other = jm.Mean().deferred(mesh()), jm.Sum().deferred(mesh())
    with pytest.raises(TypeError, match="Cannot merge Deferred"):
        one.merge(other)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: jm.TopKAccuracy(k=0), "k is at least 1, got 0"),
        (lambda: jm.TopKAccuracy(k=True), "k is declared int, got True"),
        (lambda: jm.TopKAccuracy(k=np.int64(3)), "k is a int64.*Convert with int"),
        (lambda: jm.Mean("loss", weighted=1), "weighted is True or False, got 1"),
        (lambda: jm.Accuracy(task="binray"), "task is one of"),
        (lambda: jm.Accuracy(average="macro"), "needs the number of classes"),
        (lambda: jm.Accuracy(average="weighted"), "average is one of"),
        (lambda: jm.Accuracy(task="binary", threshold=1.5), "between 0 and 1"),
        (lambda: jm.ConfusionMatrix(), "needs the number of classes"),
        (lambda: jm.CrossEntropy(label_smoothing=1.0), r"\[0, 1\)"),
        (lambda: jm.Variance(ddof=1, weighted=True), "ddof=0"),
        (lambda: jm.Accuracy(ignore_index=[1]), "is a list.*tuple"),
        (lambda: jm.Accuracy().on(logit="x"), r"observes \['labels', 'logits'"),
        (lambda: jm.Mean().replace(sum=1), "has no leaf 'sum'"),
        (lambda: jm.Mean().replace(count=-1), "never negative"),
        (lambda: jm.Mean().replace(count=0.5), "takes integers"),
        (lambda: jm.ConfusionMatrix(3).replace(counts=[1, 2]), "declared \\(3, 3\\)"),
        (lambda: jm.Collection(loss=3), "loss is a int, not a metric"),
        (lambda: jm.Collection(a=jm.Mean())["b"], "No metric 'b' here.*'a'"),
    ],
)
def test_bad_configuration_is_refused_at_construction(make, message):
    with pytest.raises((TypeError, ValueError, KeyError), match=message):
        make()


def test_labels_out_of_range_and_logits_that_are_not_finite_are_counted_apart():
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
        seen = metric.update(logits=logits, labels=labels)
        assert seen.plain()["invalid"] == 3, metric
        assert np.isfinite(np.sum(seen.compute())), metric
    assert jm.evaluate(jm.Accuracy(), logits=logits, labels=labels) == 1
    matrix = jm.evaluate(jm.ConfusionMatrix(3), logits=logits, labels=labels)
    assert matrix.sum() == matrix[0, 0] == 1


# A logger


@pytest.fixture
def logger(tmp_path):
    writers = [JSONL(), CSV(), TensorBoard()]
    with jm.TrainingLogger("p", "run", root=tmp_path, writers=writers) as logger:
        yield logger


def recorded(logger):
    """The rows of a run, and the rows that each writer wrote."""
    logger.close()
    rows, _ = read_lines(logger.run_dir / "metrics.jsonl")
    events, _ = read_lines(logger.run_dir / "events.jsonl")
    written = {name: n["written"] for name, n in events[-1]["writers"].items()}
    return [dict(list(row.items())[3:]) for row in rows[1:]], written


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({3: 1.0}, "name of type int; a str was expected"),
        ({None: 1.0}, "name of type NoneType"),
        ({("a", "b"): 1.0}, "name of type tuple"),
        ({b"loss": 1.0}, "name of type bytes"),
        ({"": 1.0}, "of 0 characters"),
        ({"a//b": 1.0}, "empty part"),
        ({"bad": "three"}, "'bad'.*is not a number"),
        ({"bad": None}, "'bad'.*is not a number"),
        ({"bad": object()}, "'bad'.*is not a number"),
        ({"bad": [1.0, 2.0]}, "'bad'.*is not a number"),
        ({"bad": np.ones(3)}, "'bad'.*is not a number"),
        ({"bad": 1j}, "'bad'.*is not a number"),
        ({"bad": np.datetime64("2026-01-01")}, "'bad'.*is not a number"),
        ({"bad": jnp.ones(3)}, "'bad'.*is not a number"),
    ],
)
def test_a_key_or_value_that_is_none_costs_nothing_else(logger, values, message):
    with pytest.raises((TypeError, ValueError), match=message):
        logger.log_step(1, {"before": 1.0, **values, "after": 2.0}, loss=0.5)
    logger.log_step(2, loss=0.25)
    rows, written = recorded(logger)
    assert rows == [
        {"train/before": 1.0, "train/after": 2.0, "train/loss": 0.5},
        {"train/loss": 0.25},
    ]
    assert set(written.values()) == {2}


def test_ten_thousand_keys_are_a_row_in_every_writer(logger):
    values = {f"k{n}": n / 3 for n in range(10_000)}
    logger.log_step(1, values)
    logger.log_step(2, loss=0.5)
    rows, written = recorded(logger)
    assert list(rows[0].values()) == list(values.values())
    assert set(written.values()) == {2}


def test_of_more_keys_the_others_are_counted_and_named(logger, caplog):
    logger.log_step(1, {f"k{n}": float(n) for n in range(10_002)})
    rows, written = recorded(logger)
    assert len(rows[0]) == 10_000
    assert set(written.values()) == {1}
    assert "train/k10000 is the first value to be cut or left out" in caplog.text


def test_a_second_writer_is_refused_and_the_first_goes_on(logger, tmp_path):
    logger.log_step(1, loss=0.5)
    with pytest.raises(WriterLockedError, match="this process.*another run_name"):
        jm.TrainingLogger("p", "run", root=tmp_path, writers=[JSONL()])
    logger.log_step(2, loss=0.25)
    rows, written = recorded(logger)
    assert len(rows) == 2
    assert set(written.values()) == {2}


UNPRIVILEGED = """
import email.parser, importlib.metadata, os
from pathlib import Path
import google_crc32c, tensorboardX.proto.event_pb2, tensorboardX.summary
from jaxmetrics import TrainingLogger
from jaxmetrics.writers import CSV, JSONL, TensorBoard

TrainingLogger("p", "q", root="warm", writers=[]).close()  # all is imported now
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
root = Path("root")
for name in ("run", None):
    before = sorted(root.rglob("*"))
    try:
        writers = [JSONL(), CSV(), TensorBoard()]
        logger = TrainingLogger("p", name, root=root, writers=writers)
    except PermissionError as error:
        assert "not allowed. Choose another root" in str(error), error
        assert sorted(root.rglob("*")) == before
        print("refused")
    else:
        logger.log_step(1, loss=0.5)
        print(logger.close())
"""


@pytest.mark.parametrize("where", ["root", "root/p", "root/p/run"])
@pytest.mark.parametrize(("mode", "said"), [(0o555, "refused"), (0o777, "True")])
def test_a_folder_that_cannot_be_written_is_refused_before_the_first_step(
    tmp_path, where, mode, said
):
    (tmp_path / where).mkdir(parents=True)
    tmp_path.chmod(0o755)
    (tmp_path / where).chmod(mode)
    done = run_python(UNPRIVILEGED, cwd=tmp_path)
    (tmp_path / where).chmod(0o755)
    # A run that is named by its time is made beside the one that can be written.
    other = "refused" if where == "root/p/run" else said
    assert done.stdout.split() == [said, other], done.stderr
