"""Configuration from keywords, mappings and YAML."""

import logging
import sys

import numpy as np
import pytest

from jaxmetrics import TelemetryConfig, TrainingTelemetry


def test_default_settings():
    assert TelemetryConfig() == TelemetryConfig(
        enabled=True,
        collect_every_n=200,
        output_dir=None,
        track_gradients=True,
        track_weight_delta=True,
        track_learning_rates=True,
        track_holdout_logits=True,
        track_batch_stats=True,
        holdout_size=50,
    )


def test_unknown_settings_are_ignored_with_one_warning(caplog):
    with caplog.at_level(logging.WARNING):
        config = TelemetryConfig.from_dict({"holdout_size": 3, "colour": 1, "b": 2})
    assert config == TelemetryConfig(holdout_size=3)
    (record,) = caplog.records
    assert "['b', 'colour']" in record.message


def test_settings_are_read_from_a_block_of_yaml(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(
        "model: big\ntelemetry:\n  collect_every_n: 10\n  output_dir: null\n"
    )
    assert TelemetryConfig.from_yaml(path) == TelemetryConfig(collect_every_n=10)


def test_a_field_may_be_set_later_or_take_precedence_over_a_file(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("telemetry:\n  holdout_size: 3\n  output_dir: null\n")
    config = TelemetryConfig.from_yaml(path)
    config.output_dir = tmp_path
    given = TelemetryConfig.from_yaml(path, output_dir=tmp_path, holdout_size=4)
    assert config == TelemetryConfig(output_dir=tmp_path, holdout_size=3)
    assert given == TelemetryConfig(output_dir=tmp_path, holdout_size=4)
    with pytest.raises(TypeError, match="colour"):
        TelemetryConfig.from_dict({}, colour=1)
    config.holdout_size = 0
    with pytest.raises(ValueError, match="holdout_size=0"):
        TrainingTelemetry(config)


@pytest.mark.parametrize(
    "text, words",
    [
        ("telemetry: !!python/object/apply:os.system ['true']", "plain values"),
        ("model: big", "no block"),
        ("telemetry: [1]", "no block"),
        ("a: [", "plain values"),
    ],
)
def test_yaml_without_settings_is_refused(tmp_path, text, words):
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(ValueError, match=words):
        TelemetryConfig.from_yaml(tmp_path / "config.yaml")


def test_integers_of_numpy_become_those_of_python():
    config = TelemetryConfig(collect_every_n=np.int8(3))
    assert type(config.collect_every_n) is int and config.collect_every_n == 3


@pytest.mark.parametrize(
    "wrong", [{"collect_every_n": 0}, {"holdout_size": 1.5}, {"weights_on": "moon"}]
)
def test_invalid_settings_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        TelemetryConfig(**wrong)


def test_without_pyyaml_the_error_names_the_extra(tmp_path, monkeypatch):
    path = tmp_path / "config.yaml"
    path.write_text("telemetry: {}")
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(ImportError, match=r"pip install jaxmetrics\[telemetry\]"):
        TelemetryConfig.from_yaml(path)
