"""Totals have keys, survive restarts, and can be shared by threads."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import orbax.checkpoint as ocp
import pytest
from support.aggregator import COUNT, DISTRIBUTION, MAX, MEAN, NAN, SUM, results

import jaxmetrics as jm
from jaxmetrics import checkpoint
from jaxmetrics.record import pack, unpack


def test_a_metric_named_like_the_average_of_a_sum_replaces_it():
    aggregator = jm.MetricsAggregator()
    aggregator.update("d", SUM, x=[1, 2])
    assert results(aggregator) == {"x": 3.0, "avg_x": 1.5}
    aggregator.update("d", MEAN, avg_x=[7.0])
    assert results(aggregator) == {"x": 3.0, "avg_x": 7.0}


def test_two_metrics_with_one_key_are_an_error():
    aggregator = jm.MetricsAggregator()
    aggregator.update("d", MAX, x=[1], val_x=[2])
    assert results(aggregator) == {"x": 1.0, "val_x": 2.0}
    with pytest.raises(ValueError, match="'val_d/x'"):
        aggregator.get_metrics_for_logging("val")


def filled(seed, registers=True):
    aggregator = jm.MetricsAggregator()
    if registers:
        aggregator.register_handler("spread", jm.Std)
    rng = np.random.default_rng(seed)
    aggregator.update("d", SUM, tokens=rng.integers(0, 100, 50), cost=rng.random(50))
    aggregator.update("d", MEAN, loss=rng.random(50), weights=rng.random(50))
    aggregator.update("d", DISTRIBUTION, few=rng.random(50), many=rng.random(2000))
    aggregator.update("d", COUNT, lang=["en", "sv"])
    aggregator.update("e", MAX, longest=[3.0, NAN])
    if registers:
        aggregator.update("e", "spread", loss=rng.random(50))
    return aggregator


def test_a_restored_state_counts_once():
    whole = filled(0)
    state = unpack(pack(whole.state_dict()))
    restored = filled(7)  # its earlier values are dropped
    restored.load_state_dict(state)
    assert restored.get_metrics_for_logging() == whole.get_metrics_for_logging()
    whole.update("d", SUM, tokens=[5])
    for _ in range(3):  # saving a restored state changes nothing
        state = restored.state_dict()
        restored.load_state_dict(state)
    restored.update("d", SUM, tokens=[5])
    assert restored.get_metrics_for_logging() == whole.get_metrics_for_logging()


def test_a_metric_keeps_its_type_after_a_restore():
    restored = jm.MetricsAggregator()
    restored.load_state_dict(filled(0, registers=False).state_dict())
    with pytest.raises(ValueError, match="d/tokens as mean; it has been sum"):
        restored.update("d", MEAN, tokens=[1])


def test_a_state_of_another_schema_is_an_error():
    state = filled(0).state_dict() | {"schema": 2}
    aggregator = filled(1)
    before = aggregator.get_metrics_for_logging()
    with pytest.raises(ValueError, match="schema 2; this version reads 1"):
        aggregator.load_state_dict(state)
    with pytest.raises(ValueError, match="schema None"):
        aggregator.load_state_dict({})
    assert aggregator.get_metrics_for_logging() == before


def test_a_state_of_another_registered_metric_is_an_error():
    state = filled(0).state_dict()
    aggregator = jm.MetricsAggregator()
    with pytest.raises(ValueError, match="'spread'.*register_handler"):
        aggregator.load_state_dict(state)
    aggregator.register_handler("spread", jm.Mean)
    with pytest.raises(ValueError, match=r"Std\(\).*Mean\(\)"):
        aggregator.load_state_dict(state)


def test_an_aggregator_is_saved_in_one_item_with_metrics(tmp_path):
    metrics = jm.Collection(loss=jm.Mean("loss")).update(loss=[1.0, 2.0])
    aggregator = filled(0)
    with ocp.CheckpointManager(tmp_path) as manager:
        args = checkpoint.args(None, metrics=metrics, aggregator=aggregator)
        manager.save(3, args=ocp.args.Composite(jaxmetrics=args))
        manager.wait_until_finished()
        restored = filled(9)
        items = checkpoint.restore(
            manager, 3, None, metrics=metrics.empty(), aggregator=restored
        )
        with pytest.raises(KeyError, match="'other'.*'aggregator'"):
            checkpoint.restore(manager, 3, None, other=restored)
        with pytest.raises(KeyError, match="'metrics'.*MetricsAggregator"):
            checkpoint.restore(manager, 3, None, metrics=restored)
    assert items["aggregator"] is restored
    assert items["metrics"].compute()["loss"] == 1.5
    assert restored.get_metrics_for_logging() == aggregator.get_metrics_for_logging()


def test_threads_can_share_an_aggregator():
    aggregator = jm.MetricsAggregator()

    def feed(_):
        for _ in range(200):
            aggregator.update("d", SUM, x=[1, 2])
            aggregator.update("d", DISTRIBUTION, y=np.arange(50))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(feed, range(4)))
    logged = results(aggregator)
    assert logged["x"] == 2400.0 and logged["y_stat_mean"] == 24.5
