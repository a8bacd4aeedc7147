"""Command line: `jaxmetrics demo|list|report|plot|compare|tail|view|export|doctor`.

Modules are imported only by the commands that use them, so that commands that read
runs start without jax.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["main"]

_FUNCTIONS = {"list": "list_runs"}  # of commands that are named otherwise


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
      argv: Arguments. Default those of the process.

    Returns:
      Exit status: 0, 1 on errors, 2 for wrong arguments, 130 after Ctrl-C, 141 if the
      output is a pipe that was closed.
    """
    try:
        return _run(argv)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return _end_with_closed_pipe()


def _run(argv: Sequence[str] | None) -> int:
    import os
    import sys

    from jaxmetrics.cli._arguments import make_parser

    arguments = list(sys.argv[1:] if argv is None else argv)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # the caller has closed it, as `>&-` does
            setattr(sys, name, open(os.devnull, "w"))
    for stream in (sys.stdout, sys.stderr):
        if (reconfigure := getattr(stream, "reconfigure", None)) is not None:
            reconfigure(errors="backslashreplace")  # sparklines, if they have no code
    try:
        if arguments[:1] == ["demo"]:
            from jaxmetrics.demo import main as demo

            return demo(arguments[1:])
        args = make_parser().parse_args(arguments)
    except SystemExit as exit:
        return int(exit.code or 0)
    from jaxmetrics.cli import _commands as commands

    try:
        command: str = args.command
        status = getattr(commands, _FUNCTIONS.get(command, command))(args)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except (OSError, ValueError, KeyError, ImportError) as error:
        if args.debug:
            raise
        from jaxmetrics.cli._errors import error_message

        message = error_message(error)
        print(f"jaxmetrics {args.command}: {message}", file=sys.stderr)
        return 1
    return status


def _end_with_closed_pipe() -> int:
    """Return the exit status of a closed pipe, without a second error at exit."""
    import os
    import sys

    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 141
