"""Run Python in a separate process, for what a test must not do to its own."""

import signal
import subprocess
import sys
import textwrap


def run_python(script, *arguments, cwd=None, env=None):
    """Run a script until it ends; return its exit status and output as text."""
    return _run(["-c", textwrap.dedent(script), *arguments], cwd, env)


def run_python_file(file, script, *arguments):
    """Write a script to a file, which worker processes can import, and run it."""
    file.write_text(textwrap.dedent(script))
    return _run([file, *arguments])


def start_python(script, *arguments):
    """Start a script with pipes as its input and output."""
    command = [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def restore_sigint():
    """Handle SIGINT as usual, also where it is ignored, as under `nohup make test &`.

    Ignored signals stay ignored in all child processes, and some tests interrupt
    children. Handled ones do not: a child then has the default handler of Python.
    """
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _run(arguments, cwd=None, env=None):
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=env,
        timeout=300,
        check=False,
    )
