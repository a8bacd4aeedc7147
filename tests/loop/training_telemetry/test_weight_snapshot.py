"""The previous weights are kept on disk, on the host or on the device."""

import logging
import os
import socket
import sys

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from support.processes import start_python
from support.telemetry_lines import config, lines, params

import jaxmetrics as jm
from jaxmetrics import TrainingTelemetry, checkpoint
from jaxmetrics.loop.training_telemetry import _weight_snapshot

UNKNOWN = {"overall": None, "body": None, "head": None}


def collect(telemetry, step, weights):
    telemetry.on_batch_end({}, step=step, batch_idx=0, epoch=0, params=weights)


def deltas(tmp_path):
    return [line["weight_delta"] for line in lines(tmp_path)]


def snapshots(tmp_path):
    folder = tmp_path / "telemetry" / "last_checkpoint"
    return sorted(int(path.name) for path in folder.iterdir())


@pytest.mark.parametrize("where", ["disk", "host", "device"])
def test_the_change_of_the_weights_is_equal_for_all_locations(tmp_path, where):
    with TrainingTelemetry(config(tmp_path, weights_on=where)) as telemetry:
        for step, value in [(200, 1.0), (400, 3.0), (600, 3.5)]:
            weights = params(value)
            collect(telemetry, step, weights)
            jax.tree.map(lambda x: x.delete(), weights)  # like a step that donates them
    first, *rest = deltas(tmp_path)
    assert first == UNKNOWN
    for delta, by in zip(rest, (2.0, 0.5), strict=True):
        assert delta["overall"] == pytest.approx(by * 13**0.5)
        assert delta["head"] == by * 3


def test_weights_are_read_back_in_another_sharding_and_of_every_kind(tmp_path):
    sharding = NamedSharding(Mesh(np.array(jax.devices()), ("d",)), P("d"))

    def weights(value):
        return {
            "body": jnp.full((8, 3), value),
            "head": [np.full(4, value), value, jnp.full(2, value, jnp.bfloat16)],
            "empty": jnp.zeros((0, 2)),
            "steps": jnp.int32(7),
            "activation": jax.nn.relu,
        }

    with TrainingTelemetry(config(tmp_path)) as telemetry:
        collect(telemetry, 200, weights(1.0))
        moved = weights(3.0)
        moved["body"] = jax.device_put(moved["body"], sharding)
        collect(telemetry, 400, moved)
        collect(telemetry, 600, weights(4.0))
    _, second, third = deltas(tmp_path)
    assert second["head"] == pytest.approx(2 * 7**0.5)
    assert second["body"] == pytest.approx(2 * 24**0.5)
    assert third["overall"] == pytest.approx(31**0.5)
    assert second["empty"] == 0.0


@pytest.mark.parametrize("where", ["disk", "host", "device"])
def test_weights_of_another_structure_have_no_change(tmp_path, where, caplog):
    w = jnp.ones((2, 3))
    trees = [{"w": w}, {"w": w.T}, {"w": w[:1]}, {"w": w[:1], "v": w}, {"v": w}]
    with TrainingTelemetry(config(tmp_path, weights_on=where)) as telemetry:
        for step, weights in enumerate(trees, 1):
            collect(telemetry, 200 * step, weights)
    assert [set(delta.values()) for delta in deltas(tmp_path)] == [{None}] * 5
    assert not caplog.records


def test_no_weights_have_no_change(tmp_path, caplog):
    with TrainingTelemetry(config(tmp_path)) as telemetry:
        for step in (200, 400):
            collect(telemetry, step, {"empty": jnp.zeros(0)})
    assert deltas(tmp_path) == [{"overall": None, "empty": None}] * 2
    assert not caplog.records


def test_a_new_run_in_an_old_directory_has_no_change_at_first(tmp_path):
    for value in (1.0, 5.0):
        with TrainingTelemetry(config(tmp_path)) as telemetry:
            collect(telemetry, 200, params(value))
            collect(telemetry, 400, params(value + 2))
    assert [d["body"] for d in deltas(tmp_path)] == [None, 4.0, None, 4.0]
    assert snapshots(tmp_path) == [400]


def squared(step):
    """Weights whose change differs in each step."""
    return params(float(step) ** 2)


def train(tmp_path, first, last, save=(), restore=None, reset=False):
    """Collect from a step to another, and save at some steps."""
    manager = ocp.CheckpointManager(tmp_path / "saved")
    options = config(tmp_path, collect_every_n=2)
    with manager, TrainingTelemetry(options) as telemetry:
        if restore is not None or reset:
            checkpoint.restore(manager, restore, None, telemetry=telemetry)
        for step in range(first, last + 1):
            collect(telemetry, step, squared(step))
            if step in save:
                item = checkpoint.args(None, telemetry=telemetry)
                manager.save(step, args=ocp.args.Composite(jaxmetrics=item))
        manager.wait_until_finished()
    return [(line["step"], line["weight_delta"]["body"]) for line in lines(tmp_path)]


@pytest.mark.parametrize("restore", [5, 9])  # the last checkpoint may not be complete
def test_a_restored_run_has_the_changes_of_an_uninterrupted_one(tmp_path, restore):
    whole = train(tmp_path / "whole", 1, 14)
    train(tmp_path / "killed", 1, 12, save=(3, 5, 9))
    assert snapshots(tmp_path / "killed") == [4, 8, 12]
    resumed = train(tmp_path / "killed", restore + 1, 14, restore=restore)
    assert resumed == whole
    moved = tmp_path / "killed" / "telemetry" / "telemetry.jsonl.after-restore"
    assert moved.read_text().count("\n") == (12 - restore + 1) // 2


def test_a_run_without_a_checkpoint_begins_afresh(tmp_path):
    whole = train(tmp_path / "whole", 1, 6)
    train(tmp_path / "killed", 1, 5)
    assert train(tmp_path / "killed", 1, 6, reset=True) == whole
    assert (tmp_path / "killed/telemetry/telemetry.jsonl.after-restart").exists()


def test_after_a_reset_the_first_collection_has_no_change(tmp_path):
    for where in ("disk", "host", "device"):
        with TrainingTelemetry(config(tmp_path / where, weights_on=where)) as telemetry:
            collect(telemetry, 200, params())
            telemetry.reset()
            collect(telemetry, 200, params())
        assert deltas(tmp_path / where) == [UNKNOWN]


def test_a_snapshot_that_is_gone_is_named_and_the_change_unknown(tmp_path, caplog):
    train(tmp_path, 1, 8, save=(3, 5, 7))
    with caplog.at_level(logging.WARNING, "jaxmetrics"):
        resumed = train(tmp_path, 4, 8, restore=3)  # two checkpoints are newer
    (record,) = caplog.records
    assert "since step 2 is unknown" in record.message
    assert resumed == [(2, None), (4, None), (6, 80.0 / 2), (8, 56.0)]


@pytest.mark.parametrize("fault", ["no room", "not a folder"])
def test_a_snapshot_that_cannot_be_written_is_one_message_and_stops_nothing(
    tmp_path, caplog, capfd, monkeypatch, fault
):
    telemetry = TrainingTelemetry(config(tmp_path, collect_every_n=1))
    folder = tmp_path / "telemetry" / "last_checkpoint"
    collect(telemetry, 1, params(1.0))
    capfd.readouterr()
    with monkeypatch.context() as patch:
        if fault == "no room":
            sizes = os.statvfs_result((4096, 4096, 100, 0, 0, 100, 100, 100, 0, 255))
            patch.setattr(os, "statvfs", lambda _: sizes)
        else:
            folder.rename(tmp_path / "away")
            folder.write_text("")
        collect(telemetry, 2, params(2.0))
        collect(telemetry, 3, params(3.0))
    if fault == "not a folder":
        folder.unlink()
        (tmp_path / "away").rename(folder)
    else:
        assert snapshots(tmp_path) == [1]
    collect(telemetry, 4, params(4.0))
    collect(telemetry, 5, params(6.0))
    telemetry.close()
    assert [m for m in caplog.messages if "cannot be written" in m] == [
        m for m in caplog.messages if m.startswith("The snapshot of the weights in")
    ]
    assert len(caplog.messages) <= 2 and len(capfd.readouterr().err) < 3000
    known = [delta["overall"] is not None for delta in deltas(tmp_path)]
    assert known[2:] == [False, False, True]
    assert snapshots(tmp_path) == [5]


def test_the_weights_are_not_copied_to_devices(tmp_path, monkeypatch):
    from jaxmetrics.loop.training_telemetry import _weight_snapshot

    opened, on_devices = _weight_snapshot._open_array, []

    def buffers():
        """Return the buffers of all arrays on devices of the size of a weight."""
        arrays = (x for x in jax.live_arrays() if x.shape == (256, 256))
        return {s.data.unsafe_buffer_pointer() for x in arrays for s in x.global_shards}

    def open_array(folder, name):
        on_devices.append(buffers())
        return opened(folder, name)

    monkeypatch.setattr(_weight_snapshot, "_open_array", open_array)
    weights = {"a": jnp.ones((256, 256)), "b": jnp.ones((256, 256))}
    before = buffers()
    with TrainingTelemetry(config(tmp_path)) as telemetry:
        for step in (200, 400):
            collect(telemetry, step, weights)
    assert on_devices == [before, before]
    assert len(before) == 2


def test_without_orbax_the_weights_are_kept_on_the_host_with_one_warning(
    tmp_path, monkeypatch, caplog
):
    for name in [n for n in sys.modules if n.split(".")[0] == "orbax"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "orbax", None)
    with caplog.at_level(logging.WARNING, "jaxmetrics"):
        with TrainingTelemetry(config(tmp_path)) as telemetry:
            for step, value in [(200, 1.0), (400, 3.0), (600, 3.5)]:
                weights = params(value)
                collect(telemetry, step, weights)
                jax.tree.map(lambda x: x.delete(), weights)
    assert [delta["body"] for delta in deltas(tmp_path)] == [None, 4.0, 1.0]
    (record,) = caplog.records
    assert "pip install jaxmetrics[telemetry]" in record.message
    assert [p.name for p in (tmp_path / "telemetry").iterdir()] == ["telemetry.jsonl"]


def test_weights_sharded_over_processes_are_compared_by_each(tmp_path):
    script = """
    import os, sys
    os.environ |= {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": ""}
    import jax, numpy as np
    from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
    from jaxmetrics import TelemetryConfig, TrainingTelemetry
    from jaxmetrics.loop.training_telemetry import _weight_snapshot

    rank, port, folder = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    jax.distributed.initialize(f"127.0.0.1:{port}", 2, rank)
    mesh = Mesh(np.array(jax.devices()), ("data",))
    opened, arrays = _weight_snapshot._open_array, []

    def open_array(*arguments):
        arrays.append(len(jax.live_arrays()))
        return opened(*arguments)

    _weight_snapshot._open_array = open_array

    def weights(value):
        def full(spec):
            return jax.make_array_from_callback(
                (2, 2), NamedSharding(mesh, spec), lambda i: np.full((2, 2), value)[i]
            )
        return {"sharded": full(P("data")), "replicated": full(P()),
                "own": np.full((2, 2), value)}

    for where in ("host", "disk"):
        config = TelemetryConfig(output_dir=f"{folder}/{where}", weights_on=where)
        with TrainingTelemetry(config) as telemetry:
            for step, value in [(200, 1.0), (400, 3.0)]:
                params = weights(value)
                position = dict(batch_idx=0, epoch=0)
                telemetry.on_batch_end({}, step=step, params=params, **position)
                jax.tree.map(lambda x: getattr(x, "delete", int)(), params)
            state = telemetry.state()
            telemetry.on_batch_end({}, step=600, params=weights(9.0), **position)
        with TrainingTelemetry(config) as telemetry:
            telemetry.load_state(state)
            telemetry.on_batch_end({}, step=600, params=weights(4.0), **position)
    assert arrays and max(arrays) <= 4, "an array of the snapshot is on a device"
    print("done")
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    running = [start_python(script, rank, port, tmp_path) for rank in (0, 1)]
    try:
        outputs = [process.communicate(timeout=120)[0] for process in running]
        assert [text.splitlines()[-1:] for text in outputs] == [["done"]] * 2
    finally:
        for process in running:
            process.kill()
    for where in ("host", "disk"):
        read, _ = jm.record.read_lines(tmp_path / where / "telemetry.jsonl")
        first, second, third = (line["weight_delta"] for line in read)
        assert set(first.values()) == {None}
        assert second["sharded"] == second["replicated"] == second["own"] == 4.0
        assert third["sharded"] == third["own"] == (2.0 if where == "disk" else None)


def test_only_messages_about_the_folder_are_left_out(tmp_path, caplog):
    log = logging.getLogger("absl")
    with _weight_snapshot._without_log_of(tmp_path):
        log.error("Error writing %s/2.orbax-checkpoint-tmp", tmp_path)
        log.error("Error writing /elsewhere")
    log.error("Error writing %s", tmp_path)
    assert caplog.messages == ["Error writing /elsewhere", f"Error writing {tmp_path}"]
