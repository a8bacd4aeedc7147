"""Several processes give the numbers of one, and name whoever is missing."""

import shutil
import socket

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest
from support import pod
from support.pods import PODS, SEVERAL, finish, free_port, results, start
from support.processes import start_python

import jaxmetrics as jm
from jaxmetrics import checkpoint
from jaxmetrics.record import loads, scan_lines

FORMS = ["deferred", "jit", "shard_map"]


@pytest.fixture(scope="session")
def pods(tmp_path_factory):
    """Where each pod left its files."""
    directory = tmp_path_factory.mktemp("pods")
    two = start(pod.__file__, "2x4", directory)
    (directory / "1x8").mkdir()
    pod.main(0, 1, directory / "1x8")
    finish(two, directory / "2x4")
    four = start(pod.__file__, "4x2", directory, directory / "2x4" / "saved")
    finish(four, directory / "4x2")
    return directory


def one_result(pods, name, part):
    """What the processes of a pod agree upon."""
    first, *others = [found[part] for found in results(pods, name)]
    assert all(other == first for other in others)
    return first


def the_same(leaves, expected, rtol):
    """Integers, kept rows and NaN are equal, other floats close."""
    assert leaves.keys() == expected.keys()
    for name, values in expected.items():
        for found, value in zip(leaves[name], values, strict=True):
            if isinstance(value, float):  # moments across devices are float32 sums
                rel = 1e-6 if "moments" in name else rtol
                assert found == pytest.approx(value, rel=rel, abs=0), name
            else:
                assert found == value, name


# The numbers


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", SEVERAL)
def test_processes_give_the_numbers_of_one(pods, name, form):
    found = one_result(pods, name, "numbers")[form]
    expected = one_result(pods, "1x8", "numbers")[form]
    # Batch sums, and deviations across devices, are float32 sums in XLA's own order.
    the_same(found, expected, rtol=1e-6)


@pytest.mark.parametrize("name", SEVERAL)
def test_shards_have_the_same_bits_on_any_number_of_processes(pods, name):
    found = one_result(pods, name, "numbers")
    expected = one_result(pods, "1x8", "numbers")
    assert found["deferred"] == expected["deferred"]
    assert found["shard_map"]["loss/total"] == expected["shard_map"]["loss/total"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", PODS)
def test_counts_are_those_of_numpy(pods, name, form):
    found = one_result(pods, name, "numbers")[form]
    batches = [pod.whole_batch(step) for step in range(pod.STEPS)]
    labels = np.concatenate([b["labels"] for b in batches])
    predicted = np.concatenate([b["logits"].argmax(-1) for b in batches])
    matrix = np.zeros((4, 4), int)
    np.add.at(matrix, (labels, predicted), 1)
    assert found["matrix/counts"] == [matrix.tolist()]
    assert found["accuracy/correct"] == [int(np.trace(matrix))]
    assert found["perplexity.loss/count"] == [len(labels)]
    assert found["loss/count"] == [pod.ROWS * pod.STEPS]
    loss = np.concatenate([b["loss"] for b in batches]).astype(float)
    assert found["kept/values"] == [sorted(loss.tolist())]
    assert found["nan/largest"] == ["NaN"]
    np.testing.assert_allclose(found["loss/total"], loss.sum(), rtol=1e-6)


# The logger


def rows(pods, name):
    lines = scan_lines(pods / name / "p" / "pod" / "metrics.jsonl")
    return [line.row for line in lines if "step" in (line.row or {})]


@pytest.mark.parametrize("name", PODS)
def test_whole_metrics_of_all_processes_are_one_row_of_the_first(pods, name):
    written = {(row["step"], row["split"]): row for row in rows(pods, name)}
    numbers = one_result(pods, name, "numbers")
    for place, form in (((1, "train"), "deferred"), ((3, "val"), "jit")):
        row, leaves = written[place], numbers[form]
        (total,), (count,) = leaves["loss/total"], leaves["loss/count"]
        assert row[f"{place[1]}/loss"] == total / count
        (correct,), (count,) = leaves["accuracy/correct"], leaves["accuracy/total"]
        assert row[f"{place[1]}/accuracy"] == correct / count
    assert written[1, "train"]["train/own"] == 0
    assert written[2, "train"]["train/alone"] == 1.0
    files = sorted(file.name for file in (pods / name / "p" / "pod").iterdir())
    expected = ["events.jsonl", "metrics.jsonl", "metrics.jsonl.after-4", "run.json"]
    assert files == expected


@pytest.mark.parametrize("name", SEVERAL)
def test_only_the_first_process_fetches(pods, name):
    first, *others = [found["logged"]["latest"] for found in results(pods, name)]
    assert "train/loss" in first
    assert not any(others)


@pytest.mark.parametrize("name", SEVERAL)
def test_processes_talk_once_a_structure_and_never_for_scalars(pods, name):
    for found in results(pods, name):
        # The run; deferred metrics, those of plain jit, and two for those that differ.
        assert found["logged"]["asked"] == ["run", *["metrics"] * 4, "run"]


@pytest.mark.parametrize("name", SEVERAL)
def test_other_metrics_on_another_process_are_an_error_on_all(pods, name):
    for found in results(pods, name):
        assert found["logged"]["other"] == (
            "ValueError: log_step() got other metrics on process 1 than on process 0: "
            "leaf 'matrix/counts' is ConfusionMatrix(classes=7) uint32[2, 7, 7] there, "
            "and ConfusionMatrix(classes=6) uint32[2, 6, 6] on process 0. Make them of "
            "the same collection, placed alike, on every process."
        )
    assert rows(pods, name)[-2]["train/after"] == 2.0


# Checkpoints


@pytest.mark.parametrize("name", PODS)
def test_a_pod_goes_on_from_its_checkpoint(pods, name):
    logged = one_result(pods, name, "numbers")["deferred"]
    for found in results(pods, name):
        assert found["logged"]["restored"] == logged
    steps = [(row["step"], row["split"]) for row in rows(pods, name)]
    assert steps == [
        *[(1, "train"), (2, "train"), (3, "train"), (3, "val")],
        *[(4, "train"), (5, "train")],
    ]
    assert "train/kept" in rows(pods, name)[-1]


@pytest.mark.parametrize("name", SEVERAL)
def test_a_restore_cuts_the_files_of_all_processes(pods, name):
    run = pods / name / "p" / "own"
    others = [f"metrics.p{rank}.jsonl" for rank in range(1, PODS[name])]
    for rank, file in enumerate(["metrics.jsonl", *others]):
        written = [line.row for line in scan_lines(run / file)][1:]
        assert [(row["step"], row["split"]) for row in written] == [
            (1, "train"),
            (1, "val"),
        ]
        assert written[1]["val/loss"] == rank


@pytest.mark.parametrize("devices", ["8", "4"])
def test_four_processes_restore_what_two_saved(pods, devices):
    expected = one_result(pods, "2x4", "numbers")["deferred"]
    found = one_result(pods, "4x2", "restored")[devices]
    the_same(found, expected, rtol=0 if devices == "8" else 1e-12)


@pytest.mark.parametrize("devices", [8, 4, 1, None])
def test_one_process_restores_what_two_saved(pods, tmp_path, devices):
    saved, run = tmp_path / "saved", tmp_path / "p"
    shutil.copytree(pods / "2x4" / "saved", saved)
    shutil.copytree(pods / "2x4" / "p", run)
    template = pod.collection()
    if devices is not None:
        template = template.deferred(pod.mesh_of(jax.devices()[:devices]))
    writers = [jm.writers.JSONL()]
    with (
        jm.TrainingLogger("p", "pod", root=tmp_path, writers=writers) as logger,
        ocp.CheckpointManager(saved) as manager,
    ):
        back = checkpoint.restore(manager, 4, logger, metrics=template)["metrics"]
    expected = one_result(pods, "2x4", "numbers")["deferred"]
    found = loads(pod.dumps(pod.plain(back)))
    the_same(found, expected, rtol=0 if devices == 8 else 1e-12)
    last = [line.row for line in scan_lines(run / "pod" / "metrics.jsonl")][-1]
    assert last["step"] == 4


def test_a_restore_with_another_schema_is_an_error_on_all(pods):
    error = one_result(pods, "4x2", "restored")["other"]
    assert error.startswith("ValueError: checkpoint: matrix/counts was saved as Conf")


# Evaluation


@pytest.mark.parametrize("form", ["deferred", "placed"])
@pytest.mark.parametrize("name", PODS)
def test_uneven_batches_count_each_row_once(pods, name, form):
    found = results(pods, name)[0]["evaluated"][form]
    batches = list(pod.uneven(0, 1))
    mask = np.concatenate([b["mask"] for b in batches])
    x = np.concatenate([b["x"] for b in batches])[mask]
    labels = np.concatenate([b["more"]["labels"] for b in batches])[mask]
    assert mask.sum() == 90
    weights = np.linspace(-1, 1, 12).reshape(3, 4)
    logits = np.log(x) @ weights
    matrix = np.zeros((4, 4), int)
    np.add.at(matrix, (labels, logits.argmax(-1)), 1)
    assert found["matrix"] == matrix.tolist()
    assert found["accuracy"] == np.trace(matrix) / 90
    np.testing.assert_allclose(found["loss"], logits.max(-1).mean(), rtol=1e-6)


@pytest.mark.parametrize("name", SEVERAL)
def test_all_processes_launch_the_same_steps_and_get_the_same_values(pods, name):
    most = -(-max(pod.SHARES[PODS[name]]) // 16)
    first, *others = [found["evaluated"] for found in results(pods, name)]
    for values in (first, *others):
        assert values["steps"] == most
        assert values["deferred"] == first["deferred"]
        assert values["placed"] == first["placed"]


@pytest.mark.parametrize("name", SEVERAL)
def test_padding_is_rows_of_the_data(pods, name):
    smallest = min(b["x"].min() for b in pod.uneven(0, 1))
    for found in results(pods, name):
        assert found["evaluated"]["deferred"]["fed"] >= smallest
        assert found["evaluated"]["deferred"]["fed_label"] >= 1


@pytest.mark.parametrize("name", PODS)
def test_no_batch_at_all_is_nan(pods, name):
    for found in results(pods, name):
        assert found["evaluated"]["nothing"]["loss"] == "NaN"
        # A function has another address in each process, and is the same metric.
        assert found["evaluated"]["composed"] == {"compose": "NaN"}


@pytest.mark.parametrize("name", PODS)
def test_a_step_that_would_count_padding_is_refused_on_all(pods, name):
    for found in results(pods, name):
        assert "does not use batch['mask']" in found["evaluated"]["forgetful"]


@pytest.mark.parametrize("name", SEVERAL)
def test_what_fails_on_one_process_fails_on_all(pods, name):
    *others, last = [found["evaluated"] for found in results(pods, name)]
    process = len(others)
    assert last["failing"] == "OSError: no such shard"
    for found in others:
        assert found["failing"] == (
            f"RuntimeError: evaluate_loop() stopped, for the batches of process "
            f"{process} failed (OSError: no such shard). Mend them there."
        )
    arrays = "mask bool[rows], more/labels int64[rows], x float32"
    for found in (*others, last):
        assert f"process {process} has {arrays}[rows, 2]" in found["strange"]
        assert f"expected {arrays}[rows, 3]" in found["strange"]
        assert "'matrix/counts' is absent there" in found["other"]


# What processes tell each other


@pytest.mark.parametrize("name", SEVERAL)
def test_processes_hear_all_in_turn_with_and_without_the_service(pods, name):
    count = PODS[name]
    for rank, found in enumerate(results(pods, name)):
        exchanged = found["exchanged"]
        assert exchanged["said"] == exchanged["without"] == list(range(count))
        assert exchanged["again"] == [i == rank for i in range(count)]


@pytest.mark.parametrize("name", SEVERAL)
def test_a_process_that_does_not_come_is_named_to_all_and_to_itself(pods, name):
    last = PODS[name] - 1
    for found in results(pods, name):
        missed = found["exchanged"]["missed"]
        assert f"waited 2 seconds for process {last} (" in missed
        assert missed.startswith("MissingHostError")


@pytest.mark.parametrize("name", SEVERAL)
def test_every_process_hears_which_one_is_slow(pods, name):
    last = PODS[name] - 1
    for found in results(pods, name):
        timed = found["timed"]
        assert timed["steps"] == [4.0] + [2.0 + 0.5 * i for i in range(1, last + 1)]
        assert timed["names"] == [socket.gethostname()] * PODS[name]
        assert timed["perf/slowest_host"] == 0
        assert timed["perf/slowest_host_step_seconds"] == 4.0
        assert timed["perf/hungriest_host"] == last
        assert timed["perf/hungriest_host_data_wait_seconds"] == 0.5 * last


DIES = """
    import functools, os, signal, sys
    os.environ["JAX_PLATFORMS"] = "cpu"
    import jax
    rank, port, root = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    jax.distributed.initialize(f"127.0.0.1:{port}", 2, rank)
    import numpy as np
    import jaxmetrics as jm
    from jaxmetrics import processes

    mesh = jax.sharding.Mesh(np.array(jax.devices()), ("data",))
    metrics = jm.Collection(loss=jm.Mean("loss")).deferred(mesh)
    writers = [jm.writers.JSONL()]
    logger = jm.TrainingLogger("p", "run", root=root, writers=writers)
    processes.exchange("both are here", b"")
    if rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    processes.exchange = functools.partial(processes.exchange, timeout=3)
    try:
        logger.log_step(1, metrics=metrics, alive=1.0)
    except processes.MissingHostError as error:
        print(error.missing, error)
    logger.log_step(2, loss=1.0)
    print(logger.flush(), flush=True)
    os._exit(0)  # JAX would wait for the dead one at exit
"""


def test_a_process_that_died_is_named_and_the_other_goes_on(tmp_path):
    port = free_port()
    survivor, victim = [start_python(DIES, rank, port, tmp_path) for rank in range(2)]
    named, flushed = survivor.communicate(timeout=120)[0].splitlines()
    victim.communicate(timeout=120)
    assert victim.returncode == -9
    assert named.startswith("(1,) exchange('metrics') waited 3 seconds for process 1 (")
    assert flushed == "True"
    written = [line.row for line in scan_lines(tmp_path / "p/run/metrics.jsonl")][1:]
    assert [row["step"] for row in written] == [1, 2]
    assert written[0]["train/alive"] == 1.0
