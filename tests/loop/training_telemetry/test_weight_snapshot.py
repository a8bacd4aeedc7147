"""The previous weights are kept on disk, on the host or on the device."""

import logging
import socket
import sys

import jax
import jax.numpy as jnp
import pytest
from support.processes import start_python
from support.telemetry_lines import config, lines, params

from jaxmetrics import TrainingTelemetry


@pytest.mark.parametrize("where", ["disk", "host", "device"])
def test_the_change_of_the_weights_is_equal_for_all_locations(tmp_path, where):
    with TrainingTelemetry(config(tmp_path, weights_on=where)) as telemetry:
        for step, value in [(200, 1.0), (400, 3.0), (600, 3.5)]:
            weights = params(value)
            position = dict(step=step, batch_idx=0, epoch=0)
            telemetry.on_batch_end({}, params=weights, **position)
            jax.tree.map(lambda x: x.delete(), weights)  # like a step that donates them
    deltas = [line["weight_delta"] for line in lines(tmp_path)]
    assert deltas[0] == {}
    for delta, by in zip(deltas[1:], (2.0, 0.5)):
        assert delta["overall"] == pytest.approx(by * 13**0.5)
        assert delta["head"] == pytest.approx(by * 3)


def test_weights_on_disk_survive_a_restart(tmp_path):
    position = dict(batch_idx=0, epoch=0)
    for step, value in [(200, 1.0), (400, 3.0)]:
        with TrainingTelemetry(config(tmp_path)) as telemetry:
            telemetry.on_batch_end({}, step=step, params=params(value), **position)
    assert lines(tmp_path)[1]["weight_delta"]["body"] == pytest.approx(4.0)
    folder = tmp_path / "telemetry"
    assert sorted(p.name for p in folder.iterdir()) == [
        "last_checkpoint",
        "telemetry.jsonl",
    ]


def test_weights_of_another_structure_have_no_change(tmp_path):
    position = dict(batch_idx=0, epoch=0)
    with TrainingTelemetry(config(tmp_path)) as telemetry:
        telemetry.on_batch_end({}, step=200, params=params(), **position)
        telemetry.on_batch_end({}, step=400, params={"other": jnp.ones(2)}, **position)
    assert [line["weight_delta"] for line in lines(tmp_path)] == [{}, {}]


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
                position = dict(step=step, batch_idx=0, epoch=0)
                telemetry.on_batch_end({}, params=weights, **position)
                jax.tree.map(lambda x: x.delete(), weights)
    deltas = [line["weight_delta"] for line in lines(tmp_path)]
    assert deltas[0] == {}
    assert [delta["body"] for delta in deltas[1:]] == [4.0, 1.0]
    (record,) = caplog.records
    assert "pip install jaxmetrics[telemetry]" in record.message
    assert [p.name for p in (tmp_path / "telemetry").iterdir()] == ["telemetry.jsonl"]


def test_weights_sharded_over_processes_are_kept_on_each_host(tmp_path):
    script = """
    import os, sys
    os.environ |= {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": ""}
    import jax, numpy as np
    from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
    from jaxmetrics import TelemetryConfig, TrainingTelemetry

    rank, port, folder = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    jax.distributed.initialize(f"127.0.0.1:{port}", 2, rank)
    mesh = Mesh(np.array(jax.devices()), ("data",))

    def weights(value):
        def full(spec):
            return jax.make_array_from_callback(
                (2, 2), NamedSharding(mesh, spec), lambda i: np.full((2, 2), value)[i]
            )
        return {"sharded": full(P("data")), "replicated": full(P())}

    config = TelemetryConfig(output_dir=folder, weights_on="host")
    with TrainingTelemetry(config) as telemetry:
        for step, value in [(200, 1.0), (400, 3.0)]:
            params = weights(value)
            telemetry.on_batch_end({}, step=step, batch_idx=0, epoch=0, params=params)
            jax.tree.map(lambda x: x.delete(), params)
    print("done")
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tmp_path / "telemetry"
    running = [start_python(script, rank, port, folder) for rank in (0, 1)]
    try:
        outputs = [process.communicate(timeout=120)[0] for process in running]
        assert [text.splitlines()[-1:] for text in outputs] == [["done"]] * 2
    finally:
        for process in running:
            process.kill()
    first, second = (line["weight_delta"] for line in lines(tmp_path))
    assert first == {}
    assert second["sharded"] == second["replicated"] == 4.0
