"""A run that logs some steps and ends in a chosen way."""

import atexit
import ctypes
import os
import signal
import sys
import threading

import tensorboardX  # noqa: F401, before the forks, which need not import it then
from support.zygote import serve

from jaxmetrics import TrainingLogger
from jaxmetrics.writers import CSV, TensorBoard

handled = []
"""Signals that the loop's own handler got."""


def main(root, end, steps=1, flush_every=0, handler="", at_exit=True, install=False):
    """Log steps, each acknowledged as soon as the call has returned.

    Args:
      root: Folder of the run.
      end: The way in which the run ends, of `ENDS`.
      steps: Number of steps.
      flush_every: Steps between flushes; then flushed steps are acknowledged.
      handler: Handler of SIGTERM before the logger is created, of `HANDLERS`.
      at_exit: Whether the logger closes itself at the exit.
      install: Whether the logger handles SIGTERM.
    """
    if handler:
        signal.signal(signal.SIGTERM, HANDLERS[handler])
    options = {"root": root, "console": False, "install_sigterm": install}
    logger = TrainingLogger("p", "run", writers=[CSV(), TensorBoard()], **options)
    if not at_exit:
        atexit.unregister(logger._at_exit)
    for step in range(1, steps + 1):
        logger.log_step(step, loss=step / 3)
        if not flush_every:
            acknowledge(step)
        elif step % flush_every == 0 and logger.flush():
            acknowledge(step)
        if handled:
            break
    ENDS[end](logger)


def raise_an_exception(logger):
    raise ZeroDivisionError


def wait_for_a_signal(logger):
    while True:
        logger.flush()


def continue_after_the_handler(logger):
    assert handled == [signal.SIGTERM]
    assert logger.state()["last_steps"]["train"] > 0
    logger.log_step(split="val", loss=0.5)
    assert logger.flush()


def end_a_fork(logger):
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, b".")  # signals before this are lost by Python itself
    while child == 0:
        pass
    os.read(reading, 1)
    os.kill(child, signal.SIGTERM)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGTERM


def close_before_sigterm(logger):
    logger.close()
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    os.kill(os.getpid(), signal.SIGTERM)


def close_after_sigterm(logger):
    os.kill(os.getpid(), signal.SIGTERM)
    logger.close()
    os._exit(6)


def ignore_sigterm(logger):
    os.kill(os.getpid(), signal.SIGTERM)
    logger.log_step(loss=1.0)
    assert logger.flush()


def log_from_another_thread(logger):
    os.kill(os.getpid(), signal.SIGTERM)
    thread = threading.Thread(target=lambda: logger.log_step(loss=1.0))
    thread.start()
    thread.join()
    os._exit(6)


def install_where_it_is_refused(logger):
    def refused(reason):
        try:
            TrainingLogger("p", "other", root=logger.run_dir, install_sigterm=True)
        except RuntimeError as error:
            assert reason in str(error), error
            assert not (logger.run_dir / "p").exists()
        else:
            raise AssertionError(reason)

    refused("another logger handles SIGTERM")
    thread = threading.Thread(target=refused, args=("main thread",))
    thread.start()
    thread.join()
    logger.close()
    libc = ctypes.CDLL(None)
    libc.signal(signal.SIGTERM, libc.abs)
    refused("outside of Python")


ENDS = {
    "return": lambda logger: None,
    "exception": raise_an_exception,
    "sys.exit": lambda logger: sys.exit(3),
    "os._exit": lambda logger: os._exit(4),
    "signal": wait_for_a_signal,
    "handled": continue_after_the_handler,
    "fork": end_a_fork,
    "close first": close_before_sigterm,
    "close after": close_after_sigterm,
    "ignored": ignore_sigterm,
    "thread": log_from_another_thread,
    "refused": install_where_it_is_refused,
}
HANDLERS = {
    "ignore": signal.SIG_IGN,
    "exit": lambda number, frame: sys.exit(5),
    "note": lambda number, frame: handled.append(number),
}

if __name__ == "__main__":
    arguments, _, acknowledge = serve()
    main(**arguments)
