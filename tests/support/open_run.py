"""A run that is open in a process of its own, which can be killed."""

import contextlib

from support.processes import start_python

SCRIPT = """
import sys
from jaxmetrics import TrainingLogger

logger = TrainingLogger("p", "one", root=sys.argv[1], console=False)
logger.log_step(1, loss=1.0)
logger.flush()
print(flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def open_run(root):
    """Yield a process that writes the run p/one, and kill it."""
    with start_python(SCRIPT, root) as process:
        try:
            process.stdout.readline()
            yield process
        finally:
            process.kill()
            process.wait()
