"""A run that ends in the way that it is told to."""

import atexit
import ctypes
import os
import signal
import sys
import threading

from support.zygote import serve

from jaxmetrics import TrainingLogger
from jaxmetrics.writers import CSV, JSONL, TensorBoard

told = []


def main(root, way, steps=1, flush_every=0, before="", at_exit=True, install=False):
    """Log so many steps, each acknowledged as soon as the call has returned."""
    if before:
        signal.signal(signal.SIGTERM, BEFORE[before])
    writers = [JSONL(), CSV(), TensorBoard()]
    logger = TrainingLogger(
        "p", "run", root=root, writers=writers, install_sigterm=install
    )
    if not at_exit:
        atexit.unregister(logger._at_exit)
    for step in range(1, steps + 1):
        logger.log_step(step, loss=step / 3)
        if not flush_every:
            acknowledge(step)
        elif step % flush_every == 0 and logger.flush():
            acknowledge(step)
        if told:
            break
    WAYS[way](logger)


def leave_with_an_exception(logger):
    raise ZeroDivisionError


def wait_for_a_signal(logger):
    while True:
        logger.flush()


def go_on_after_it_was_told(logger):
    assert told == [signal.SIGTERM]
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


def close_and_be_told(logger):
    logger.close()
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    os.kill(os.getpid(), signal.SIGTERM)


def be_told_and_close(logger):
    os.kill(os.getpid(), signal.SIGTERM)
    logger.close()
    os._exit(6)


def ignore_it(logger):
    os.kill(os.getpid(), signal.SIGTERM)
    logger.log_step(loss=1.0)
    assert logger.flush()


def log_from_another_thread(logger):
    os.kill(os.getpid(), signal.SIGTERM)
    thread = threading.Thread(target=lambda: logger.log_step(loss=1.0))
    thread.start()
    thread.join()
    os._exit(6)


def ask_for_what_cannot_be(logger):
    def refused(why):
        try:
            TrainingLogger("p", "other", root=logger.run_dir, install_sigterm=True)
        except RuntimeError as error:
            assert why in str(error), error
            assert not (logger.run_dir / "p").exists()
        else:
            raise AssertionError(why)

    refused("another logger handles SIGTERM")
    thread = threading.Thread(target=refused, args=("main thread",))
    thread.start()
    thread.join()
    logger.close()
    libc = ctypes.CDLL(None)
    libc.signal(signal.SIGTERM, libc.abs)
    refused("outside of Python")


WAYS = {
    "return": lambda logger: None,
    "exception": leave_with_an_exception,
    "sys.exit": lambda logger: sys.exit(3),
    "os._exit": lambda logger: os._exit(4),
    "signal": wait_for_a_signal,
    "told": go_on_after_it_was_told,
    "fork": end_a_fork,
    "closed": close_and_be_told,
    "closing": be_told_and_close,
    "ignored": ignore_it,
    "thread": log_from_another_thread,
    "refused": ask_for_what_cannot_be,
}
BEFORE = {
    "ignore": signal.SIG_IGN,
    "exit": lambda number, frame: sys.exit(5),
    "tell": lambda number, frame: told.append(number),
}

if __name__ == "__main__":
    given, _, acknowledge = serve()
    main(**given)
