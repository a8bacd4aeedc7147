"""Calls that other loggers have."""

import pytest

import jaxmetrics as jm
from jaxmetrics._other_names import LOGGER_CALLS


def test_what_other_loggers_call_it_is_refused_with_what_to_call(make_logger):
    logger = make_logger()
    for name in LOGGER_CALLS:
        assert name not in dir(logger)
        with pytest.raises(AttributeError, match=f"no '{name}'. Use "):
            getattr(logger, name)
    with pytest.raises(AttributeError, match=r"no 'log'. Use log_step\(step, val"):
        logger.log({"loss": 1.0})
    with pytest.raises(AttributeError, match="no 'log_stp'. Did you mean 'log_step'?"):
        logger.log_stp(1, loss=1.0)
    with pytest.raises(AttributeError, match="no 'xyzzy'. It has attach, attached"):
        logger.xyzzy()
    assert not hasattr(logger, "_nothing") and not hasattr(logger, "__array__")


def test_advice_names_what_there_is():
    for call in LOGGER_CALLS.values():
        first = call.partition("(")[0].partition(",")[0]
        if not hasattr(jm.TrainingLogger, first.partition(".")[0]):
            module, _, name = first.partition(".")
            assert hasattr(getattr(jm, module), name.partition(".")[0]), call
