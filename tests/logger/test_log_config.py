"""Settings of a logger."""

import inspect

import numpy as np
import pytest

from jaxmetrics import LogConfig, TrainingLogger
from jaxmetrics.logger._log_config import ARGUMENTS


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


@pytest.mark.parametrize(
    ("argument", "advice"),
    [
        ("print_evry", "Did you mean 'print_every'?"),
        ("hparam", "Did you mean 'hparams'?"),
        ("id", "Pass run_name=: attempts under one name are one run."),
        ("entity", "Pass writers=[WandB(entity=...)]."),
        (
            "xyzzy",
            "It takes project, run_name, root, hparams, config, writers, ",
        ),
    ],
)
def test_an_unknown_argument_is_refused_with_what_to_pass(argument, advice):
    with pytest.raises(TypeError) as refused:
        TrainingLogger(**{argument: 3})
    assert f"got an unknown {argument!r}. {advice}" in str(refused.value)


@pytest.mark.parametrize("steps", [2.5, "5", True, None, 0, -1])
@pytest.mark.parametrize("name", ["print_every", "log_every"])
def test_an_interval_is_a_positive_integer(name, steps):
    with pytest.raises((TypeError, ValueError), match=f"{name}={steps!r}"):
        LogConfig(**{name: steps})
    interval = getattr(LogConfig(**{name: np.int64(5)}), name)
    assert (interval, type(interval)) == (5, int)


def test_the_configuration_of_a_training_is_no_config():
    with pytest.raises(TypeError, match="a LogConfig. Pass .* as hparams=."):
        TrainingLogger(config={"lr": 1e-3})


def test_the_arguments_that_errors_name_are_those_of_the_logger():
    parameters = inspect.signature(TrainingLogger).parameters
    assert set(ARGUMENTS) == set(parameters) - {"fields"}
