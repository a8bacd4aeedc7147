import pytest

from jaxmetrics.record import direction


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("val/accuracy", "max"),
        ("val/top5_accuracy", "max"),
        ("perf/tokens_per_second", "max"),
        ("val/rouge_l", "max"),
        ("val/rougeL", "max"),
        ("train/loss", "min"),
        ("val_code/loss", "min"),
        ("perf/step_seconds", "min"),
        ("grad/norm", None),
        ("val/accuracy_of_nothing", None),
        ("val/loss_scale", None),
        ("val/lossy", None),
    ],
)
def test_the_direction_follows_from_the_whole_name(key, expected):
    assert direction(key) == expected
