"""A clock that is set while a run lasts changes no duration."""

import pytest
from support.clock import Clock

from jaxmetrics import EpochTracker, Run, TrainingLogger
from jaxmetrics.runs import goodput

HOUR = 3600.0


def train(root, jumps, *, one_clock=False):
    """Train for 100 steps of one second, with a restore of step 40 after step 60.

    Args:
      root: Root of the runs.
      jumps: Seconds by which the clock is set, by the number of seconds trained.
      one_clock: Whether the logger measures durations by the same clock.

    Returns:
      Training seconds of the last row, and the goodput with seconds by category.
    """
    clock, monotonic = Clock(1.7e9), Clock(77.0)
    clocks = {"clock": clock} | ({} if one_clock else {"monotonic": monotonic})
    options = dict(run_name="r", root=root, console=False, **clocks)
    trained = 0

    def steps(logger, numbers):
        nonlocal trained
        for step in numbers:
            trained += 1
            monotonic.now += 1.0
            clock.now += 1.0 + jumps.get(trained, 0.0)
            logger.ledger.event("data_wait", seconds=0.01)
            logger.log_step(step, loss=1.0)

    logger = TrainingLogger("p", **options)
    steps(logger, range(1, 41))
    saved = logger.state()
    steps(logger, range(41, 61))
    logger.close()
    clock.now += 600.0
    monotonic.now = 5.0  # another machine
    logger = TrainingLogger("p", **options)
    logger.load_state(saved)
    steps(logger, range(41, 81))
    logger.close()
    path = root / "p" / "r"
    return Run.load(path).seconds, goodput(path)


def differs(first, second):
    """Return whether two results of `train` differ by more than a second."""
    (seconds, spent), (other_seconds, other_spent) = first, second
    names = spent.keys() | other_spent.keys()
    return abs(seconds - other_seconds) > 1.0 or any(
        abs(spent.get(name, 0.0) - other_spent.get(name, 0.0)) > 1.0 for name in names
    )


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    return train(tmp_path_factory.mktemp("undisturbed"), {})


def test_an_undisturbed_run(undisturbed):
    seconds, spent = undisturbed
    assert seconds == 80.0
    assert sum(spent.values()) - spent["goodput"] == pytest.approx(700.0)
    assert spent["rewind"] == pytest.approx(20.0, abs=0.5)
    assert spent["idle"] == pytest.approx(600.0, abs=0.5)


@pytest.mark.parametrize("jump", [HOUR, -HOUR, -1e9])
@pytest.mark.parametrize("second", [1, 41, 50, 61, 100])
def test_a_clock_that_is_set_changes_no_seconds(tmp_path, undisturbed, second, jump):
    result = train(tmp_path, {second: jump})
    assert not differs(result, undisturbed)
    assert result[1]["goodput"] == pytest.approx(undisturbed[1]["goodput"], abs=0.002)


def test_a_single_clock_that_is_set_changes_them(tmp_path, undisturbed):
    assert differs(train(tmp_path, {50: HOUR}, one_clock=True), undisturbed)


@pytest.mark.parametrize("jump", [HOUR, -HOUR])
def test_a_clock_that_is_set_changes_no_epoch(tmp_path, jump):
    clock, monotonic = Clock(1.7e9), Clock(7.0)
    tracker = EpochTracker(tmp_path, clock=clock, monotonic=monotonic)
    tracker.start_epoch(0)
    tracker.log_batch(loss=1.0, samples=40)
    clock.now, monotonic.now = clock.now + jump, 27.0
    epoch = tracker.end_epoch()
    assert epoch.epoch_time_sec == epoch.cumulative_time_sec == 20.0
    assert epoch.samples_per_sec == 2.0
