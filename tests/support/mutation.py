"""Mutation testing of a sample: change one operator, expect a test to fail.

    python tests/support/mutation.py --sample 200 --seed 1

Cosmic Ray finds and applies the mutations. Each one is tried in a copy of the tree: the
doctests of the file and the tests that mirror it run first, then the package's other
tests. The mutants that all of them accept are printed at the end; the exit status is 1
if more than `--survivors` of the sample survive, or if the tests fail without a
mutation.

Annotations are not mutated, nor the numbers of module-level constants, which are limits
that no test can tell from their neighbours.
"""

import argparse
import ast
import os
import queue
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import cosmic_ray.plugins
from cosmic_ray.ast import ast_nodes, get_ast_from_path
from cosmic_ray.mutating import mutate_code

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
    "logger": ("faults/test_exit.py", "test_checkpoint.py"),
    "writers": ("faults/test_disk.py", "logger"),
    "runs": ("cli",),
    "aggregator": (),
    "telemetry": ("loop",),
}
TIMEOUT = 900


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
        "--packages", nargs="+", default=PACKAGES, help="what to mutate"
    )
    parser.add_argument("--survivors", type=float, default=0.08, help="largest share")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument(
        "--no-control",
        action="store_true",
        help="trust that the tests pass without a mutation",
    )
    options = parser.parse_args()
    random_choice = random.Random(options.seed)
    sites = find_sites(options.packages)
    chosen = random_choice.sample(sorted(sites), min(options.sample, len(sites)))
    mutants = [random_choice.choice(sites[site]) for site in chosen]
    print(f"{len(mutants)} of {len(sites)} sites, seed {options.seed}", flush=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        ThreadPoolExecutor(options.workers) as pool,
    ):
        copies: queue.SimpleQueue[Path] = queue.SimpleQueue()
        for index in range(options.workers):
            copies.put(copy_tree(Path(folder) / str(index)))
        if not options.no_control:
            packages = sorted({package_of(mutant.path) for mutant in mutants})
            for failure in pool.map(lambda name: control(name, copies), packages):
                if failure:
                    print(failure)
                    return 1
        results = list(pool.map(lambda mutant: attempt(mutant, copies), mutants))
    survivors = [text for text in results if text]
    killed = len(mutants) - len(survivors)
    print(f"\n{killed} of {len(mutants)} killed ({killed / len(mutants):.1%})")
    for text in survivors:
        print(text)
    return int(len(survivors) > options.survivors * len(mutants))


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


def attempt(mutant: Mutant, copies) -> str:
    """Run the tests against a mutant; return its description if they all pass."""
    copy = copies.get()
    file, started = copy / mutant.path, time.monotonic()
    source = file.read_text()
    try:
        mutated = mutate_code(source, _operator(mutant.operator), mutant.occurrence)
        assert mutated is not None and mutated != source, mutant
        file.write_text(mutated)
        near, rest = tests_of(mutant.path, copy)
        survived = all(run_tests(paths, copy) == 0 for paths in (near, rest) if paths)
    finally:
        file.write_text(source)
        copies.put(copy)
    state = "SURVIVED" if survived else "killed"
    seconds = time.monotonic() - started
    label = f"{mutant.path}:{mutant.line} {mutant.operator.removeprefix('core/')}"
    print(f"{state:8} {seconds:5.0f} s  {label}", flush=True)
    if not survived:
        return ""
    before, after = source.splitlines(), mutated.splitlines()
    changed = [
        f"    - {a.strip()}\n    + {b.strip()}" for a, b in zip(before, after) if a != b
    ]
    return "\n".join([f"  {label}", *changed])


def control(package: str, copies) -> str:
    """Run a package's tests without a mutation; return what fails."""
    copy = copies.get()
    try:
        paths = [f"jaxmetrics/{package}", *_wider_tests(package, copy)]
        status = run_tests(paths, copy)
    finally:
        copies.put(copy)
    return f"The tests of {package} fail without a mutation." if status else ""


def tests_of(path: str, copy: Path) -> tuple[list[str], list[str]]:
    """Return the tests nearest to a file, and the others of its package."""
    parts = Path(path).parts[1:]
    subject = parts[-1].removesuffix(".py").removeprefix("_")
    folder = copy.joinpath("tests", *parts[:-1])
    mirror = sorted(folder.glob(f"test_{subject}*.py"))
    near = [path, *(str(test.relative_to(copy)) for test in mirror)]
    return near, _wider_tests(parts[0], copy)


def _wider_tests(package: str, copy: Path) -> list[str]:
    names = (package, *SCENARIOS.get(package, ()))
    return [f"tests/{name}" for name in names if (copy / "tests" / name).exists()]


def run_tests(paths: list[str], copy: Path) -> int:
    """Run pytest in a copy until the first failure; return its exit status."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-n", "0", *paths]
    command += ["-p", "no:cacheprovider", "--timeout", "120"]
    environment = os.environ | {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    process = subprocess.Popen(
        command,
        cwd=copy,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        status = process.wait(TIMEOUT)
    except subprocess.TimeoutExpired:
        status = 1
    finally:
        try:
            os.killpg(process.pid, signal.SIGKILL)  # and what its tests left behind
        except ProcessLookupError:
            pass
        process.wait()
    return 0 if status == 5 else status  # 5: no tests collected


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
