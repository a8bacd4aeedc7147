"""Run pytest in forks of a process that has imported the slow libraries.

`support/mutation.py` starts it as a `Zygote`. The package itself is imported by the
forks, so that each of them tests the files as they are at that moment.
"""

import importlib
import os
import signal
import sys
import time

del sys.path[0]  # this folder, whose modules belong to `support`

import pytest  # noqa: E402
from support.zygote import serve  # noqa: E402

LIBRARIES = "jax numpy optax flax orbax.checkpoint matplotlib.figure rich"


class ChosenTests:
    """Leave out some of the collected tests, run the fastest first, save what fails.

    Args:
      seconds: Seconds of tests; others count as fast.
      left_out: Names of tests to leave out.
      failures: File to which the names of tests that fail are appended.
    """

    def __init__(self, seconds, left_out, failures):
        self.seconds, self.left_out, self.failures = seconds, set(left_out), failures

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items):
        items[:] = [item for item in items if item.nodeid not in self.left_out]
        items.sort(key=lambda item: self.seconds.get(item.nodeid, 0.0))

    def pytest_runtest_logreport(self, report):
        if report.failed:
            with open(self.failures, "a") as file:
                print(report.nodeid, file=file)

    pytest_collectreport = pytest_runtest_logreport


def run_session(folder, options, limit, **chosen):
    """Run pytest in a process group of its own; return its exit status."""
    child = os.fork()
    if child == 0:
        os.setsid()
        os.chdir(folder)
        os._exit(pytest.main(options, [ChosenTests(**chosen)]))
    end = time.monotonic() + limit
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        late = time.monotonic() > end
        if ended or late:
            break
        time.sleep(0.02)
    try:
        os.killpg(child, signal.SIGKILL)  # and what its tests left behind
    except ProcessLookupError:
        pass
    if not ended:
        os.waitpid(child, 0)
        return 1
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 1


if __name__ == "__main__":
    for library in LIBRARIES.split():
        importlib.import_module(library)
    arguments, *_ = serve()
    os._exit(run_session(**arguments))
