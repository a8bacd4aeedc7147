"""Values of `log_step` calls: which are scalars, and when a wrong one is refused."""

import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.loggers import rows

import jaxmetrics as jm


def test_every_kind_of_scalar_is_a_number(make_logger):
    logger = make_logger()
    values = {
        "python": 1.5,
        "count": 2**62,
        "numpy": np.float32(0.1),
        "rank_0": np.array(3),
        "device": jnp.float32(0.1),
        "narrow": jnp.bfloat16(1.5),
        "flag": jnp.array(True),
    }
    logger.log_step(1, values)
    logger.close()
    (row,) = rows(logger)
    assert [row[f"train/{name}"] for name in values] == [
        1.5,
        2**62,
        0.10000000149011612,
        3,
        0.10000000149011612,
        1.5,
        1,
    ]


def test_an_array_is_read_when_it_is_logged(make_logger):
    logger = make_logger()
    value = np.array(1.0)
    logger.log_step(1, value=value)
    value[...] = 2.0
    logger.close()
    assert rows(logger)[0]["train/value"] == 1.0


def test_nonfinite_values_are_strict_json(make_logger):
    logger = make_logger()
    logger.log_step(1, a=math.nan, b=jnp.inf, c=-math.inf)
    logger.close()
    text = (logger.run_dir / "metrics.jsonl").read_text()
    row = json.loads(text.splitlines()[1], parse_constant=pytest.fail)
    assert [row["train/a"], row["train/b"], row["train/c"]] == [
        "NaN",
        "Infinity",
        "-Infinity",
    ]


@pytest.mark.parametrize(
    "value", ["text", None, 1j, np.zeros(2), jnp.zeros(1), [1.0], [[1], [1, 2]]]
)
def test_a_value_that_is_not_a_number_is_refused_and_the_others_are_logged(
    make_logger, value
):
    logger = make_logger()
    with pytest.raises(TypeError, match="'bad'.*metrics="):
        logger.log_step(1, {"first": 1.0}, bad=value, last=2.0)
    logger.close()
    (row,) = rows(logger)
    assert row["train/first"] == 1.0
    assert row["train/last"] == 2.0
    assert "train/bad" not in row


def test_a_value_within_jit_is_refused(make_logger):
    logger = make_logger()

    @jax.jit
    def step(x):
        logger.log_step(1, loss=x)
        return x

    with pytest.raises(TypeError, match="'loss'.*within jit"):
        step(1.0)


def test_a_deleted_value_is_refused_and_the_others_are_logged(make_logger):
    logger = make_logger()
    gone = jnp.float32(1.0) + 1
    gone.delete()
    with pytest.raises(RuntimeError, match="'loss'.*deleted"):
        logger.log_step(1, loss=gone, accuracy=0.5)
    logger.close()
    assert rows(logger)[0]["train/accuracy"] == 0.5


def test_a_collection_is_reduced_and_its_values_are_named(make_logger):
    metrics = jm.Collection(loss=jm.Mean("loss"), worst=jm.Max("loss"))
    metrics = metrics.update(loss=jnp.array([1.0, 3.0]))
    logger = make_logger()
    logger.log_step(1, metrics, lr=0.1)
    logger.log_step(1, metrics, split="val")
    logger.close()
    train, val = rows(logger)
    assert (train["train/loss"], train["train/worst"], train["lr/lr"]) == (2, 3, 0.1)
    assert (val["val/loss"], val["val/worst"]) == (2, 3)


def test_a_single_metric_and_a_deferred_collection_are_logged(make_logger):
    logger = make_logger()
    mesh = jax.make_mesh((jax.device_count(),), ("data",))
    shards = jm.Collection(loss=jm.Mean("loss")).deferred(mesh)
    batch = jax.device_put(
        np.arange(16.0, dtype=np.float32),
        jax.NamedSharding(mesh, jax.sharding.PartitionSpec("data")),
    )
    shards = jax.jit(lambda m, x: m.update(loss=x))(shards, batch)
    logger.log_step(1, shards)
    logger.log_step(2, jm.Mean("loss").update(loss=jnp.array([1.0, 2.0])))
    logger.close()
    assert [row["train/loss"] for row in rows(logger)] == [7.5, 1.5]


def test_metrics_of_another_type_are_refused(make_logger):
    with pytest.raises(TypeError, match="list.*Collection"):
        make_logger().log_step(1, [1.0])
