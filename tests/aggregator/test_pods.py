"""Totals do not depend on the number of processes, nor on a restart with another."""

import math

import numpy as np
import pytest
from support import aggregator_pod as pod
from support.pods import PODS, SEVERAL, finish, results, start

from jaxmetrics.record import loads

EXACT = ("tokens", "_count_", "longest", "shortest", "samples", "min", "max", "_p")


@pytest.fixture(scope="module")
def pods(tmp_path_factory):
    """Directory with the files of each pod; 4x2 continues 1x8, and 2x4 4x2."""
    directory = tmp_path_factory.mktemp("aggregator_pods")
    (directory / "1x8").mkdir()
    pod.main(0, 1, directory / "1x8")
    finish(
        start(pod.__file__, "4x2", directory, directory / "1x8" / "saved"),
        directory / "4x2",
    )
    finish(
        start(pod.__file__, "2x4", directory, directory / "4x2" / "saved"),
        directory / "2x4",
    )
    return directory


def one_result(pods, name, *path):
    """Return a result that is the same on every process of a pod."""
    parts = []
    for part in results(pods, name):
        for key in path:
            part = part[key]
        parts.append(part)
    assert all(part == parts[0] for part in parts)
    return parts[0]


def all_samples(*halves):
    """Return the samples of all shards by dataset."""
    parts = [pod.shard(i, half) for half in halves for i in range(pod.SHARDS)]
    data = {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}
    masks = [data["dataset"] == number for number in range(len(pod.DATASETS))]
    return {
        dataset: {name: x[mask] for name, x in data.items()}
        for dataset, mask in zip(pod.DATASETS, masks)
    }


def assert_totals(values, *halves):
    """Compare logged totals with those that NumPy computes from all samples."""
    for dataset, data in all_samples(*halves).items():
        prefix = f"train_{dataset}/"
        logged = {
            key.removeprefix(prefix): value
            for key, value in values.items()
            if key.startswith(prefix)
        }
        length, loss, weight = data["length"], data["loss"], data["weight"]
        finite = np.isfinite(loss)
        assert logged["tokens"] == float(data["tokens"].sum())
        assert logged["cost"] == pytest.approx(math.fsum(loss[finite]), rel=1e-13)
        assert logged["cost_nonfinite"] == (~finite).sum()
        assert logged["loss_nonfinite"] == (~finite & (weight != 0)).sum() > 0
        expected = np.average(loss[finite], weights=weight[finite])
        assert logged["loss"] == pytest.approx(expected, rel=1e-12)
        assert logged["longest"] == length.max() and logged["shortest"] == length.min()
        counts = dict(zip(*np.unique(data["lang"], return_counts=True)))
        counted = {k: v for k, v in logged.items() if k.startswith("lang_count_")}
        assert counted == {f"lang_count_{lang}": n for lang, n in counts.items()}
        assert logged["spread"] == pytest.approx(length.std(), rel=1e-6)
        for percent in (5, 50, 95, 99):
            true = np.sort(length)[-(-percent * len(length) // 100) - 1]
            error = abs(logged[f"length_stat_p{percent:02}"] - true)
            assert error <= abs(true) / 256, percent
        assert logged["length_stat_mean"] == pytest.approx(length.mean(), rel=1e-13)
        assert logged["length_stat_std"] == pytest.approx(length.std(), rel=1e-12)
    for index, size in enumerate(pod.SIZES):
        prefix = f"train_own_{index}/"
        assert values[f"{prefix}samples"] == size * len(halves)
        lengths = [pod.shard(index, half)["length"][:9] for half in halves]
        lengths = np.sort(np.concatenate(lengths))
        median = lengths[-(-len(lengths) // 2) - 1]
        assert values[f"{prefix}length_stat_p50"] == median
    datasets = {key.partition("/")[0] for key in values}
    own = [f"train_own_{index}" for index in range(pod.SHARDS)]
    assert datasets == {"train_code", "train_web", *own}


@pytest.mark.parametrize("name", PODS)
def test_totals_equal_those_of_numpy_over_all_samples(pods, name):
    assert_totals(one_result(pods, name, "first"), 0)
    assert_totals(one_result(pods, name, "second"), 0, 1)


@pytest.mark.parametrize("part", ["first", "second"])
@pytest.mark.parametrize("name", SEVERAL)
def test_totals_are_the_same_on_any_number_of_processes(pods, name, part):
    values, expected = (one_result(pods, n, part) for n in (name, "1x8"))
    assert values.keys() == expected.keys()
    for key, value in expected.items():
        if any(word in key for word in EXACT):
            assert values[key] == value, key
        else:
            rel = 1e-6 if "spread" in key else 1e-12
            assert values[key] == pytest.approx(value, rel=rel), key


@pytest.mark.parametrize("name", PODS)
def test_each_log_is_one_exchange(pods, name):
    expected = [] if name == "1x8" else ["aggregator"]
    assert one_result(pods, name, "tags") == expected


@pytest.mark.parametrize("name", PODS)
def test_a_killed_run_continues_from_its_checkpoint(pods, name):
    for part in ("sums", "first"):
        restored = one_result(pods, name, "again", part)
        assert restored == one_result(pods, name, part)
    assert_totals(one_result(pods, name, "again", "second"), 0, 1)


@pytest.mark.parametrize(
    ("saved", "name"), [("1x8", "4x2"), ("4x2", "2x4")], ids=["1 to 4", "4 to 2"]
)
def test_totals_survive_a_restart_on_another_number_of_processes(pods, saved, name):
    for part in ("sums", "first"):
        restored = one_result(pods, name, "elsewhere", part)
        assert restored == one_result(pods, saved, part)
    assert_totals(one_result(pods, name, "elsewhere", "second"), 0, 1)


@pytest.mark.parametrize("saved", SEVERAL)
def test_one_process_continues_a_run_of_several(pods, saved):
    back = loads(pod.dumps(pod.resumed(pods / saved / "saved", 0, 1)))
    for part in ("sums", "first"):
        assert back[part] == one_result(pods, saved, part)
    assert_totals(back["second"], 0, 1)


@pytest.mark.parametrize("name", PODS)
def test_by_group_on_devices_and_the_aggregator_give_the_same_means(pods, name):
    host, device = one_result(pods, name, "host"), one_result(pods, name, "device")
    for dataset in pod.DATASETS:
        assert host[f"train_{dataset}/loss"] == device[dataset]


@pytest.mark.parametrize("name", SEVERAL)
def test_types_that_differ_between_processes_are_an_error_on_all(pods, name):
    assert one_result(pods, name, "disagreeing", "mixed") == (
        "ValueError: MetricsAggregator: d/x is sum on process 1, and mean elsewhere. "
        "Give one of them another name."
    )


@pytest.mark.parametrize("name", SEVERAL)
def test_totals_are_exchanged_without_the_coordination_service(pods, name):
    total = sum(range(PODS[name]))
    expected = {"train_d/avg_x": total / PODS[name], "train_d/x": total}
    assert one_result(pods, name, "disagreeing", "without_service") == expected


@pytest.mark.parametrize("name", SEVERAL)
def test_a_process_that_misses_a_log_is_named(pods, name):
    for result in results(pods, name):
        missed = result["disagreeing"]["missed"]
        assert missed.startswith("MissingHostError: exchange('aggregator') waited 2 s")
        assert f"process {PODS[name] - 1} (" in missed
