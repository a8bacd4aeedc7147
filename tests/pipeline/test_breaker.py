"""Pauses of a writer that keeps failing."""

from support.clock import Clock

from jaxmetrics.pipeline._breaker import Breaker


def test_pauses_double_up_to_ten_minutes_and_start_again_after_a_success():
    clock = Clock()
    breaker = Breaker(clock)

    def pauses(number: int) -> list[float]:
        """Return the lengths of pauses that each end in a failed probe."""
        lengths = []
        while len(lengths) < number:
            start = clock.now
            while not breaker.allows():
                clock.now += 1.0
            lengths.append(clock.now - start)
            assert not breaker.failed()
        return lengths

    for _ in range(2):
        assert [breaker.failed() for _ in range(3)] == [False, False, True]
        assert pauses(7) == [30, 60, 120, 240, 480, 600, 600]
        assert breaker.succeeded() and breaker.allows()
        assert not breaker.succeeded()


def test_a_success_resets_the_count_of_failures():
    breaker = Breaker(Clock())
    for _ in range(3):
        assert not breaker.failed()
        assert not breaker.failed()
        assert not breaker.succeeded()
    assert breaker.allows()
