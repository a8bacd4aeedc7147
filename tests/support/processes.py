"""Python in a process of its own, for what a test must not do to itself."""

import subprocess
import sys
import textwrap


def run_python(script, *arguments, cwd=None, env=None):
    """Run a script to its end; its output is text."""
    command = [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=cwd,
        env=env,
        timeout=120,
        check=False,
    )


def start_python(script, *arguments):
    """Start a script whose input and output are pipes."""
    command = [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
