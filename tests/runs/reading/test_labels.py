import pytest

from jaxmetrics.runs.reading import axis_label, chart_title, is_telemetry


@pytest.mark.parametrize(
    ("key", "label"),
    [
        ("mem/peak_bytes", "peak (bytes)"),
        ("gpu_peak_mb", "gpu peak (MiB)"),
        ("samples_per_sec", "samples / second"),
        ("update/ratio/head", "‖update‖ / ‖param‖"),
        ("grad/norm/head", "L2 norm"),
        ("lr/decoder", "learning rate"),
        ("val/accuracy", "accuracy (0 to 1)"),
        ("train/loss_p95", "loss p95"),
    ],
)
def test_axis_labels_have_units(key, label):
    assert axis_label(key) == label


def test_splits_of_a_metric_share_a_title():
    assert chart_title("train/loss") == chart_title("val_web/loss") == "loss"
    assert chart_title("lr/lr") == chart_title("lr/decoder") == "lr/"
    assert chart_title("loss") == "loss"


def test_reserved_prefixes_are_telemetry():
    assert is_telemetry("grad/norm") and is_telemetry("mem/peak_bytes")
    assert not is_telemetry("train/loss") and not is_telemetry("loss")
