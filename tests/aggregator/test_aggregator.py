"""Totals per dataset and metric: exact, mergeable, and refused where they mix."""

import math
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest

import jaxmetrics as jm
from jaxmetrics import checkpoint
from jaxmetrics.aggregator._bins import RELATIVE_ERROR
from jaxmetrics.record import pack, unpack

SUM, MEAN = jm.AggregationType.SUM, jm.AggregationType.MEAN
MAX, MIN = jm.AggregationType.MAX, jm.AggregationType.MIN
DISTRIBUTION = jm.AggregationType.DISTRIBUTION
COUNT = jm.AggregationType.CATEGORICAL_COUNT
NAN, INF = math.nan, math.inf


def logged(agg_type, *updates, **more):
    """What comes of arrays of one metric `x` of the dataset `d`, without its prefix."""
    aggregator = jm.MetricsAggregator(**more)
    for values in updates:
        aggregator.update("d", agg_type, x=values)
    return plain(aggregator)


def plain(aggregator):
    found = aggregator.get_metrics_for_logging()
    return {name.removeprefix("train_d/"): value for name, value in found.items()}


# Transforms


def default_transform():
    transform = jm.DefaultTrainingMetricTransform()
    transform.set_dataset_name("alpaca")
    return transform


def test_the_default_transform_notes_three_things():
    sample = {"tokens": [1, 2, 3, 4, 5]}
    assert default_transform()(sample)["metrics"] == [
        jm.Observation("alpaca", "samples_seen", 1, SUM),
        jm.Observation("alpaca", "tokens_seen", 5, SUM),
        jm.Observation("alpaca", "seq_len", 5, DISTRIBUTION),
    ]
    assert sample == {"tokens": [1, 2, 3, 4, 5]}


def test_a_transform_without_a_dataset_is_an_error():
    with pytest.raises(RuntimeError, match="set_dataset_name"):
        jm.DefaultTrainingMetricTransform()({"tokens": [1]})


def test_a_sample_without_tokens_is_an_error_that_names_its_fields():
    with pytest.raises(KeyError, match="'tokens'.*'ids'"):
        default_transform()({"ids": [1]})


class Languages(jm.MetricTransform):
    def __init__(self, field):
        self.field = field

    def observations(self, sample):
        yield jm.Observation(self.dataset_name, "lang", sample[self.field], COUNT)


def test_transforms_add_up_over_an_iterator_and_are_pickled():
    languages = Languages("lang")
    languages.set_dataset_name("alpaca")
    first, second = pickle.loads(pickle.dumps((default_transform(), languages)))
    samples = ({"tokens": np.zeros(n), "lang": "en"} for n in (3, 5))
    aggregator = jm.MetricsAggregator()
    for sample in map(second, map(first, samples)):
        aggregator.update(sample["metrics"])
    found = aggregator.get_metrics_for_logging()
    assert found["train_alpaca/tokens_seen"] == 8.0
    assert found["train_alpaca/seq_len_stat_max"] == 5.0
    assert found["train_alpaca/lang_count_en"] == 2.0


def test_a_transform_and_its_totals_load_no_jax():
    script = (
        "import sys, jaxmetrics as jm; t = jm.DefaultTrainingMetricTransform();"
        "t.set_dataset_name('a'); a = jm.MetricsAggregator();"
        "a.update(t({'tokens': [1]})['metrics']); a.state_dict();"
        "print(len(a.get_metrics_for_logging()), 'jax' in sys.modules)"
    )
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert run.stdout.split() == ["12", "False"]


# What comes of them


def test_sums_and_means_over_batches():
    aggregator = jm.MetricsAggregator()
    for _ in range(2):
        aggregator.update(
            [
                jm.Observation("alpaca", "tokens_seen", 100, SUM),
                jm.Observation("alpaca", "avg_tokens_seen", 100, MEAN),
            ]
        )
    expected = {"train_alpaca/tokens_seen": 200.0, "train_alpaca/avg_tokens_seen": 100}
    assert aggregator.get_metrics_for_logging(prefix="train") == expected


def test_a_metric_of_the_users_own_stands_for_the_average_of_a_sum():
    aggregator = jm.MetricsAggregator()
    aggregator.update("d", SUM, x=[1, 2])
    assert plain(aggregator) == {"x": 3.0, "avg_x": 1.5}
    aggregator.update("d", MEAN, avg_x=[7.0])
    assert plain(aggregator) == {"x": 3.0, "avg_x": 7.0}


def test_arrays_and_observations_give_the_same():
    values = np.random.default_rng(0).normal(size=3000)
    one, other = jm.MetricsAggregator(), jm.MetricsAggregator()
    for agg_type in (SUM, MEAN, MAX, MIN, DISTRIBUTION):
        name = f"{agg_type}_of"
        one.update([jm.Observation("d", name, float(x), agg_type) for x in values])
        other.update("d", agg_type, **{name: values.reshape(30, 100)})
    assert one.get_metrics_for_logging("val") == other.get_metrics_for_logging("val")
    assert "val_d/max_of" in one.get_metrics_for_logging("val")


@pytest.mark.parametrize(
    ("agg_type", "expected"), [(MAX, 7.0), (MIN, -3.0), (MEAN, 2.0), (SUM, 6.0)]
)
def test_values_over_updates(agg_type, expected):
    assert logged(agg_type, [7, -3], [2])["x"] == expected


def test_integers_add_up_to_the_last_unit():
    aggregator = jm.MetricsAggregator()
    aggregator.update("d", SUM, x=np.array([2**62, 2**62, 2**62, -1]), y=2**53)
    aggregator.update("d", SUM, y=np.array([True, True], bool))
    sums = [entry["state"]["sum"] for entry in aggregator.state_dict()["totals"]]
    assert sums == [[3 * 2**62 - 1, 0.0, 0.0], [2**53 + 2, 0.0, 0.0]]
    assert plain(aggregator)["y"] == 2.0**53 + 2


def test_small_floats_are_not_lost_beside_large_ones():
    values = [1e16, *[1.0] * 1000, -1e16]
    assert logged(SUM, *values)["x"] == math.fsum(values) == 1000.0
    tenths = np.full(100_000, 0.1)
    found = logged(SUM, *tenths.reshape(-1, 100))["x"]
    assert found == pytest.approx(math.fsum(tenths), rel=1e-15)


def test_a_sum_beyond_floats_is_infinite_and_not_nan():
    assert logged(SUM, [1e308, 1e308], [1.0])["x"] == INF
    assert logged(MEAN, [1e308, 1e308], [1.0])["x"] == INF


def test_a_mean_is_weighted():
    aggregator = jm.MetricsAggregator()
    aggregator.update("d", MEAN, x=[1.0, 5.0], weights=[3, 1])
    aggregator.update([jm.Observation("d", "x", 8.0, MEAN, weight=2.0)])
    aggregator.update([jm.Observation("d", "x", 2.0, MEAN)])
    assert plain(aggregator) == {"x": (3 + 5 + 16 + 2) / 7}


def test_a_mask_leaves_padding_out():
    aggregator = jm.MetricsAggregator()
    mask = np.array([True, False, True])
    aggregator.update("d", SUM, mask=mask, x=[[1, 1], [NAN, 9], [2, 2]])
    aggregator.update("d", COUNT, mask=mask, lang=["en", "pad", "en"])
    aggregator.update("d", MEAN, mask=mask, y=[1, 9, 4], weights=[1, 9, 2])
    found = plain(aggregator)
    assert found == {"x": 6.0, "avg_x": 1.5, "lang_count_en": 2.0, "y": 3.0}


@pytest.mark.parametrize("agg_type", [SUM, MEAN, MAX, MIN])
def test_values_that_are_not_finite_are_counted_apart(agg_type):
    found = logged(agg_type, [3.0, NAN], [INF, -INF])
    assert found["x"] == 3.0 and found["x_nonfinite"] == 3.0
    nothing = logged(agg_type, [NAN])
    assert nothing["x_nonfinite"] == 1.0
    assert nothing["x"] == 0.0 if agg_type == SUM else math.isnan(nothing["x"])


def test_bfloat16_and_device_values_are_read():
    values = jax.numpy.asarray([0.5, 1.5], jax.numpy.bfloat16)
    assert logged(MEAN, values, np.asarray(values), np.float16(4.0))["x"] == 1.6


def test_nothing_gives_no_sum_and_no_error():
    assert logged(SUM, []) == {"x": 0.0, "avg_x": pytest.approx(NAN, nan_ok=True)}
    assert logged(COUNT, []) == {}


# Distributions

DRAWS = {
    "lengths": lambda rng, n: rng.integers(1, 8192, n),
    "normal": lambda rng, n: rng.normal(size=n),
    "lognormal": lambda rng, n: rng.lognormal(0, 3, n),
    "negative": lambda rng, n: -rng.pareto(1.5, n) - 1e-9,
    "zeros": lambda rng, n: np.where(rng.random(n) < 0.4, 0, rng.normal(0, 1e6, n)),
    "extreme": lambda rng, n: 10.0 ** rng.uniform(-300, 300, n),
}
PERCENTS = (5, 50, 95, 99)


def statistics_of(values):
    values = np.asarray(values, np.float64)
    found = {"mean": values.mean(), "min": values.min(), "max": values.max()}
    found |= {
        f"p{p:02}": np.sort(values)[-(-p * len(values) // 100) - 1] for p in PERCENTS
    }
    with np.errstate(over="ignore"):
        return found | {"std": values.std()}


def distribution(*updates):
    found = logged(DISTRIBUTION, *updates)
    return {name.removeprefix("x_stat_"): value for name, value in found.items()}


@pytest.mark.parametrize("draw", DRAWS)
@pytest.mark.parametrize("n", [1, 2, 20, 1024])
def test_a_small_distribution_is_exact(draw, n):
    values = DRAWS[draw](np.random.default_rng(n), n)
    expected = statistics_of(values)
    found = distribution(*np.array_split(values, min(n, 7)))
    for name in ("min", "max", "p05", "p50", "p95", "p99"):
        assert found[name] == expected[name], name
    assert found["mean"] == pytest.approx(expected["mean"], rel=1e-12, abs=1e-300)
    assert found["std"] == pytest.approx(expected["std"], rel=1e-9, abs=1e-300)


@pytest.mark.parametrize("draw", DRAWS)
def test_percentiles_of_many_values_are_within_the_bound(draw):
    values = DRAWS[draw](np.random.default_rng(1), 50_000)
    expected = statistics_of(values)
    found = distribution(values)
    for percent in PERCENTS:
        true = expected[f"p{percent:02}"]
        off = abs(found[f"p{percent:02}"] - true)
        assert off <= RELATIVE_ERROR * abs(true), percent
    assert (found["min"], found["max"]) == (expected["min"], expected["max"])
    assert found["mean"] == pytest.approx(expected["mean"], rel=1e-9)
    assert found["std"] == pytest.approx(expected["std"], rel=1e-9)


@pytest.mark.parametrize("parts", [2, 13, 600])
def test_percentiles_do_not_depend_on_how_values_were_split(parts):
    values = np.random.default_rng(2).normal(size=3000)
    whole, split = distribution(values), distribution(*np.array_split(values, parts))
    for percent in PERCENTS:
        assert split[f"p{percent:02}"] == whole[f"p{percent:02}"]
    assert split["std"] == pytest.approx(whole["std"], rel=1e-12)


def test_a_spread_far_from_zero_does_not_cancel():
    values = 1e9 + np.random.default_rng(3).normal(size=5000)
    assert distribution(*np.split(values, 5))["std"] == pytest.approx(values.std())


def test_a_distribution_counts_what_is_not_finite_apart():
    found = distribution([1.0, NAN, 3.0], [INF])
    assert (found["mean"], found["p99"], found["x_nonfinite"]) == (2.0, 3.0, 2.0)
    nothing = distribution([NAN])
    assert math.isnan(nothing["p50"]) and math.isnan(nothing["std"])


def test_an_array_may_be_changed_after_it_was_given():
    aggregator, values = jm.MetricsAggregator(), np.array([1.0, 2.0])
    aggregator.register_handler("max", jm.Max)
    aggregator.update("d", DISTRIBUTION, x=values)
    aggregator.update("d", "max", y=values)
    values[:] = 9.0
    found = plain(aggregator)
    assert found["x_stat_max"] == found["y"] == 2.0


# Categories


def test_categories_are_counted():
    found = logged(COUNT, ["en", "sv"], np.array(["en", "en"]), "de")
    assert found == {"x_count_de": 1.0, "x_count_en": 3.0, "x_count_sv": 1.0}


def test_integers_and_bools_are_counted_under_their_text():
    assert logged(COUNT, np.array([3, 3, -1])) == {"x_count_-1": 1.0, "x_count_3": 2.0}
    assert logged(COUNT, [True, 7]) == {"x_count_7": 1.0, "x_count_True": 1.0}


@pytest.mark.parametrize(
    "values", [[1.0], [None], [b"en"], [["en"]], np.array([0.5]), {"en": 1}]
)
def test_other_categories_are_an_error_that_names_them(values):
    with pytest.raises(TypeError, match="d/x.*expected strings"):
        logged(COUNT, values)


@pytest.mark.parametrize("category", ["a\nb", "a//b", "x" * 129])
def test_a_category_that_cannot_be_part_of_a_key_is_an_error(category):
    with pytest.raises(ValueError, match="d/x got the category"):
        logged(COUNT, ["en", category])


def test_categories_beyond_the_limit_are_counted_together():
    found = logged(COUNT, ["a", "a", "b"], ["c", "a", "d", "b"], max_categories=2)
    assert found == {"x_count_a": 3.0, "x_count_b": 2.0, "x_overflow": 2.0}


def test_the_most_frequent_categories_stay_after_a_restore():
    first = jm.MetricsAggregator(max_categories=2)
    first.update("d", COUNT, x=["a", "b", "b"])
    second = jm.MetricsAggregator(max_categories=2)
    second.load_state_dict(first.state_dict())
    second.update("d", COUNT, x=["c", "c", "b"])
    assert plain(second) == {"x_count_b": 3.0, "x_count_c": 2.0, "x_overflow": 1.0}


# What is refused, and changes nothing


def refused(error, match, *args, **more):
    """An update that fails, of an aggregator with something in it."""
    aggregator = jm.MetricsAggregator(datasets=("d", "e"))
    aggregator.update("d", SUM, x=[1])
    aggregator.update("d", COUNT, lang=["en"])
    before = aggregator.get_metrics_for_logging()
    with pytest.raises(error, match=match):
        aggregator.update(*args, **more)
    assert aggregator.get_metrics_for_logging() == before


def test_two_types_of_one_metric_are_an_error():
    refused(ValueError, "d/x as mean; it has been sum", "d", MEAN, y=[1], x=[1.0])


def test_two_types_in_one_list_are_an_error():
    both = [jm.Observation("e", "new", 1, SUM), jm.Observation("e", "new", 1, MAX)]
    refused(ValueError, "e/new as max; it has been sum", both)


def test_a_bad_value_drops_the_whole_update():
    good = jm.Observation("d", "x", 5, SUM)
    refused(TypeError, "d/y.*<U", [good, jm.Observation("d", "y", "five", SUM)])
    refused(TypeError, "dict among", [good, {"name": "x"}])
    refused(TypeError, "d/y.*NoneType", "d", SUM, x=[5], y=[None])
    refused(ValueError, "beyond 64 bits", "d", SUM, x=[2**70])
    refused(TypeError, "d/lang.*float", "d", COUNT, lang=[0.5])


def test_unknown_names_are_an_error():
    refused(KeyError, r"no dataset 'f'.*\['d', 'e'\]", "f", SUM, x=[1])
    refused(ValueError, "type 'median'.*'mean'", "d", "median", z=[1])
    refused(TypeError, "str", 3, SUM, x=[1])
    refused(ValueError, "without '/'", "d/e", SUM, x=[1])
    refused(ValueError, "no key of its own", "d", SUM, **{"grad/norm": [1]})
    refused(ValueError, "up to 100", "d", SUM, **{"x" * 100: [1]})
    refused(TypeError, "without a type", "d", x=[1])


def test_weights_and_masks_that_do_not_fit_are_an_error():
    refused(ValueError, "only MEAN", "d", SUM, x=[1], weights=[1.0])
    refused(ValueError, "only MEAN", "d", COUNT, lang=["en"], weights=[1.0])
    refused(ValueError, r"shape \(1,\) and weights", "d", MEAN, y=[1], weights=[1, 2])
    refused(ValueError, "negative", "d", MEAN, y=[1], weights=[-1])
    refused(ValueError, "not finite", "d", MEAN, y=[1], weights=[NAN])
    refused(TypeError, "mask of int64", "d", SUM, x=[1], mask=[1])
    refused(ValueError, r"mask of shape \(2,\)", "d", SUM, x=[1], mask=[True, False])


def test_two_metrics_with_one_key_are_an_error():
    aggregator = jm.MetricsAggregator()
    aggregator.update("d", MAX, x=[1], val_x=[2])
    assert plain(aggregator) == {"x": 1.0, "val_x": 2.0}
    with pytest.raises(ValueError, match="'val_d/x'"):
        aggregator.get_metrics_for_logging("val")


# Metrics as strategies


def registered(metric, *updates, agg_type="mine", weights=None):
    aggregator = jm.MetricsAggregator()
    aggregator.register_handler(agg_type, metric)
    for values in updates:
        aggregator.update("d", agg_type, x=values, weights=weights)
    return plain(aggregator)


def test_any_metric_is_a_strategy():
    values = np.random.default_rng(4).normal(3, 1, 40_000)
    found = registered(jm.Std, *np.split(values, 400))
    assert found["x"] == pytest.approx(values.std(), rel=1e-6)
    assert registered(jm.Max("loss"), [1, 5], [2.5])["x"] == 5.0
    assert registered(jm.NonFiniteCount, [1.0, NAN], [INF])["x"] == 2.0


def test_a_metric_replaces_one_of_ours():
    quantiles = jm.Quantiles(q=(0.5,))
    values = np.random.default_rng(5).lognormal(size=3000)
    found = registered(quantiles, values, agg_type=DISTRIBUTION)
    assert found["x/p50"] == pytest.approx(np.median(values), rel=0.011)


def test_a_window_is_one_of_values():
    recent = jm.Windowed(jm.Mean(), window=3)
    assert registered(recent, [1.0, 2.0, 3.0, 4.0], [8.0])["x"] == 5.0


def test_a_weighted_metric_takes_weights_and_needs_them():
    found = registered(jm.Mean(weighted=True), [1.0, 5.0], weights=[3.0, 1.0])
    assert found["x"] == 2.0
    with pytest.raises(ValueError, match="needs them"):
        registered(jm.Mean(weighted=True), [1.0])


def test_a_strategy_that_is_no_metric_is_an_error():
    aggregator = jm.MetricsAggregator()
    for stranger in (object(), dict, jm.Collection(a=jm.Mean())):
        with pytest.raises(TypeError, match="expected a metric"):
            aggregator.register_handler("mine", stranger)
    with pytest.raises(ValueError, match=r"\['labels', 'logits'\].*one output"):
        aggregator.register_handler("mine", jm.Accuracy())


def test_a_strategy_comes_before_the_first_value():
    aggregator = jm.MetricsAggregator()
    aggregator.update("d", SUM, x=[1])
    with pytest.raises(ValueError, match="after values of that type, of d/x"):
        aggregator.register_handler(SUM, jm.Sum)


def test_what_a_metric_does_not_read_is_refused_at_once():
    aggregator = jm.MetricsAggregator()
    aggregator.register_handler("mine", jm.Max)
    with pytest.raises(ValueError, match="d/x.*beyond 32 bits"):
        aggregator.update("d", "mine", x=[2**40])
    assert aggregator.get_metrics_for_logging() == {}


@pytest.mark.parametrize("kind", ["Auto", "Explicit"])
def test_a_metric_stays_on_the_host_when_a_mesh_is_set(kind):
    axis = jax.sharding.AxisType[kind]
    mesh = jax.sharding.Mesh(np.array(jax.devices()), ("data",), axis_types=(axis,))
    with jax.set_mesh(mesh):
        aggregator = jm.MetricsAggregator()
        aggregator.register_handler("mine", jm.Std)
        aggregator.update("d", "mine", x=[1.0, 3.0])
        state = aggregator.state_dict()
        aggregator.load_state_dict(state)
        aggregator.update("d", "mine", x=[5.0])
        found = plain(aggregator)["x"]
    assert found == pytest.approx(np.std([1, 3, 5]))


def test_the_same_numbers_by_domain_on_the_device():
    rng, names = np.random.default_rng(6), ("code", "web", "books")
    domain, loss = rng.integers(0, 3, 256), rng.integers(0, 64, 256) / 8
    by_domain = {
        MEAN: jm.ByGroup(jm.Mean("loss"), by="domain", groups=names),
        SUM: jm.ByGroup(jm.Sum("loss"), by="domain", groups=names),
        MAX: jm.ByGroup(jm.Max("loss"), by="domain", groups=names),
    }
    for agg_type, metric in by_domain.items():
        update = jax.jit(lambda m, x, d: m.update(loss=x, domain=d))
        on_device = update(metric, loss.astype(np.float32), domain).compute()
        aggregator = jm.MetricsAggregator()
        for i, name in enumerate(names):
            aggregator.update(name, agg_type, mask=domain == i, loss=loss)
        found = aggregator.get_metrics_for_logging()
        for name in names:
            assert found[f"train_{name}/loss"] == on_device[name], (agg_type, name)


# State


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


def test_a_state_comes_back_and_counts_once():
    whole = filled(0)
    state = unpack(pack(whole.state_dict()))
    restored = filled(7)  # what it had seen is dropped
    restored.load_state_dict(state)
    assert restored.get_metrics_for_logging() == whole.get_metrics_for_logging()
    whole.update("d", SUM, tokens=[5])
    for _ in range(3):  # a save of a restored one is the same again
        state = restored.state_dict()
        restored.load_state_dict(state)
    restored.update("d", SUM, tokens=[5])
    assert restored.get_metrics_for_logging() == whole.get_metrics_for_logging()


def test_a_metric_keeps_its_type_over_a_restore():
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


def test_a_state_of_another_strategy_is_an_error():
    state = filled(0).state_dict()
    aggregator = jm.MetricsAggregator()
    with pytest.raises(ValueError, match="'spread'.*register_handler"):
        aggregator.load_state_dict(state)
    aggregator.register_handler("spread", jm.Mean)
    with pytest.raises(ValueError, match=r"Std\(\).*Mean\(\)"):
        aggregator.load_state_dict(state)


def test_it_is_saved_in_one_item_with_the_metrics(tmp_path):
    metrics = jm.Collection(loss=jm.Mean("loss")).update(loss=[1.0, 2.0])
    aggregator = filled(0)
    with ocp.CheckpointManager(tmp_path) as manager:
        args = checkpoint.args(None, metrics=metrics, aggregator=aggregator)
        manager.save(3, args=ocp.args.Composite(jaxmetrics=args))
        manager.wait_until_finished()
        mine = filled(9)
        back = checkpoint.restore(
            manager, 3, None, metrics=metrics.empty(), aggregator=mine
        )
        with pytest.raises(KeyError, match="'other'.*'aggregator'"):
            checkpoint.restore(manager, 3, None, other=mine)
        with pytest.raises(KeyError, match="'metrics'.*MetricsAggregator"):
            checkpoint.restore(manager, 3, None, metrics=mine)
    assert back["aggregator"] is mine
    assert back["metrics"].compute()["loss"] == 1.5
    assert mine.get_metrics_for_logging() == aggregator.get_metrics_for_logging()


def test_what_cannot_be_packed_is_an_error():
    for stranger in (object(), np.array([None]), np.array(["text"])):
        with pytest.raises(TypeError, match="pack"):
            pack({"x": [stranger]})


def test_bits_and_large_integers_survive_packing():
    bits = np.array([NAN, -0.0, 5e-324, INF])
    value = {
        "a": [bits, np.zeros((0, 3), np.uint32)],
        "n": 2**200,
        "x": -INF,
        "s": "NaN",
    }
    back = unpack(pack(value))
    np.testing.assert_array_equal(back["a"][0].view(np.int64), bits.view(np.int64))
    assert back["a"][1].shape == (0, 3) and back["a"][1].dtype == np.uint32
    assert (back["n"], back["x"], back["s"]) == (2**200, -INF, "NaN")


def test_threads_share_one():
    aggregator = jm.MetricsAggregator()

    def feed(_):
        for _ in range(200):
            aggregator.update("d", SUM, x=[1, 2])
            aggregator.update("d", DISTRIBUTION, y=np.arange(50))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(feed, range(4)))
    found = plain(aggregator)
    assert found["x"] == 2400.0 and found["y_stat_mean"] == 24.5
