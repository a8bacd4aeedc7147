"""A logger whose records a test reads back."""

import pytest

from jaxmetrics import TrainingLogger
from jaxmetrics.record import Media
from jaxmetrics.writers import Memory


@pytest.fixture
def memory():
    return Memory()


@pytest.fixture
def logger(tmp_path, memory):
    options = {"writers": [memory], "console": False, "enable_histograms": True}
    with TrainingLogger("p", "run", tmp_path, **options) as run:
        yield run


@pytest.fixture
def logged(logger, memory):
    """Return step, split and values of the records of numbers, when called."""

    def read():
        assert logger.flush()
        records = [r for r in memory.records if not isinstance(r, Media)]
        return [(r.step, r.split, dict(r.values)) for r in records]

    return read


@pytest.fixture
def media(logger, memory):
    """Return the values of media by kind, split and key, when called."""

    def read():
        assert logger.flush()
        records = [r for r in memory.records if isinstance(r, Media)]
        return {(r.kind, r.split, k): v for r in records for k, v in r.values.items()}

    return read
