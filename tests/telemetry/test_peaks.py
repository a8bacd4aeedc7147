"""Peak FLOPs per second of known device kinds."""

import pytest

from jaxmetrics.telemetry import peak_flops_per_second

PEAKS = {
    # Kinds that libtpu reports for its topologies, and JAX's other names for them.
    "TPU v2": 23,
    "TPU v3": 61.5,
    "TPU v4": 275,
    "TPU v4 lite": 137,
    "TPU v5 lite": 197,
    "TPU v5e": 197,
    "TPU v5": 459,
    "TPU v5p": 459,
    "TPU v6 lite": 918,
    "TPU v6e": 918,
    "TPU7": 1153.5,
    "TPU7x": 1153.5,
    "NVIDIA GB200": 2500,
    "NVIDIA B300 SXM6 AC": 2250,
    "NVIDIA B200": 2250,
    "NVIDIA B100": 1800,
    "NVIDIA H200 NVL": 836,
    "NVIDIA H200": 989.5,
    "NVIDIA H100 NVL": 835,
    "NVIDIA H100 PCIe": 756.5,
    "NVIDIA H100 80GB HBM3": 989.5,
    "NVIDIA A100-SXM4-80GB": 312,
    "NVIDIA A100-PCIE-40GB": 312,
    "NVIDIA A800-SXM4-80GB": 312,
    "NVIDIA A10": 125,
    "NVIDIA A10G": 70,
    "NVIDIA A30": 165,
    "NVIDIA A40": 149.7,
    "NVIDIA L4": 121,
    "NVIDIA L40S": 362,
    "Tesla V100-SXM2-16GB": 125,
    "Tesla V100-SXM3-32GB": 125,
    "Tesla V100-PCIE-32GB": 112,
    "Tesla T4": 65,
    "AMD Instinct MI250X": 191.5,
    "AMD Instinct MI300X": 1307,
    "AMD Instinct MI325X": 1307,
    "AMD Instinct MI355X": 2500,
}


@pytest.mark.parametrize("kind", PEAKS)
def test_known_kinds_have_a_peak(kind):
    assert peak_flops_per_second(kind) == PEAKS[kind] * 1e12
    assert peak_flops_per_second(kind.upper()) == PEAKS[kind] * 1e12


@pytest.mark.parametrize(
    "kind",
    [
        "cpu",
        "",
        "TPU",
        "TPU v8",
        "TPU8i",
        "TPU v40",
        "NVIDIA L40",
        "NVIDIA GH200 480GB",
        "NVIDIA H20",
        "NVIDIA GeForce RTX 4090",
        "NVIDIA A100-SXM4-40GB MIG 1g.5gb",
        "Tesla V100",
        "Tesla T40",
        "AMD Instinct MI300A",
    ],
)
def test_an_unknown_kind_has_no_peak(kind):
    assert peak_flops_per_second(kind) is None


def test_a_v4_8_has_four_chips():
    assert 4 * peak_flops_per_second("TPU v4") == 1.1e15
