"""A clock that tests advance."""


class Clock:
    """Return seconds that change only by assignment to `now`."""

    def __init__(self, now=100.0):
        self.now = now

    def __call__(self):
        return self.now
