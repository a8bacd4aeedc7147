"""Settings of a logger."""

import pytest

from jaxmetrics import LogConfig, TrainingLogger


def test_defaults():
    assert LogConfig() == LogConfig(
        project="jaxmetrics",
        run_name=None,
        tags=(),
        log_every=50,
        print_every=25,
        max_wandb_mb=100.0,
        enable_histograms=False,
        use_colors=True,
        compact_format=False,
        master_only=True,
    )


def test_settings_passed_directly_take_precedence(tmp_path):
    config = LogConfig(project="configured", run_name="run", print_every=7)
    with TrainingLogger(config=config, root=tmp_path, print_every=3) as logger:
        assert logger.config.print_every == 3
        assert logger.run_dir == tmp_path / "configured" / "run"


def test_an_unknown_setting_is_refused_with_the_nearest_name(make_logger):
    with pytest.raises(TypeError, match="'print_evry'.*'print_every'"):
        make_logger(print_evry=3)
