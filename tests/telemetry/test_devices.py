"""Memory of devices, programs and the host, and utilization of TPUs."""

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
    """Imitate a GPU; the tests run without one."""
    return SimpleNamespace(process_index=process, memory_stats=lambda: stats or None)


def test_a_cpu_reports_no_statistics_rather_than_zeros():
    assert telemetry.memory() == {}
    assert telemetry.memory(jax.local_devices()[0]) == {}
    assert telemetry.memory_mb() == {}
    assert set(telemetry.memory_metrics()) <= {"mem/host_rss_bytes"}


def test_memory_is_reported_under_three_sets_of_names():
    gpu = device(**STATS)
    assert telemetry.memory(gpu) == STATS
    assert telemetry.memory_mb(gpu) == {
        "gpu_allocated_mb": 6.0,
        "gpu_reserved_mb": 8.0,
        "gpu_peak_mb": 7.0,
    }
    values = telemetry.memory_metrics(gpu)
    values.pop("mem/host_rss_bytes", None)
    assert values == {
        "mem/in_use_bytes": 6 * 2**20,
        "mem/peak_bytes": 7 * 2**20,
        "mem/reserved_bytes": 8 * 2**20,
        "mem/limit_bytes": 24 * 2**20,
        "mem/frac": 0.25,
    }


def test_reserved_bytes_come_before_pool_bytes():
    tpu = device(bytes_reserved=2**20, pool_bytes=9 * 2**20)
    assert telemetry.memory_mb(tpu) == {"gpu_reserved_mb": 1.0}


def test_the_default_is_the_maximum_over_local_devices(monkeypatch):
    local = [device(**STATS), device(**STATS | {"bytes_in_use": 9}), device()]
    monkeypatch.setattr(jax, "local_devices", lambda: local)
    assert telemetry.memory() == STATS


def test_a_device_of_another_process_is_refused():
    with pytest.raises(
        ValueError, match="of process 3; expected a device of process 0"
    ):
        telemetry.memory(device(process=3, **STATS))


@pytest.mark.skipif(not telemetry.host_memory(), reason="the system does not report it")
def test_host_memory_grows_with_allocated_pages():
    size = 2**26
    before = telemetry.host_memory()["rss_bytes"]
    with mmap.mmap(-1, size) as pages:  # new pages, not reused memory of the allocator
        pages.write(b"x" * size)
        grown = telemetry.host_memory()["rss_bytes"] - before
    assert size / 2 < grown < 4 * size


@pytest.mark.parametrize("text", ["", "1", "x y", None])
def test_host_memory_is_empty_where_the_system_does_not_report_it(
    text, tmp_path, monkeypatch
):
    file = tmp_path / "statm"
    if text is not None:
        file.write_text(text)
    monkeypatch.setattr(_devices, "open", lambda _: file.open(), raising=False)
    assert telemetry.host_memory() == {}


def test_a_compiled_program_has_an_estimate_of_its_memory():
    x = jax.ShapeDtypeStruct((16, 16), jnp.float32)
    values = telemetry.compiled_memory(jax.jit(jnp.dot).lower(x, x).compile())
    assert values["argument_bytes"] == 2 * 16 * 16 * 4
    assert values["output_bytes"] == 16 * 16 * 4
    assert {"temp_bytes", "alias_bytes", "generated_code_bytes"} <= set(values)
    assert all(name.endswith("_bytes") for name in values)
    assert (
        telemetry.compiled_memory(SimpleNamespace(memory_analysis=lambda: None)) == {}
    )


def monitoring(**texts):
    """Imitate libtpu.sdk.tpumonitoring, which works only with a TPU."""
    return SimpleNamespace(
        list_supported_metrics=lambda: list(texts),
        get_metric=lambda name: SimpleNamespace(data=lambda: texts[name]),
    )


def test_without_a_tpu_there_is_no_utilization():
    assert telemetry.tpu_utilization() == {}


def test_utilization_is_the_mean_fraction_of_the_chips():
    values = _devices._utilization(
        monitoring(duty_cycle_pct=["20.00", "40.00"], tensorcore_util=["5.0", "15.0"])
    )
    assert values == {"tpu/duty_cycle": 0.3, "tpu/tensorcore_util": 0.1}


def test_metrics_that_libtpu_does_not_report_are_left_out():
    assert _devices._utilization(monitoring(duty_cycle_pct=[])) == {}
    assert _devices._utilization(monitoring()) == {}
