"""Values and names of `log_step` calls: which are recorded, and under which key."""

import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.loggers import rows

import jaxmetrics as jm
from jaxmetrics import record

FIELDS = ("step", "split", "time")


@pytest.fixture
def logged(make_logger):
    """Return a function that logs one call in a run, and returns its record."""

    def log(*arguments, **named):
        number = len(made)
        made.append(make_logger(f"run{number}"))
        made[-1].log_step(1, *arguments, **named)
        made[-1].close()
        (row,) = rows(made[-1])
        return row.pop("split"), {k: v for k, v in row.items() if k not in FIELDS}

    made = []
    return log


def test_every_kind_of_scalar_is_a_number(logged):
    values = {
        "python": 1.5,
        "count": 2**62,
        "numpy": np.float32(0.1),
        "rank_0": np.array(3),
        "device": jnp.float32(0.1),
        "narrow": jnp.bfloat16(1.5),
        "flag": jnp.array(True),
        "one_element": jnp.full((1, 1), 2.5),
        "one_of_numpy": np.array([7]),
    }
    _, row = logged(values)
    assert list(row.values()) == [
        1.5,
        2**62,
        0.10000000149011612,
        3,
        0.10000000149011612,
        1.5,
        1,
        2.5,
        7,
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


def test_none_is_an_unknown_value_and_is_left_out(make_logger):
    logger = make_logger()
    for step, loss in enumerate((None, 1.0, None, jnp.float32(2.0))):
        logger.log_step(step, loss=loss, tokens=None, accuracy=0.5)
    logger.log_step(9, loss=None)
    logger.close()
    assert [row.get("train/loss") for row in rows(logger)] == [None, 1.0, None, 2.0]
    assert {row["train/accuracy"] for row in rows(logger)} == {0.5}


def test_nested_mappings_are_names_with_slashes(logged):
    values = {"a": {"b": 1.0, "c": {"d": jnp.float32(2.0)}, "e": {}}, "f": 3.0}
    expected = {"train/a/b": 1.0, "train/a/c/d": 2.0, "train/f": 3.0}
    assert logged(values, split="train") == ("train", expected)


@pytest.mark.parametrize(
    ("call", "split", "keys"),
    [
        # A name with a slash is kept in a call without split= only.
        ({"metrics": {"opt/beta": 1.0}}, "train", ["opt/beta"]),
        ({"metrics": {"opt": {"beta": 1.0}}}, "train", ["opt/beta"]),
        ({"metrics": {"opt/beta": 1.0}, "split": "train"}, "train", ["train/opt/beta"]),
        ({"metrics": {"opt/beta": 1.0}, "split": "val"}, "val", ["val/opt/beta"]),
        # Names that all begin with one split of an evaluation choose the split.
        ({"metrics": {"val/loss": 1.0, "val/acc": 2.0}}, "val", ["val/loss"]),
        ({"metrics": {"test": {"loss": 1.0}}, "tokens": 5}, "test", ["test/loss"]),
        ({"metrics": {"val/loss": 1.0, "loss": 2.0}}, "train", ["val/loss"]),
        ({"metrics": {"val/loss": 1.0, "test/loss": 2.0}}, "train", ["val/loss"]),
        ({"metrics": {"val/loss": 1.0}, "split": "train"}, "train", ["train/val/loss"]),
        # Aliases and reserved prefixes are the same keys in every split.
        ({"lr": 1.0, "split": "val"}, "val", ["lr/lr"]),
        ({"metrics": {"perf/mfu": 1.0}, "split": "val"}, "val", ["perf/mfu"]),
        # No name is changed without a split.
        ({"loss": 1.0, "lr": 2.0, "split": None}, "train", ["loss", "lr"]),
        ({"metrics": {"a/b": 1.0}, "split": None}, "train", ["a/b"]),
    ],
    ids=str,
)
def test_the_key_of_a_name_and_the_split_of_its_record(logged, call, split, keys):
    recorded, row = logged(**call)
    assert recorded == split
    assert list(row)[: len(keys)] == keys or row.keys() >= set(keys)


def test_an_inferred_split_is_also_that_of_the_guard_and_of_later_calls(make_logger):
    logger = make_logger()
    for step in (5, 3):
        logger.log_step(step, {"val/loss": 1.0})
    logger.log_step(4, {"val/loss": 1.0, "loss": 2.0})
    logger.close()
    assert [row["split"] for row in rows(logger)] == ["val", "val", "train"]
    assert make_logger().state()["last_steps"] == {"val": 5, "train": 4}


def test_values_of_a_metric_never_choose_the_split_nor_keep_their_slash(logged):
    metrics = jm.Collection(**{"val/loss": jm.Mean("loss")})
    metrics = metrics.update(loss=jnp.array([1.0, 3.0]))
    assert logged(metrics) == ("train", {"train/val/loss": 2.0})
    assert logged(metrics, split="val") == ("val", {"val/loss": 2.0})
    assert logged(metrics, split=None) == ("train", {"val/loss": 2.0})


@pytest.mark.parametrize(
    ("first", "second", "warns"),
    [
        (0.5, 0.5, False),
        (math.nan, math.nan, False),
        (0.5, 0.25, True),
        (jnp.float32(0.5), 0.25, True),
    ],
)
def test_two_names_of_one_key_are_one_value(make_logger, caplog, first, second, warns):
    logger = make_logger()
    for step in range(3):
        logger.log_step(step, lr=first, learning_rate=second)
        logger.log_step(step, {"a/b": first, "a": {"b": second}})
    logger.close()
    recorded = [float(row.get("lr/lr", row.get("a/b"))) for row in rows(logger)]
    np.testing.assert_array_equal(recorded, [second] * 6)
    assert caplog.text.count("'a/b' and 'a/b'") == warns
    assert caplog.text.count("'lr' and 'learning_rate'") == warns


@pytest.mark.parametrize(
    "value", ["text", 1j, np.zeros(2), jnp.zeros(2), np.zeros(0), [1.0], [[1], [1, 2]]]
)
def test_a_value_that_is_not_a_number_is_refused_and_the_others_are_logged(
    make_logger, value
):
    logger = make_logger()
    advice = r"log_text\(\)" if isinstance(value, str) else "such as the mean"
    if isinstance(value, complex):
        advice = "after the compiled step"
    with pytest.raises(TypeError, match=f"'bad'.*{advice}"):
        logger.log_step(1, {"first": 1.0}, bad=value, last=2.0)
    logger.close()
    (row,) = rows(logger)
    assert row["train/first"] == 1.0
    assert row["train/last"] == 2.0
    assert "train/bad" not in row


@pytest.mark.parametrize("name", ["tokens", "samples"])
@pytest.mark.parametrize(
    ("how", "split"),
    [
        (lambda log, **v: log({"val/loss": 2.0}, **v), "val"),
        (lambda log, **v: log({"val/loss": 2.0, **v}), "val"),
        (lambda log, **v: log({"test_loss": 2.0, **v}, split=None), "test"),
        (lambda log, **v: log(v, split="val"), "val"),
        (
            lambda log, **v: log(jm.Max("loss").update(loss=2.0), split="val", **v),
            "val",
        ),
        (lambda log, **v: log(split="val_code", **v), "val_code"),
    ],
)
def test_counts_are_fields_in_train_and_values_in_other_splits(
    logged, name, how, split
):
    recorded, row = how(logged, **{name: 7})
    assert recorded == split
    assert row[f"{split}/{name}"] == 7 and name not in row
    assert logged({"loss": 1.0}, **{name: 9}) == ("train", {name: 9, "train/loss": 1.0})
    assert logged(**{name: 9}, split=None) == ("train", {name: 9})


def test_the_counts_of_splits_hide_no_other(make_logger):
    logger = make_logger()
    logger.log_step(50, loss=3.0, tokens=5120, samples=10)
    logger.log_step(50, loss=3.1, tokens=2464, split="val")
    expected = {"tokens": 5120, "samples": 10, "val/tokens": 2464}
    assert expected.items() <= logger.latest().items()
    logger.close()
    run = jm.Run.load(logger.run_dir)
    assert run.conflicts == {}
    assert {key: run[key][1].tolist() for key in expected} == {
        key: [value] for key, value in expected.items()
    }


def test_what_metrics_compute_is_the_same_record_as_the_metrics(logged):
    metrics = jm.Collection(
        loss=jm.Mean("loss"),
        by_position=jm.LossByPosition(positions=3),
        confusion=jm.ConfusionMatrix(classes=5),
        recall=jm.Classwise(jm.Recall(classes=5, average="none"), names=tuple("abcde")),
        domain=jm.ByGroup(jm.Mean("loss"), by="domain", groups=("code", "prose")),
        tokens=jm.Count("labels"),
    )
    rng = np.random.default_rng(0)

    def step(state, metrics, batch):
        return metrics.update(
            logits=batch["logits"],
            labels=batch["labels"],
            loss=batch["loss"],
            domain=batch["domain"],
            mask=batch["mask"],
        )

    batch = {
        "logits": rng.normal(size=(6, 3, 5)).astype(np.float32),
        "labels": rng.integers(0, 5, (6, 3)),
        "loss": rng.normal(size=6).astype(np.float32),
        "domain": np.array([0, 1, 1, 0, 1, 1]),
    }
    of_state = jm.evaluate_loop(step, None, [batch], metrics, compute=False)
    values = jm.evaluate_loop(step, None, [batch], metrics)
    _, row = by_state = logged(of_state, split="val")
    assert logged(values, split="val") == by_state
    assert row["val/by_position"] == values["by_position"].tolist()
    assert row["val/confusion"] == values["confusion"].tolist()


@pytest.mark.parametrize(
    "value", [np.zeros((1, 2, 3)), np.array(["a", "b"]), np.zeros(2) * 1j, jnp.zeros(2)]
)
def test_a_mapping_has_no_other_arrays(make_logger, value):
    logger = make_logger()
    with pytest.raises(TypeError, match="'bad'.*NumPy arrays of rank 1 or 2"):
        logger.log_step(1, {"first": 1.0, "bad": value})
    logger.close()
    assert "train/bad" not in rows(logger)[0]


def test_an_array_in_a_mapping_is_read_when_it_is_logged(make_logger):
    logger = make_logger()
    values = np.arange(3.0)
    logger.log_step(1, {"x": {"y": values}})
    values[:] = -1
    logger.close()
    assert rows(logger)[0]["x/y"] == [0.0, 1.0, 2.0]


@pytest.mark.parametrize("name", ["tokens", "samples"])
def test_a_count_is_no_array(make_logger, name):
    logger = make_logger()
    for step in (1, 2):
        with pytest.raises(TypeError, match=f"'{name}'.*not a number"):
            logger.log_step(step, {name: np.zeros((2, 3)), "loss": 1.0})
    assert logger.latest() == {"train/loss": 1.0}
    logger.log_step(2, {name: np.zeros(3)}, split="val")
    assert logger.close()
    lines = rows(logger)
    assert [row.get("train/loss") for row in lines] == [1.0, 1.0, None]
    assert lines[2][f"val/{name}"] == [0.0] * 3


@pytest.mark.parametrize("count", [math.nan, math.inf, jnp.float32(math.nan)])
def test_a_count_that_is_no_count_loses_nothing_else(make_logger, count):
    logger = make_logger()
    logger.log_step(1, loss=1.0, tokens=count, samples=2)
    with pytest.raises(RuntimeError, match="'tokens'.*step 1"):
        logger.flush()
    (row,) = rows(logger)
    assert (row["train/loss"], row["samples"]) == (1.0, 2)
    assert "tokens" not in row


@pytest.mark.parametrize("split", ["", "a/b", "a\nb", 3, ["val"]])
def test_what_is_not_the_name_of_a_split_is_refused(make_logger, split):
    with pytest.raises((TypeError, ValueError), match="split"):
        make_logger().log_step(1, split=split, loss=1.0)


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


@pytest.mark.parametrize("metrics", [[1.0], 3.0, jm.Mean], ids=str)
def test_metrics_of_another_type_are_refused_and_the_values_logged(
    make_logger, metrics
):
    logger = make_logger()
    with pytest.raises(TypeError, match="Collection or a mapping"):
        logger.log_step(1, metrics, loss=1.0)
    logger.close()
    assert rows(logger)[0]["train/loss"] == 1.0


def test_a_metric_with_a_child_named_metrics_is_logged_as_itself(logged):
    class Percent(jm.Metric):
        metrics: jm.Metric = jm.Mean("loss")
        count: jm.Array = jm.count_leaf()

        def observe(self, *, loss, mask=None):
            return dict(count=jm.count_elements(loss, mask))

        def compute(self):
            return 100 * self.metrics.compute()

    metric = Percent().update(loss=np.float32([0.25, 0.75]))
    assert logged(metric) == ("train", {"train/percent": 50.0})


CALLS_WITHOUT_SPLIT = {
    "values": lambda logger, name, **more: logger.log_step(
        1, **{name: 1.0}, lr=2.0, **more
    ),
    "mapping": lambda logger, name, **more: logger.log_step(1, {name: 1.0}, **more),
    "collection": lambda logger, name, **more: logger.log_step(
        1, jm.Collection({name: jm.Mean("x")}).update(x=1.0), **more
    ),
    "deferred": lambda logger, name, **more: logger.log_step(
        1, jm.Collection({name: jm.Mean("x")}).deferred(MESH), **more
    ),
    "text": lambda logger, name, **more: logger.log_text(1, {name: "a"}, **more),
}
MESH = jax.sharding.Mesh(np.array(jax.devices()[:1]), ("data",))


@pytest.mark.parametrize("split", record.EVALUATION_SPLITS)
@pytest.mark.parametrize("way", CALLS_WITHOUT_SPLIT)
def test_a_name_of_an_evaluation_without_its_split_is_named_once(
    make_logger, caplog, way, split
):
    log, name = CALLS_WITHOUT_SPLIT[way], f"{split}_loss"
    logger = make_logger()
    log(logger, name)
    log(logger, name)
    (warning,) = caplog.messages
    assert f"{name!r} without split=" in warning
    assert f"'train/{name}'" in warning
    assert f"Pass split={split!r}" in warning and f"'{split}/loss'" in warning


@pytest.mark.parametrize("split", [None, "train", "val"])
@pytest.mark.parametrize("way", CALLS_WITHOUT_SPLIT)
def test_a_split_that_is_given_is_meant(make_logger, caplog, way, split):
    CALLS_WITHOUT_SPLIT[way](make_logger(), "val_loss", split=split)
    assert not caplog.messages


def test_keys_of_other_splits_are_nothing_to_warn_of(logged, caplog):
    split, row = logged(loss=1.0, **{"val/loss": 2.0, "val_books/loss": 3.0})
    assert split == "train"
    assert row == {"train/loss": 1.0, "val/loss": 2.0, "val_books/loss": 3.0}
    assert logged(value=1.0, test=2.0, valid=3.0)[0] == "train"
    assert not caplog.messages
