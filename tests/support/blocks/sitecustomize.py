"""Record the blocks of statements that a process runs, and those that it starts.

Python imports this module at its start where its folder is on the path. With
EXECUTED_BLOCKS in the environment, each straight run of statements in a function of the
package appends its name (`path:first line:last line`) to that file when it is first
reached.
"""

import ast
import builtins
import os
from importlib.machinery import SourceFileLoader

MARK = "__executed_block__"
_write = os.write  # which tests replace
COMPOUND = (ast.If, ast.For, ast.While, ast.Try, ast.With, ast.Match)


def insert_marks(tree: ast.Module, name: str) -> None:
    """Put a mark in front of each straight run of statements of the functions."""
    for node in list(ast.walk(tree)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            _mark_bodies(node, name, first)


def marked_blocks(tree: ast.Module, name: str) -> list[str]:
    """Return the names of all blocks of a file."""
    insert_marks(tree, name)
    return [
        node.args[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == MARK
    ]


def _mark_bodies(node: ast.AST, name: str, first: int | None = None) -> None:
    for field in ("body", "orelse", "finalbody"):
        body = getattr(node, field, None)
        if isinstance(body, list) and body:
            setattr(node, field, _marked(body, name, first))
    for part in (*getattr(node, "handlers", ()), *getattr(node, "cases", ())):
        _mark_bodies(part, name)


def _marked(body: list[ast.stmt], name: str, first: int | None) -> list[ast.stmt]:
    """Return the statements with marks, also in those that they contain."""
    runs: list[list[ast.stmt]] = [[]]
    for statement in body:
        runs[-1].append(statement)
        if isinstance(statement, COMPOUND):
            _mark_bodies(statement, name)
            runs.append([])
    result: list[ast.stmt] = []
    for run in filter(None, runs):
        start, end = first or run[0].lineno, run[-1].end_lineno
        mark = ast.parse(f"{MARK}({f'{name}:{start}:{end}'!r})").body[0]
        for inner in ast.walk(mark):
            ast.copy_location(inner, run[0])
        place = int(first is not None and _is_docstring(run[0]))
        result += [*run[:place], mark, *run[place:]]
        first = None
    return result


def _is_docstring(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


class ExecutedBlocks:
    """The blocks that this process has run, appended to a file that others share."""

    def __init__(self, file: str):
        self._descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._seen: set[str] = set()

    def __call__(self, block: str) -> None:
        if block not in self._seen:
            self._seen.add(block)
            _write(self._descriptor, f"{block}\n".encode())

    def forget(self) -> None:
        """Record the next run of each block again."""
        self._seen.clear()


def record_into(file: str, root: str) -> None:
    """Mark what is imported from the package below `root` from now on."""
    package = os.path.join(os.path.realpath(root), "jaxmetrics", "")
    compile_source = SourceFileLoader.source_to_code

    def compile_with_marks(self, data, path, *args, **options):
        if os.path.realpath(path).startswith(package):
            name = os.path.relpath(os.path.realpath(path), root)
            data = ast.parse(data)
            insert_marks(data, name)
        return compile_source(self, data, path, *args, **options)

    SourceFileLoader.source_to_code = compile_with_marks
    setattr(builtins, MARK, ExecutedBlocks(file))


if "EXECUTED_BLOCKS" in os.environ:
    record_into(os.environ["EXECUTED_BLOCKS"], os.environ["EXECUTED_ROOT"])
