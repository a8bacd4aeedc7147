"""Mistakes with a logger raise with the culprit and the remedy; the rest is logged."""

import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.processes import run_python

import jaxmetrics as jm
from jaxmetrics.record import read_lines
from jaxmetrics.writers import CSV, TensorBoard


@pytest.fixture
def logger(tmp_path):
    writers = [CSV(), TensorBoard()]
    options = {"root": tmp_path, "writers": writers, "console": False}
    with jm.TrainingLogger("p", "run", **options) as logger:
        yield logger


def recorded(logger):
    """Close; return the values of all rows, and the number of rows per writer."""
    logger.close()
    rows, _ = read_lines(logger.run_dir / "metrics.jsonl")
    events, _ = read_lines(logger.run_dir / "events.jsonl")
    written = {name: n["written"] for name, n in events[-1]["writers"].items()}
    return [dict(list(row.items())[3:]) for row in rows[1:]], written


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({3: 1.0}, "name 3 of type int, expected a str"),
        ({None: 1.0}, "name None of type NoneType"),
        ({("a", "b"): 1.0}, "name .'a', 'b'. of type tuple"),
        ({b"loss": 1.0}, "name b'loss' of type bytes"),
        ({"": 1.0}, "of 0 characters"),
        ({"a//b": 1.0}, "empty part"),
        ({"bad": "three"}, "'bad'.*is not a number. Log it with log_text"),
        ({"bad": object()}, "'bad'.*is not a number"),
        ({"bad": [1.0, 2.0]}, "'bad'.*is not a number"),
        ({"bad": np.ones((2, 2, 2))}, "'bad'.*is not a number"),
        ({"bad": 1j}, "'bad'.*is not a number"),
        ({"bad": np.datetime64("2026-01-01")}, "'bad'.*is not a number"),
        ({"bad": jnp.ones(3)}, "'bad'.*is not a number"),
    ],
)
def test_an_invalid_key_or_value_is_refused_and_the_others_are_logged(
    logger, values, message
):
    with pytest.raises((TypeError, ValueError), match=message):
        logger.log_step(1, {"before": 1.0, **values, "after": 2.0}, loss=0.5)
    logger.log_step(2, loss=0.25)
    rows, written = recorded(logger)
    assert rows == [
        {"train/before": 1.0, "train/after": 2.0, "train/loss": 0.5},
        {"train/loss": 0.25},
    ]
    assert set(written.values()) == {2}


def test_every_writer_takes_a_row_of_ten_thousand_keys(logger):
    values = {f"k{n}": n / 3 for n in range(10_000)}
    logger.log_step(1, values)
    logger.log_step(2, loss=0.5)
    rows, written = recorded(logger)
    assert list(rows[0].values()) == list(values.values())
    assert set(written.values()) == {2}


def test_keys_beyond_ten_thousand_are_counted_and_named(logger, caplog):
    logger.log_step(1, {f"k{n}": float(n) for n in range(10_002)})
    rows, written = recorded(logger)
    assert len(rows[0]) == 10_000
    assert set(written.values()) == {1}
    assert "train/k10000 is the first value to be cut or left out" in caplog.text


@pytest.mark.parametrize(
    ("step", "error", "message"),
    [
        (-1, ValueError, "step -1"),
        (2**63, ValueError, r"step 9223372036854775808, expected less than 2\*\*63"),
        (10**30, ValueError, r"expected less than 2\*\*63"),
        (1.0, TypeError, "step of type float"),
        ("1", TypeError, "step of type str"),
        (True, TypeError, "step of type bool"),
        (jnp.int32(1), TypeError, r"int\(step\)"),
    ],
)
def test_a_step_that_is_no_count_is_refused_and_changes_nothing(
    logger, step, error, message
):
    with pytest.raises(error, match=message):
        logger.log_step(step, loss=1.0)
    logger.log_step(loss=0.5)
    logger.log_step(np.uint32(7), loss=0.25)
    assert logger.state()["last_steps"] == {"train": 7}
    rows, written = recorded(logger)
    assert rows == [{"train/loss": 0.5}, {"train/loss": 0.25}]
    assert set(written.values()) == {2}


def test_the_largest_step_is_read_back(logger):
    logger.log_step(2**63 - 1, loss=0.5)
    logger.close()
    assert jm.Run.load(logger.run_dir).steps.tolist() == [2**63 - 1]


UNPRIVILEGED = """
import email.parser, importlib.metadata, os
from pathlib import Path
import google_crc32c, tensorboardX.proto.event_pb2, tensorboardX.summary
from jaxmetrics import TrainingLogger
from jaxmetrics.writers import CSV, TensorBoard

TrainingLogger("p", "q", root="warm").close()  # imports everything
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
root = Path("root")
for name in ("run", None):
    before = sorted(root.rglob("*"))
    try:
        writers = [CSV(), TensorBoard()]
        logger = TrainingLogger("p", name, root=root, writers=writers, console=False)
    except PermissionError as error:
        assert "not allowed. Choose another folder" in str(error), error
        assert sorted(root.rglob("*")) == before
        print("refused")
    else:
        logger.log_step(1, loss=0.5)
        print(logger.close())
"""


@pytest.mark.parametrize("where", ["root", "root/p", "root/p/run"])
@pytest.mark.parametrize(("mode", "printed"), [(0o555, "refused"), (0o777, "True")])
def test_a_folder_that_cannot_be_written_is_refused_before_the_first_step(
    where, mode, printed
):
    # Not `tmp_path`, whose parents another user may not enter.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / where).mkdir(parents=True)
        folder.chmod(0o755)
        (folder / where).chmod(mode)
        done = run_python(UNPRIVILEGED, cwd=folder)
        (folder / where).chmod(0o755)
    # A run named by its start gets a folder beside the one whose mode was changed.
    unnamed = "refused" if where == "root/p/run" else printed
    assert done.stdout.split() == [printed, unnamed], done.stderr


def test_a_metric_or_an_array_as_a_value_leads_to_the_second_argument(logger):
    confusion = jm.ConfusionMatrix(classes=2).update(logits=np.eye(2), labels=[0, 1])
    for value in (jm.Mean("x"), jm.Collection(a=jm.Mean("x"))):
        with pytest.raises(TypeError, match=r"a metric.*log_step\(step, jm.Collection"):
            logger.log_step(1, accuracy=value)
    values = {"confusion": confusion.compute()}
    with pytest.raises(TypeError, match=r"log_step\(step, metrics\), or as a mapping"):
        logger.log_step(2, **values, split="val")
    logger.log_step(2, values, split="val")
    rows, _ = recorded(logger)
    assert rows == [{"val/confusion": [[1, 0], [0, 1]]}]


def test_a_stack_of_states_is_refused_and_its_total_logged(logger):
    stack = jax.vmap(lambda x: jm.Mean("x").update(x=x))(jnp.arange(8.0).reshape(4, 2))
    metrics = jax.vmap(lambda x: jm.Collection(f1=jm.F1(classes=2), n=jm.Count("x")))
    for states in (stack, metrics(jnp.arange(4.0))):
        for step in (1, 2):
            with pytest.raises(ValueError, match=r"a stack of states, of shape \(4,\)"):
                logger.log_step(step, states)
    logger.log_step(3, stack.reduce())
    logger.log_step(4, {f"x/{i}": x for i, x in enumerate(stack.compute())})
    rows, _ = recorded(logger)
    assert rows[0] == {"train/x": 3.5}
    assert [*rows[1].values()] == [0.5, 2.5, 4.5, 6.5]


def test_a_full_buffer_leaves_out_one_value_and_names_it(logger):
    area = jm.AUROC(exact=True, capacity=4)
    metrics = jm.Collection(area=area, count=jm.Count("labels"))
    metrics = metrics.update(logits=np.arange(8.0), labels=np.arange(8) % 2)
    logger.log_step(1, metrics, loss=1.0)
    message = "'train/area' .*a buffer of capacity 4 saw 8 rows.*Use a larger capacity"
    with pytest.raises(RuntimeError, match=message) as error:
        logger.log_step(2, loss=2.0) or logger.flush()
    assert "its devices" not in str(error.value)
    rows, _ = recorded(logger)
    assert rows[0] == {"train/count": 8, "train/loss": 1.0}
