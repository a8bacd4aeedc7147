"""Mutation testing of a sample: change one operator, expect a test to fail.

    PYTHONPATH=tests python -m support.mutation --sample 200 --seed 1

Cosmic Ray finds and applies the mutations. Each one is tried in a copy of the tree: the
doctests of the file and the tests that mirror it run first, then other tests that reach
the changed statement, the fastest first. A test kills a mutant if it fails with the
mutation and passes without it. The mutants that no test kills are printed at the end;
the exit status is 1 if more than `--survivors` of the sample survive.

`--record FILE` runs the tests once and saves which of them execute which statements,
those in child processes included; `--executed FILE` selects the tests of a mutant by
such a file. Of a statement of a class or module, and of a file that has changed since,
all tests that execute something in the file are run. Without a record the other tests
are those of the package.

Left alone is what cannot change a result: annotations, code for type checkers, and the
numbers of module-level constants, which are limits that no test can tell from their
neighbours.
"""

import argparse
import ast
import compileall
import contextlib
import functools
import json
import os
import py_compile
import queue
import random
import shutil
import subprocess
import sys
import tempfile
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import cosmic_ray.plugins
import pytest
from cosmic_ray.ast import ast_nodes, get_ast_from_path
from cosmic_ray.mutating import mutate_code
from support.blocks.sitecustomize import marked_blocks
from support.zygote import Zygote

ROOT = Path(__file__).parents[2]
PACKAGES = (
    "record",
    "pipeline",
    "logger",
    "writers",
    "runs",
    "aggregator",
    "telemetry",
)
OPERATORS = [
    f"core/{name}"
    for name in (
        "AddNot",
        "ExceptionReplacer",
        "NumberReplacer",
        "ReplaceAndWithOr",
        "ReplaceBinaryOperator_Add_Sub",
        "ReplaceBinaryOperator_BitAnd_BitOr",
        "ReplaceBinaryOperator_BitOr_BitAnd",
        "ReplaceBinaryOperator_Div_Mul",
        "ReplaceBinaryOperator_FloorDiv_Mul",
        "ReplaceBinaryOperator_Mod_Mul",
        "ReplaceBinaryOperator_Mul_Div",
        "ReplaceBinaryOperator_Sub_Add",
        "ReplaceBreakWithContinue",
        "ReplaceComparisonOperator_Eq_NotEq",
        "ReplaceComparisonOperator_GtE_Gt",
        "ReplaceComparisonOperator_Gt_GtE",
        "ReplaceComparisonOperator_IsNot_Is",
        "ReplaceComparisonOperator_Is_IsNot",
        "ReplaceComparisonOperator_LtE_Lt",
        "ReplaceComparisonOperator_Lt_LtE",
        "ReplaceComparisonOperator_NotEq_Eq",
        "ReplaceContinueWithBreak",
        "ReplaceFalseWithTrue",
        "ReplaceOrWithAnd",
        "ReplaceTrueWithFalse",
        "ReplaceUnaryOperator_Delete_Not",
        "ReplaceUnaryOperator_Delete_USub",
        "ZeroIterationForLoop",
    )
]
# Scenarios that hold what the host side promises: kills, full disks, queues, reading.
SCENARIOS = {
    "record": ("faults/test_files.py", "faults/test_reading.py"),
    "pipeline": ("faults/test_queues.py", "logger"),
    "logger": ("faults/test_exit.py", "test_checkpoint.py", "checkpoint"),
    "writers": ("faults/test_disk.py", "logger"),
    "runs": ("cli",),
    "aggregator": (),
    "telemetry": ("loop",),
}
LIMIT = 900
"""Seconds of a session of pytest until it counts as failed."""


class Mutant(NamedTuple):
    """One mutation: the `occurrence`-th place of an operator in a file."""

    path: str
    operator: str
    occurrence: int
    line: int


def main() -> int:
    """Run the sample and print its survivors."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sample", type=int, default=200, help="number of mutants")
    parser.add_argument("--seed", type=int, default=0, help="seed of the sample")
    parser.add_argument(
        "--first", type=int, default=0, help="number of mutants of the sample to skip"
    )
    parser.add_argument(
        "--packages", nargs="+", default=PACKAGES, help="what to mutate"
    )
    parser.add_argument("--survivors", type=float, default=0.08, help="largest share")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument(
        "--record", type=Path, help="save which tests execute what, and end"
    )
    parser.add_argument("--executed", type=Path, help="select tests by this record")
    parser.add_argument(
        "--seconds", type=float, default=60.0, help="tests of a mutant, as recorded"
    )
    options = parser.parse_args()
    if options.record:
        return record(options.packages, options.record.absolute())
    random_choice = random.Random(options.seed)
    sites = find_sites(options.packages)
    chosen = random_choice.sample(sorted(sites), min(options.sample, len(sites)))
    mutants = [random_choice.choice(sites[site]) for site in chosen][options.first :]
    print(f"{len(mutants)} of {len(sites)} sites, seed {options.seed}", flush=True)
    selection = Selection(options.executed, options.seconds)
    with (
        tempfile.TemporaryDirectory() as folder,
        ThreadPoolExecutor(options.workers) as pool,
    ):
        copies: queue.SimpleQueue[Copy] = queue.SimpleQueue()
        started = [Copy(Path(folder) / str(n)) for n in range(options.workers)]
        for copy in started:
            copies.put(copy)
        killers = find_killers(mutants, copies, pool, selection)
        for copy in started:
            copy.close()
    survivors = [mutant for mutant in mutants if not killers[mutant]]
    killed = len(mutants) - len(survivors)
    print(f"\n{killed} of {len(mutants)} killed ({killed / len(mutants):.1%})")
    for mutant in survivors:
        print(describe(mutant))
    return int(len(survivors) > options.survivors * len(mutants))


def record(packages, file: Path) -> int:
    """Run the tests of some packages and save which blocks each of them executes."""
    with tempfile.TemporaryDirectory() as folder:
        copy = copy_tree(Path(folder) / "copy")
        paths = [f"jaxmetrics/{package}" for package in packages]
        paths += dict.fromkeys(
            test for package in packages for test in _wider_tests(package)
        )
        blocks = Path(folder) / "blocks"
        blocks.touch()
        file.write_text(json.dumps(_checksums()) + "\n")
        folders = copy / "tests/support/blocks", copy, copy / "tests"
        environment = os.environ | {
            "EXECUTED_BLOCKS": str(blocks),
            "EXECUTED_RESULTS": str(file),
            "EXECUTED_ROOT": str(copy),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONPATH": os.pathsep.join(map(str, folders)),
        }
        command = [sys.executable, "-m", "pytest", "-n", "0", "-p", "support.executed"]
        return subprocess.run([*command, *paths], cwd=copy, env=environment).returncode


def find_sites(packages) -> dict[tuple[str, int, int], list[Mutant]]:
    """Return the mutants of each place (path, line, column) in some packages."""
    sites: dict[tuple[str, int, int], list[Mutant]] = {}
    for package in packages:
        for path in sorted((ROOT / "jaxmetrics" / package).rglob("*.py")):
            tree, fixed = get_ast_from_path(path), _positions_left_alone(path)
            for operator in OPERATORS:
                positions = (
                    start
                    for node in ast_nodes(tree)
                    for start, _ in _operator(operator).mutation_positions(node)
                )
                for occurrence, (line, column) in enumerate(positions):
                    if any(low <= (line, column) < high for low, high in fixed):
                        continue
                    name = path.relative_to(ROOT).as_posix()
                    mutant = Mutant(name, operator, occurrence, line)
                    sites.setdefault((name, line, column), []).append(mutant)
    return sites


def find_killers(mutants, copies, pool, selection: "Selection") -> dict[Mutant, str]:
    """Return the test that kills each mutant, "" for a survivor.

    Tests that fail without a mutation too are left out, and their mutants tried again.
    """
    killers: dict[Mutant, str] = {}
    passing: set[str] = set()
    failing: set[str] = set()
    pending = list(mutants)
    test = functools.partial(
        attempt, copies=copies, selection=selection, failing=failing
    )
    while pending:
        killers |= zip(pending, pool.map(test, pending))
        tests = {killers[mutant] for mutant in pending} - {""} - passing
        copy = copies.get()
        failing.update(copy.failures(sorted(tests)))
        copies.put(copy)
        passing |= tests - failing
        pending = [mutant for mutant in pending if killers[mutant] in failing]
        for name in sorted(tests & failing):
            print(f"{name} fails without a mutation", flush=True)
    return killers


def attempt(mutant: Mutant, copies, selection: "Selection", failing) -> str:
    """Run the tests against a mutant; return the first that fails, "" if all pass."""
    copy = copies.get()
    started = time.monotonic()
    killer = ""
    try:
        with copy.mutated(mutant):
            for paths, seconds, left_out in selection.sessions(mutant):
                killer = copy.first_failure(paths, seconds, left_out | failing)
                if killer:
                    break
    finally:
        copies.put(copy)
    state = "killed" if killer else "SURVIVED"
    elapsed = time.monotonic() - started
    more = f"{label(mutant)} by {killer}" if killer else describe(mutant).strip()
    print(f"{state:8} {elapsed:5.0f} s  {more}", flush=True)
    return killer


def label(mutant: Mutant) -> str:
    """Return the place and the operator of a mutant."""
    return f"{mutant.path}:{mutant.line} {mutant.operator.removeprefix('core/')}"


def describe(mutant: Mutant) -> str:
    """Return the place of a mutant, and its lines before and after."""
    source = (ROOT / mutant.path).read_text()
    lines = zip(source.splitlines(), mutate(source, mutant).splitlines())
    changed = [f"    - {a.strip()}\n    + {b.strip()}" for a, b in lines if a != b]
    return "\n".join([f"  {label(mutant)}", *changed])


def mutate(source: str, mutant: Mutant) -> str:
    """Return the source of a file with a mutation."""
    mutated = mutate_code(source, _operator(mutant.operator), mutant.occurrence)
    assert mutated is not None and mutated != source, mutant
    return mutated


class Copy:
    """A copy of the tree, with a process that forks sessions of pytest in it."""

    def __init__(self, folder: Path):
        self.folder = copy_tree(folder)
        self._failures, self._log = folder / "failures", folder / "sessions.log"
        # By the hash of the source, whose time a mutation may leave as it was.
        mode = py_compile.PycInvalidationMode.CHECKED_HASH
        compileall.compile_dir(folder / "jaxmetrics", quiet=1, invalidation_mode=mode)
        self._zygote = Zygote(
            "warm_pytest.py",
            self._log,
            JAX_PLATFORMS="cpu",
            JAX_CPU_ENABLE_ASYNC_DISPATCH="false",
            PYTHONPATH=os.pathsep.join([str(folder), str(folder / "tests")]),
        )

    @contextlib.contextmanager
    def mutated(self, mutant: Mutant):
        """Apply a mutation for a while."""
        file = self.folder / mutant.path
        source = file.read_text()
        file.write_text(mutate(source, mutant))
        try:
            yield
        finally:
            file.write_text(source)

    def first_failure(self, paths, seconds, left_out) -> str:
        """Run tests until one fails; return its name, or "" if all pass."""
        status, tests = self._run(["-x", *paths], seconds, left_out)
        if status == pytest.ExitCode.USAGE_ERROR:
            raise RuntimeError(self._log.read_text()[-3000:])
        if status and not tests:
            return paths[0]  # the process has ended, or the time
        return tests[0] if status else ""

    def failures(self, tests) -> set[str]:
        """Run tests without a mutation; return those that fail."""
        status, failures = self._run(tests, {}, ()) if tests else (0, [])
        if status and not failures:
            raise RuntimeError(self._log.read_text()[-3000:])
        return set(failures)

    def close(self) -> None:
        """End the process."""
        self._zygote.close()

    def _run(self, paths, seconds, left_out) -> tuple[int, list[str]]:
        self._failures.write_text("")
        slowest = max(seconds.values(), default=20.0)
        timeout = "--timeout", str(20 + 5 * slowest)
        status = self._zygote.run(
            folder=str(self.folder),
            options=["-q", "-n", "0", "-p", "no:cacheprovider", *timeout, *paths],
            limit=LIMIT,
            seconds=seconds,
            left_out=sorted(left_out),
            failures=str(self._failures),
        ).status[0]
        tests = self._failures.read_text().splitlines()
        return 0 if status == pytest.ExitCode.NO_TESTS_COLLECTED else status, tests


class Selection:
    """Choose the tests of a mutant.

    Args:
      file: Record of which tests execute what; None selects by folders.
      limit: Largest sum of the recorded seconds of the tests that mirror it, and of
        the others.
    """

    def __init__(self, file: Path | None, limit: float):
        self._limit = limit
        self._checksums: dict[str, int] = {}
        self._seconds: dict[str, float] = {}
        # By the name of a block, and by that of its file.
        self._passed: dict[str, set[str]] = {}
        if file is not None:
            checksums, *lines = map(json.loads, file.read_text().splitlines())
            self._checksums = checksums
            for line in lines:
                test, blocks = line["test"], line["blocks"] if line["passed"] else ()
                self._seconds[test] = line["seconds"]
                for name in {*blocks, *map(_path, blocks)}:
                    self._passed.setdefault(name, set()).add(test)

    def sessions(self, mutant: Mutant):
        """Yield paths, seconds by test, and tests to leave out, of each session."""
        near = _near_tests(mutant.path)
        if not self._seconds:
            yield near, {}, set()
            yield _wider_tests(package_of(mutant.path)), {}, set()
            return
        reaching = self._reaching(mutant)
        nearest = {test: s for test, s in reaching.items() if _file(test) in near}
        others = {test: s for test, s in reaching.items() if _file(test) not in near}
        for paths, tests in ((near, nearest), (None, others)):
            chosen, total = {}, 0.0
            for test, seconds in sorted(tests.items(), key=lambda item: item[1]):
                total += seconds
                if total < self._limit:
                    chosen[test] = seconds
            if paths := paths or sorted({*map(_file, chosen)}):
                yield paths, chosen, self._seconds.keys() - chosen.keys()

    def _reaching(self, mutant: Mutant) -> dict[str, float]:
        """Return the seconds of the tests that reach the statement of a mutant."""
        name, file = mutant.path, ROOT / mutant.path
        if self._checksums.get(name) == _checksum(file):
            name = _innermost(file, mutant) or name
        return {test: self._seconds[test] for test in self._passed.get(name, ())}


def _innermost(path: Path, mutant: Mutant) -> str | None:
    """Return the smallest block that holds the line of a mutant."""
    marks = marked_blocks(ast.parse(path.read_text()), mutant.path)
    spans = [tuple(map(int, mark.rsplit(":", 2)[1:])) for mark in marks]
    holding = [span for span in spans if span[0] <= mutant.line <= span[1]]
    if not holding:
        return None
    low, high = min(holding, key=lambda span: (span[1] - span[0], -span[0]))
    return f"{mutant.path}:{low}:{high}"


def _file(test: str) -> str:
    """Return the file of a test."""
    return test.split("::")[0]


def _path(block: str) -> str:
    return block.rsplit(":", 2)[0]


def _checksums() -> dict[str, int]:
    files = (ROOT / "jaxmetrics").rglob("*.py")
    return {path.relative_to(ROOT).as_posix(): _checksum(path) for path in files}


def _checksum(path: Path) -> int:
    return zlib.crc32(path.read_bytes())


def _near_tests(path: str) -> list[str]:
    """Return a file, for its doctests, and the tests that mirror it."""
    parts = Path(path).parts[1:]
    subject = parts[-1].removesuffix(".py").removeprefix("_")
    folder = ROOT.joinpath("tests", *parts[:-1])
    mirror = sorted(folder.glob(f"test_{subject}*.py"))
    return [path, *(test.relative_to(ROOT).as_posix() for test in mirror)]


def _wider_tests(package: str) -> list[str]:
    names = (package, *SCENARIOS.get(package, ()))
    return [f"tests/{name}" for name in names if (ROOT / "tests" / name).exists()]


def copy_tree(target: Path) -> Path:
    """Copy the files that git tracks."""
    tracked = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in filter(None, tracked.stdout.split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, target / name)
    return target


def package_of(path: str) -> str:
    """Return the package under the roof that holds a file."""
    return Path(path).parts[1]


def _operator(name: str):
    return cosmic_ray.plugins.get_operator(name)()


def _positions_left_alone(path: Path) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Return the spans of annotations, constants and code for type checkers."""
    tree = ast.parse(path.read_text())
    nodes: list[ast.AST | None] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            nodes.append(node.returns)
        if isinstance(node, ast.arg | ast.AnnAssign):
            nodes.append(node.annotation)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            nodes.append(node)
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            nodes.append(node)
    return [
        ((n.lineno, n.col_offset), (n.end_lineno, n.end_col_offset))
        for n in nodes
        if n is not None
    ]


if __name__ == "__main__":
    sys.exit(main())
