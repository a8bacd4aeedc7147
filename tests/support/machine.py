"""A host with a device, on a clock that tests advance."""

import jaxmetrics as jm

PEAK = 1000.0


class Machine:
    """A host, and a device that runs dispatched steps one after another."""

    def __init__(self):
        self.now = self.busy_until = 100.0

    def __call__(self):
        return self.now

    def dispatch(self, seconds, host=0.125):
        """Dispatch a step; the host continues after `host` seconds."""
        self.now += host
        self.busy_until = max(self.busy_until, self.now) + seconds
        return Output(self, self.busy_until)

    def sleep(self, seconds):
        self.now += seconds


class Output:
    def __init__(self, machine, ready):
        self.machine, self.ready = machine, ready

    def block_until_ready(self):
        self.machine.now = max(self.machine.now, self.ready)
        return self


def tracker(machine, **options):
    options = {"world_size": 2, "peak_flops_per_second": PEAK} | options
    return jm.PerformanceTracker(clock=machine, **options)


def run(performance, machine, steps, seconds=2.0, **arguments):
    for _ in range(steps):
        output = machine.dispatch(seconds)
        performance.update(4, output=output, **arguments)
