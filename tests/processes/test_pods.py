"""Several processes give the same values as one, and name a process that is missing."""

import shutil
import socket

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest
from support import pod
from support import pods as all_pods
from support.figures import is_quick
from support.pods import finish, free_port, results, start
from support.processes import start_python

import jaxmetrics as jm
from jaxmetrics import checkpoint, runs
from jaxmetrics.record import loads, scan_lines

FORMS = ["deferred", "jit", "shard_map"]
PODS = {name: n for name, n in all_pods.PODS.items() if n < 4 or not is_quick()}
SEVERAL = [name for name, count in PODS.items() if count > 1]


@pytest.fixture(scope="session")
def pods(tmp_path_factory):
    """Directory with the files of each pod."""
    directory = tmp_path_factory.mktemp("pods")
    two = start(pod.__file__, "2x4", directory)
    (directory / "1x8").mkdir()
    pod.main(0, 1, directory / "1x8")
    finish(two, directory / "2x4")
    if "4x2" in PODS:
        four = start(pod.__file__, "4x2", directory, directory / "2x4" / "saved")
        finish(four, directory / "4x2")
    return directory


def one_result(pods, name, part):
    """Return a result that is the same on every process of a pod."""
    first, *others = [result[part] for result in results(pods, name)]
    assert all(other == first for other in others)
    return first


def assert_same_leaves(leaves, expected, rtol):
    """Compare integers, buffered rows and NaN exactly, other floats closely."""
    assert leaves.keys() == expected.keys()
    for name, values in expected.items():
        for actual, value in zip(leaves[name], values, strict=True):
            if isinstance(value, float):  # moments across devices are float32 sums
                rel = 1e-6 if "moments" in name else rtol
                assert actual == pytest.approx(value, rel=rel, abs=0), name
            else:
                assert actual == value, name


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", SEVERAL)
def test_several_processes_give_the_values_of_one(pods, name, form):
    result = one_result(pods, name, "numbers")[form]
    expected = one_result(pods, "1x8", "numbers")[form]
    # Batch sums, and deviations across devices, are float32 sums in XLA's own order.
    assert_same_leaves(result, expected, rtol=1e-6)


@pytest.mark.parametrize("name", SEVERAL)
def test_deferred_state_is_bit_identical_for_any_number_of_processes(pods, name):
    result = one_result(pods, name, "numbers")
    expected = one_result(pods, "1x8", "numbers")
    assert result["deferred"] == expected["deferred"]
    assert result["shard_map"]["loss/total"] == expected["shard_map"]["loss/total"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", PODS)
def test_counts_equal_those_of_numpy(pods, name, form):
    result = one_result(pods, name, "numbers")[form]
    batches = [pod.whole_batch(step) for step in range(pod.STEPS)]
    labels = np.concatenate([b["labels"] for b in batches])
    predicted = np.concatenate([b["logits"].argmax(-1) for b in batches])
    matrix = np.zeros((4, 4), int)
    np.add.at(matrix, (labels, predicted), 1)
    assert result["matrix/counts"] == [matrix.tolist()]
    assert result["accuracy/correct"] == [int(np.trace(matrix))]
    assert result["perplexity.loss/count"] == [len(labels)]
    assert result["loss/count"] == [pod.ROWS * pod.STEPS]
    loss = np.concatenate([b["loss"] for b in batches]).astype(float)
    assert result["rows/values"] == [sorted(loss.tolist())]
    assert result["nan/largest"] == ["NaN"]
    np.testing.assert_allclose(result["loss/total"], loss.sum(), rtol=1e-6)


def rows(pods, name):
    lines = scan_lines(pods / name / "p" / "pod" / "metrics.jsonl")
    return [line.row for line in lines if "step" in (line.row or {})]


@pytest.mark.parametrize("name", PODS)
def test_metrics_of_all_processes_are_one_row_written_by_process_0(pods, name):
    written = {(row["step"], row["split"]): row for row in rows(pods, name)}
    numbers = one_result(pods, name, "numbers")
    for step, split, form in ((1, "train", "deferred"), (3, "val", "jit")):
        row, leaves = written[step, split], numbers[form]
        (total,), (count,) = leaves["loss/total"], leaves["loss/count"]
        assert row[f"{split}/loss"] == total / count
        (correct,), (count,) = leaves["accuracy/correct"], leaves["accuracy/total"]
        assert row[f"{split}/accuracy"] == correct / count
    assert written[1, "train"]["train/own"] == 0
    assert written[2, "train"]["train/only_here"] == 1.0
    files = sorted(file.name for file in (pods / name / "p" / "pod").iterdir())
    expected = ["events.jsonl", "metrics.jsonl", "metrics.jsonl.after-4"]
    expected += ["run.json", "summary.json"]
    assert files == expected


@pytest.mark.parametrize("name", PODS)
def test_the_directions_of_metrics_are_recorded_by_process_0(pods, name):
    run = loads((pods / name / "p" / "pod" / "run.json").read_bytes())
    assert run["better"] == {"train/hits": "max", "val/hits": "max"}


@pytest.mark.parametrize("name", SEVERAL)
def test_every_process_gets_the_latest_values_of_process_0(pods, name):
    first, *others = [result["logged"]["latest"] for result in results(pods, name)]
    assert first["train/own"] == 0
    assert all(other == first for other in others)


@pytest.mark.parametrize("name", SEVERAL)
def test_metrics_are_compared_once_per_structure_and_scalars_never(pods, name):
    for result in results(pods, name):
        # The run, deferred metrics, metrics of plain jit, 2 for the mismatch, latest(),
        # the run.
        tags = ["run", *["metrics"] * 4, "latest", "run"]
        assert result["logged"]["tags"] == tags


@pytest.mark.parametrize("name", SEVERAL)
def test_metrics_that_differ_between_processes_are_an_error_on_all(pods, name):
    for result in results(pods, name):
        assert result["logged"]["mismatch"] == (
            "ValueError: log_step() got metrics on process 1 that differ from process "
            "0: metric 'matrix' is ConfusionMatrix(classes=7) on process 1, and "
            "ConfusionMatrix(classes=6) on process 0. Make them of the same "
            "collection, placed alike, on every process."
        )
    assert rows(pods, name)[-2]["train/after"] == 2.0


@pytest.mark.parametrize("name", SEVERAL)
def test_a_process_that_logs_another_step_or_split_is_named(pods, name):
    first, second, *_ = [result["out_of_step"] for result in results(pods, name)]
    (message,) = first["messages"]
    assert message.startswith(
        "log_step() of step 2 of 'train' was reduced with step 2 of 'val' on process 1."
    )
    assert second["messages"] == []
    assert first["refused"] is None and "step -4" in second["refused"]
    lines = scan_lines(pods / name / "p" / "out" / "metrics.jsonl")
    written = [line.row for line in lines if "step" in (line.row or {})]
    assert [(row["step"], row["split"]) for row in written] == [
        *[(1, "train"), (2, "train"), (2, "val"), (3, "train"), (4, "train")],
        (12, "train"),
    ]
    counts = [row.get(f"health/other_calls/{row['split']}", 0) for row in written]
    assert counts == [0, 1, 1, 1, 0, 0]  # the refused call has no step to compare
    assert all(f"{row['split']}/loss" in row for row in written)


@pytest.mark.parametrize("name", PODS)
def test_a_pod_continues_from_its_checkpoint(pods, name):
    logged = one_result(pods, name, "numbers")["deferred"]
    for result in results(pods, name):
        assert result["logged"]["restored"] == logged
    steps = [(row["step"], row["split"]) for row in rows(pods, name)]
    assert steps == [
        *[(1, "train"), (2, "train"), (3, "train"), (3, "val")],
        *[(4, "train"), (5, "train")],
    ]
    assert "train/kept" in rows(pods, name)[-1]


@pytest.mark.parametrize("name", SEVERAL)
def test_a_restore_truncates_the_files_of_all_processes(pods, name):
    run = pods / name / "p" / "own"
    others = [f"metrics.p{rank}.jsonl" for rank in range(1, PODS[name])]
    for rank, file in enumerate(["metrics.jsonl", *others]):
        written = [line.row for line in scan_lines(run / file)][1:]
        assert [(row["step"], row["split"]) for row in written] == [
            (1, "train"),
            (1, "val"),
        ]
        assert written[1]["val/loss"] == rank


@pytest.mark.slow
@pytest.mark.parametrize("devices", ["8", "4"])
def test_four_processes_restore_a_checkpoint_of_two(pods, devices):
    expected = one_result(pods, "2x4", "numbers")["deferred"]
    result = one_result(pods, "4x2", "restored")[devices]
    assert_same_leaves(result, expected, rtol=0 if devices == "8" else 1e-12)


@pytest.mark.parametrize("devices", [8, 4, 1, None])
def test_one_process_restores_a_checkpoint_of_two(pods, tmp_path, devices):
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
    result = loads(pod.dumps(pod.leaf_values(back)))
    assert_same_leaves(result, expected, rtol=0 if devices == 8 else 1e-12)
    last = [line.row for line in scan_lines(run / "pod" / "metrics.jsonl")][-1]
    assert last["step"] == 4


@pytest.mark.slow
def test_restoring_into_another_configuration_is_an_error_on_all(pods):
    error = one_result(pods, "4x2", "restored")["other"]
    assert error.startswith("ValueError: checkpoint: matrix was saved as Confusion")


@pytest.mark.parametrize("form", ["deferred", "placed"])
@pytest.mark.parametrize("name", PODS)
def test_uneven_batches_count_each_row_once(pods, name, form):
    result = results(pods, name)[0]["evaluated"][form]
    batches = list(pod.uneven(0, 1))
    mask = np.concatenate([b["mask"] for b in batches])
    x = np.concatenate([b["x"] for b in batches])[mask]
    labels = np.concatenate([b["more"]["labels"] for b in batches])[mask]
    assert mask.sum() == 90
    weights = np.linspace(-1, 1, 12).reshape(3, 4)
    logits = np.log(x) @ weights
    matrix = np.zeros((4, 4), int)
    np.add.at(matrix, (labels, logits.argmax(-1)), 1)
    assert result["matrix"] == matrix.tolist()
    assert result["accuracy"] == np.trace(matrix) / 90
    np.testing.assert_allclose(result["loss"], logits.max(-1).mean(), rtol=1e-6)


@pytest.mark.parametrize("name", SEVERAL)
def test_all_processes_launch_the_same_steps_and_get_the_same_values(pods, name):
    steps = -(-max(pod.SHARES[PODS[name]]) // 16)
    first, *others = [result["evaluated"] for result in results(pods, name)]
    for values in (first, *others):
        assert values["steps"] == steps
        assert values["deferred"] == first["deferred"]
        assert values["placed"] == first["placed"]


@pytest.mark.parametrize("name", SEVERAL)
def test_padding_repeats_rows_of_the_data(pods, name):
    smallest = min(b["x"].min() for b in pod.uneven(0, 1))
    for result in results(pods, name):
        assert result["evaluated"]["deferred"]["smallest"] >= smallest
        assert result["evaluated"]["deferred"]["smallest_label"] >= 1


@pytest.mark.parametrize("name", PODS)
def test_an_evaluation_without_batches_is_nan(pods, name):
    for result in results(pods, name):
        assert result["evaluated"]["nothing"]["loss"] == "NaN"
        # The address of a function differs between processes, the metric does not.
        assert result["evaluated"]["composed"] == {"compose": "NaN"}


@pytest.mark.parametrize("name", PODS)
def test_a_step_that_ignores_the_mask_is_refused_on_all_processes(pods, name):
    for result in results(pods, name):
        assert "does not use batch['mask']" in result["evaluated"]["without_mask"]


@pytest.mark.parametrize("name", SEVERAL)
def test_a_failure_on_one_process_is_an_error_on_all(pods, name):
    *others, last = [result["evaluated"] for result in results(pods, name)]
    process = len(others)
    assert last["failing"] == "OSError: no such shard"
    for result in others:
        assert result["failing"] == (
            f"RuntimeError: evaluate_loop() stopped because the batches of process "
            f"{process} failed (OSError: no such shard). Fix them on that process."
        )
    arrays = "mask bool[rows], more/labels int64[rows], x float32"
    for result in (*others, last):
        assert f"process {process} has {arrays}[rows, 2]" in result["other_shapes"]
        assert f"expected {arrays}[rows, 3]" in result["other_shapes"]
        assert "metric 'matrix' is absent on process" in result["other"]


@pytest.mark.parametrize("name", SEVERAL)
def test_the_error_that_ends_another_process_is_in_the_record(pods, name):
    entries = runs.list(pods / name)
    endings = {entry.name: (entry.state, entry.error) for entry in entries}
    error = f"ZeroDivisionError: no rows (process {PODS[name] - 1})"
    assert endings["ended"] == ("crashed", error)
    assert endings["pod"] == endings["out"] == ("closed", None)


@pytest.mark.parametrize("name", SEVERAL)
def test_payloads_reach_all_processes_with_and_without_the_service(pods, name):
    count = PODS[name]
    for rank, result in enumerate(results(pods, name)):
        exchanged = result["exchanged"]
        assert exchanged["sizes"] == exchanged["without_service"] == list(range(count))
        assert exchanged["again"] == [i == rank for i in range(count)]


@pytest.mark.parametrize("name", SEVERAL)
def test_a_process_that_is_late_is_named_on_all_processes_and_on_itself(pods, name):
    last = PODS[name] - 1
    for result in results(pods, name):
        missed = result["exchanged"]["missed"]
        assert f"waited 2 seconds for process {last} (" in missed
        assert missed.startswith("MissingHostError")


@pytest.mark.parametrize("name", SEVERAL)
def test_every_process_learns_which_host_is_slow(pods, name):
    last = PODS[name] - 1
    for result in results(pods, name):
        timed = result["timed"]
        assert timed["steps"] == [4.0] + [2.0 + 0.5 * i for i in range(1, last + 1)]
        assert timed["names"] == [socket.gethostname()] * PODS[name]
        assert timed["perf/slowest_host"] == 0
        assert timed["perf/slowest_host_step_seconds"] == 4.0
        assert timed["perf/hungriest_host"] == last
        assert timed["perf/hungriest_host_data_wait_seconds"] == 0.5 * last


ONE_PROCESS_DIES = """
    import os, signal, sys
    os.environ["JAX_PLATFORMS"] = "cpu"
    import jax
    rank, port, root = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    jax.distributed.initialize(f"127.0.0.1:{port}", 2, rank)
    import numpy as np
    import jaxmetrics as jm
    from jaxmetrics import processes

    mesh = jax.sharding.Mesh(np.array(jax.devices()), ("data",))
    metrics = jm.Collection(loss=jm.Mean("loss")).deferred(mesh)
    logger = jm.TrainingLogger("p", "run", root=root, console=False)
    processes.exchange("started", b"")
    if rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    processes.exchange.__defaults__ = (3.0,)  # the timeout
    try:
        logger.log_step(1, metrics=metrics, logged=1.0)
    except processes.MissingHostError as error:
        print(error.missing, error)
    logger.log_step(2, loss=1.0)
    print(logger.flush(), flush=True)
    os._exit(0)  # JAX would wait for the dead process at exit
"""


def test_a_process_that_died_is_named_and_the_other_continues(tmp_path):
    port = free_port()
    survivor, victim = [
        start_python(ONE_PROCESS_DIES, rank, port, tmp_path) for rank in range(2)
    ]
    named, flushed = survivor.communicate(timeout=120)[0].splitlines()
    victim.communicate(timeout=120)
    assert victim.returncode == -9
    assert named.startswith("(1,) exchange('metrics') waited 3 seconds for process 1 (")
    assert flushed == "True"
    written = [line.row for line in scan_lines(tmp_path / "p/run/metrics.jsonl")][1:]
    assert [row["step"] for row in written] == [1, 2]
    assert written[0]["train/logged"] == 1.0


def test_only_the_first_process_draws_and_reports_epochs(pods):
    first, *others = [result["drawn"] for result in results(pods, "2x4")]
    assert first["plots"] == 6 and first["report"].endswith("training_report.md")
    assert len(first["files"]) == 9
    assert others == [{"plots": 0, "report": "[]", "files": []}]
