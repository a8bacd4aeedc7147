"""Memory of devices, of compiled programs and of the host; the use of a TPU."""

import mmap
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import pytest

from jaxmetrics import telemetry
from jaxmetrics.telemetry import _devices

STATS = {
    "bytes_in_use": 6 * 2**20,
    "peak_bytes_in_use": 7 * 2**20,
    "bytes_limit": 24 * 2**20,
    "pool_bytes": 8 * 2**20,
    "num_allocs": 3,
}


def device(process=0, **stats):
    """As a GPU would answer; there is none where the tests run."""
    return SimpleNamespace(process_index=process, memory_stats=lambda: stats or None)


def test_a_cpu_has_no_numbers_rather_than_zeros():
    assert telemetry.memory() == {}
    assert telemetry.memory(jax.local_devices()[0]) == {}
    assert telemetry.memory_mb() == {}
    assert set(telemetry.memory_metrics()) <= {"mem/host_rss_bytes"}


def test_a_device_tells_its_numbers_under_three_sets_of_names():
    gpu = device(**STATS)
    assert telemetry.memory(gpu) == STATS
    assert telemetry.memory_mb(gpu) == {
        "gpu_allocated_mb": 6.0,
        "gpu_reserved_mb": 8.0,
        "gpu_peak_mb": 7.0,
    }
    found = telemetry.memory_metrics(gpu)
    found.pop("mem/host_rss_bytes", None)
    assert found == {
        "mem/in_use_bytes": 6 * 2**20,
        "mem/peak_bytes": 7 * 2**20,
        "mem/reserved_bytes": 8 * 2**20,
        "mem/limit_bytes": 24 * 2**20,
        "mem/frac": 0.25,
    }


def test_reserved_is_what_the_platform_calls_so():
    tpu = device(bytes_reserved=2**20, pool_bytes=9 * 2**20)
    assert telemetry.memory_mb(tpu) == {"gpu_reserved_mb": 1.0}


def test_of_several_devices_the_largest_numbers_count(monkeypatch):
    local = [device(**STATS), device(**STATS | {"bytes_in_use": 9}), device()]
    monkeypatch.setattr(jax, "local_devices", lambda: local)
    assert telemetry.memory() == STATS


def test_a_device_of_another_process_is_refused():
    with pytest.raises(ValueError, match="of process 3; expected one of process 0"):
        telemetry.memory(device(process=3, **STATS))


@pytest.mark.skipif(not telemetry.host_memory(), reason="the system does not tell it")
def test_host_memory_grows_with_what_is_held():
    size = 2**26
    before = telemetry.host_memory()["rss_bytes"]
    with mmap.mmap(-1, size) as held:  # new pages, not what an array was freed from
        held.write(b"x" * size)
        grown = telemetry.host_memory()["rss_bytes"] - before
    assert size / 2 < grown < 4 * size


def test_a_compiled_program_tells_what_it_needs():
    x = jax.ShapeDtypeStruct((16, 16), jnp.float32)
    found = telemetry.compiled_memory(jax.jit(jnp.dot).lower(x, x).compile())
    assert found["argument_bytes"] == 2 * 16 * 16 * 4
    assert found["output_bytes"] == 16 * 16 * 4
    assert {"temp_bytes", "alias_bytes", "generated_code_bytes"} <= set(found)
    assert all(name.endswith("_bytes") for name in found)
    assert (
        telemetry.compiled_memory(SimpleNamespace(memory_analysis=lambda: None)) == {}
    )


def monitoring(**texts):
    """libtpu's module, which answers only beside a TPU: a list of texts a metric."""
    return SimpleNamespace(
        list_supported_metrics=lambda: list(texts),
        get_metric=lambda name: SimpleNamespace(data=lambda: texts[name]),
    )


def test_without_a_tpu_there_is_no_utilization():
    assert telemetry.tpu_utilization() == {}


def test_utilization_is_the_mean_fraction_of_the_chips():
    found = _devices._utilization(
        monitoring(duty_cycle_pct=["20.00", "40.00"], tensorcore_util=["5.0", "15.0"])
    )
    assert found == {"tpu/duty_cycle": 0.3, "tpu/tensorcore_util": 0.1}


def test_what_libtpu_does_not_say_is_left_out():
    assert _devices._utilization(monitoring(duty_cycle_pct=[])) == {}
    assert _devices._utilization(monitoring()) == {}
