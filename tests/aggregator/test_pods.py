"""Any number of processes gives the same totals, also after a restart on another."""

import math

import numpy as np
import pytest
from support import aggregator_pod as pod
from support.pods import PODS, SEVERAL, finish, results, start

from jaxmetrics.record import loads

EXACT = ("tokens", "_count_", "longest", "shortest", "samples", "min", "max", "_p")


@pytest.fixture(scope="module")
def pods(tmp_path_factory):
    """Where each pod left its files: 4 x 2 goes on from 1 x 8, and 2 x 4 from 4 x 2."""
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
    """What the processes of a pod agree upon."""
    parts = []
    for found in results(pods, name):
        for step in path:
            found = found[step]
        parts.append(found)
    assert all(part == parts[0] for part in parts)
    return parts[0]


def whole(*halves):
    """All samples of all shards, by dataset."""
    parts = [pod.shard(i, half) for half in halves for i in range(pod.SHARDS)]
    data = {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}
    masks = [data["dataset"] == number for number in range(len(pod.DATASETS))]
    return {
        dataset: {name: x[mask] for name, x in data.items()}
        for dataset, mask in zip(pod.DATASETS, masks)
    }


def check(found, *halves):
    """Totals against NumPy's of all samples."""
    for dataset, data in whole(*halves).items():
        at = f"train_{dataset}/"
        mine = {k.removeprefix(at): v for k, v in found.items() if k.startswith(at)}
        length, loss, weight = data["length"], data["loss"], data["weight"]
        good = np.isfinite(loss)
        assert mine["tokens"] == float(data["tokens"].sum())
        assert mine["cost"] == pytest.approx(math.fsum(loss[good]), rel=1e-13)
        assert mine["cost_nonfinite"] == mine["loss_nonfinite"] == (~good).sum() > 0
        expected = np.average(loss[good], weights=weight[good])
        assert mine["loss"] == pytest.approx(expected, rel=1e-12)
        assert mine["longest"] == length.max() and mine["shortest"] == length.min()
        counts = dict(zip(*np.unique(data["lang"], return_counts=True)))
        counted = {k: v for k, v in mine.items() if k.startswith("lang_count_")}
        assert counted == {f"lang_count_{lang}": n for lang, n in counts.items()}
        assert mine["spread"] == pytest.approx(length.std(), rel=1e-6)
        for percent in (5, 50, 95, 99):
            true = np.sort(length)[-(-percent * len(length) // 100) - 1]
            off = abs(mine[f"length_stat_p{percent:02}"] - true)
            assert off <= abs(true) / 256, percent
        assert mine["length_stat_mean"] == pytest.approx(length.mean(), rel=1e-13)
        assert mine["length_stat_std"] == pytest.approx(length.std(), rel=1e-12)
    for index, size in enumerate(pod.SIZES):
        of_one = f"train_own_{index}/"
        assert found[f"{of_one}samples"] == size * len(halves)
        few = [pod.shard(index, half)["length"][:9] for half in halves]
        few = np.sort(np.concatenate(few))
        assert found[f"{of_one}length_stat_p50"] == few[-(-len(few) // 2) - 1]
    datasets = {key.partition("/")[0] for key in found}
    own = [f"train_own_{index}" for index in range(pod.SHARDS)]
    assert datasets == {"train_code", "train_web", *own}


@pytest.mark.parametrize("name", PODS)
def test_the_totals_are_those_of_all_samples(pods, name):
    check(one_result(pods, name, "first"), 0)
    check(one_result(pods, name, "second"), 0, 1)


@pytest.mark.parametrize("part", ["first", "second"])
@pytest.mark.parametrize("name", SEVERAL)
def test_any_topology_gives_the_same_totals(pods, name, part):
    found, expected = (one_result(pods, n, part) for n in (name, "1x8"))
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        if any(word in key for word in EXACT):
            assert found[key] == value, key
        else:
            rel = 1e-6 if "spread" in key else 1e-12
            assert found[key] == pytest.approx(value, rel=rel), key


@pytest.mark.parametrize("name", PODS)
def test_one_exchange_a_log(pods, name):
    expected = [] if name == "1x8" else ["aggregator"]
    assert one_result(pods, name, "asked") == expected


@pytest.mark.parametrize("name", PODS)
def test_a_killed_run_goes_on_from_its_checkpoint(pods, name):
    for part in ("sums", "first"):
        found = one_result(pods, name, "again", part)
        assert found == one_result(pods, name, part)
    check(one_result(pods, name, "again", "second"), 0, 1)


@pytest.mark.parametrize(
    ("saved", "name"), [("1x8", "4x2"), ("4x2", "2x4")], ids=["1 to 4", "4 to 2"]
)
def test_no_total_changes_on_another_number_of_processes(pods, saved, name):
    for part in ("sums", "first"):
        found = one_result(pods, name, "elsewhere", part)
        assert found == one_result(pods, saved, part)
    check(one_result(pods, name, "elsewhere", "second"), 0, 1)


@pytest.mark.parametrize("saved", SEVERAL)
def test_one_process_goes_on_where_several_were(pods, saved):
    back = loads(pod.dumps(pod.resumed(pods / saved / "saved", 0, 1)))
    for part in ("sums", "first"):
        assert back[part] == one_result(pods, saved, part)
    check(back["second"], 0, 1)


@pytest.mark.parametrize("name", PODS)
def test_groups_on_the_devices_of_all_processes_give_the_same_means(pods, name):
    host, device = one_result(pods, name, "host"), one_result(pods, name, "device")
    for dataset in pod.DATASETS:
        assert host[f"train_{dataset}/loss"] == device[dataset]


@pytest.mark.parametrize("name", SEVERAL)
def test_another_type_on_another_process_is_an_error_on_all(pods, name):
    assert one_result(pods, name, "unlike", "mixed") == (
        "ValueError: MetricsAggregator: d/x is sum on process 1, and mean elsewhere. "
        "Give one of them another name."
    )


@pytest.mark.parametrize("name", SEVERAL)
def test_it_does_without_the_service_of_jax(pods, name):
    total = sum(range(PODS[name]))
    expected = {"train_d/avg_x": total / PODS[name], "train_d/x": total}
    assert one_result(pods, name, "unlike", "without") == expected


@pytest.mark.parametrize("name", SEVERAL)
def test_a_process_that_does_not_come_to_a_log_is_named(pods, name):
    for found in results(pods, name):
        missed = found["unlike"]["missed"]
        assert missed.startswith("MissingHostError: exchange('aggregator') waited 2 s")
        assert f"process {PODS[name] - 1} (" in missed
