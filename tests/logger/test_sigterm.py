"""SIGTERM while a log is open; `tests/faults/test_exit.py` has whole processes."""

from support.processes import run_python

FORK = """
    import os, signal
    from jaxmetrics.logger._sigterm import Sigterm

    sigterm = Sigterm()
    sigterm.install()
    child = os.fork()
    if child == 0:
        signal.raise_signal(signal.SIGTERM)
        os._exit(7)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    signal.raise_signal(signal.SIGTERM)
    print(sigterm.noted)
"""


def test_sigterm_ends_a_forked_child_at_once_and_is_noted_in_the_parent():
    assert run_python(FORK).stdout.split() == ["-15", "True"]


HANDLER = """
    import signal
    from jaxmetrics.logger._sigterm import Sigterm

    handled = []
    signal.signal(signal.SIGTERM, lambda number, frame: handled.append(number))
    sigterm = Sigterm()
    sigterm.install()
    signal.raise_signal(signal.SIGTERM)
    print(handled, sigterm.noted)
    sigterm.answer(lambda: print("flush"), lambda: print("close"))
    print(sigterm.noted)
    sigterm.release()
    signal.raise_signal(signal.SIGTERM)
    print(handled, sigterm.noted)
"""


def test_a_previous_handler_is_called_and_restored_and_the_log_is_flushed():
    assert run_python(HANDLER).stdout.splitlines() == [
        "[15] True",
        "flush",
        "False",
        "[15, 15] False",
    ]


def test_a_disabled_handler_is_not_installed():
    script = """
        import signal
        from jaxmetrics.logger._sigterm import Sigterm
        sigterm = Sigterm(enabled=False)
        sigterm.install()
        print(signal.getsignal(signal.SIGTERM) == signal.SIG_DFL)
    """
    assert run_python(script).stdout == "True\n"
