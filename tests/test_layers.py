"""Imports point down the layers, and importing the package stays cheap."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "jaxmetrics"

LAYERS = {
    "record": 0,
    "figures": 0,
    "core": 1,
    "metrics": 2,
    "losses": 2,
    "processes": 2,
    "telemetry": 3,
    "interop": 3,
    "pipeline": 4,
    "writers": 4,
    "aggregator": 4,
    "logger": 5,
    "checkpoint": 5,
    "loop": 5,
    "runs": 6,
    "cli": 7,
    "doctor": 7,
    "demo": 7,
}
"""Layer of each package and top-level module."""

MAY_IMPORT = {
    "record": set(),
    "figures": set(),
    "core": {0},
    "metrics": {0, 1},
    "losses": {0, 1},
    "processes": {0, 1},
    "telemetry": {0, 1, 2},
    "interop": {0, 1, 2},
    "pipeline": {0, 1, 2},
    "writers": {0},
    "aggregator": {0, 1, 2},
    "logger": {0, 1, 2, 3, 4},
    "checkpoint": {0, 1, 2, 3, 4},
    "loop": {0, 1, 2, 3, 4},
    "runs": {0},
    "cli": {0, 1, 2, 3, 4, 5, 6, 7},
    "doctor": {0, 1, 2, 3, 4, 5, 6},
    "demo": {0, 1, 2, 3, 4, 5, 6},
}

BELOW = {"jaxmetrics._lazy", "jaxmetrics._other_names"}
"""Modules below all layers, of the standard library only: lazy names, and hints."""

INSIDE_RUNS = {
    "reading": 0,
    "plots": 1,
    "live": 1,
    "pages": 2,
    "_compare": 3,
    "view": 4,
}
"""The order of the packages within `runs`; each imports from lower ones only."""

BASE = {"numpy", "jax", "orjson", "rich"}
AT_TOP = {
    "record": {"numpy", "orjson"},
    "figures": {"numpy"},
    "pipeline": {"numpy"},
    "writers": {"numpy"},
    "aggregator": {"numpy"},
    "runs": {"numpy"},
    "cli": set(),
}
"""Third parties that a package imports at the top of a file; others may take jax."""

FRAMEWORKS = {"interop/nnx.py": {"flax"}, "interop/linen.py": {"flax"}}
"""Modules of one framework, which load it: nobody imports them without it."""

METRIC_FAMILIES = sorted(
    path.name for path in (PACKAGE / "metrics").iterdir() if path.is_dir()
)


def modules():
    return sorted(path for path in PACKAGE.rglob("*.py") if path.name != "__main__.py")


def relative_path(path):
    """Return the path of a file below the package, as text."""
    return path.relative_to(PACKAGE).as_posix()


def top_level(path):
    """Return the top-level package or module that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path):
    """Yield (module, names, whether it is inside a function) of each import.

    Imports for type checkers alone do not count.
    """
    tree = ast.parse(path.read_text())
    skipped, inside = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            skipped |= {id(inner) for part in node.body for inner in ast.walk(part)}
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            inside |= {id(inner) for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, [], id(node) in inside
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{relative_path(path)}: write imports absolute"
            names = [alias.name for alias in node.names]
            if node.module == "jaxmetrics":
                for name in names:
                    yield f"jaxmetrics.{name}", [], id(node) in inside
            else:
                yield node.module, names, id(node) in inside


def every_file(function):
    return pytest.mark.parametrize("path", modules(), ids=relative_path)(function)


@every_file
def test_imports_point_down(path):
    package = top_level(path)
    for module, _, _ in imports(path):
        top, *rest = module.split(".")
        if top != "jaxmetrics" or module in BELOW:
            continue
        assert package != "__init__", "the root imports nothing before it is asked"
        assert rest, (
            f"{relative_path(path)}: import a module of jaxmetrics, not the package"
        )
        other = rest[0]
        if (
            other == package
            or package in {"cli", "demo", "doctor"}
            and other == "__version__"
        ):
            continue
        assert (
            LAYERS[other] in MAY_IMPORT[package] and LAYERS[other] <= LAYERS[package]
        ), (
            f"{relative_path(path)} (layer {LAYERS[package]}) imports {module} "
            f"(layer {LAYERS[other]}); it may import {sorted(MAY_IMPORT[package])}"
        )


@pytest.mark.parametrize(
    "path", sorted((PACKAGE / "runs").rglob("*.py")), ids=relative_path
)
def test_imports_point_down_within_runs(path):
    part = path.relative_to(PACKAGE / "runs").parts[0].removesuffix(".py")
    if part == "__init__":
        return
    for module, _, _ in imports(path):
        if module.startswith("jaxmetrics.runs"):
            _, _, other, *_ = [*module.split("."), "__init__"]
            assert other == part or INSIDE_RUNS[other] < INSIDE_RUNS[part], (
                f"{relative_path(path)} imports {module}, which is not below it"
            )


@every_file
def test_third_parties_are_imported_where_they_are_used(path):
    allowed = AT_TOP.get(top_level(path), {"numpy", "jax"})
    allowed = allowed | FRAMEWORKS.get(relative_path(path), set())
    for module, _, inside in imports(path):
        top = module.split(".")[0]
        if top in sys.stdlib_module_names or top == "jaxmetrics" or inside:
            continue
        assert top in allowed, (
            f"{relative_path(path)} imports {top} at its top; import it "
            f"in the function that needs it, with an error that names the extra"
        )


@pytest.mark.parametrize(
    "path", sorted((PACKAGE / "runs").rglob("*.py")), ids=relative_path
)
def test_reading_code_never_imports_jax(path):
    used = {module.split(".")[0] for module, _, _ in imports(path)}
    assert "jax" not in used


@every_file
def test_no_package_imports_private_names_of_another(path):
    own = path.parent.relative_to(PACKAGE.parent).as_posix().replace("/", ".")
    for module, names, _ in imports(path):
        if not module.startswith("jaxmetrics.") or module in BELOW:
            continue
        package, _, last = module.rpartition(".")
        if package == own or module == own:
            continue
        private = [n for n in (last, *names) if n.startswith("_") and n[1] != "_"]
        assert not private, (
            f"{relative_path(path)} imports {private} of {module}; make it public there"
        )


@pytest.mark.parametrize("family", METRIC_FAMILIES)
def test_metric_families_do_not_import_each_other(family):
    others = set(METRIC_FAMILIES) - {family}
    for path in sorted((PACKAGE / "metrics" / family).glob("*.py")):
        for module, _, _ in imports(path):
            for other in others:
                assert not module.startswith(f"jaxmetrics.metrics.{other}"), path


def loaded(code):
    """Return the top-level modules that a fresh interpreter has loaded after code."""
    script = f"{code}\nimport sys\nprint('\\n'.join(sys.modules))"
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return {name.split(".")[0] for name in run.stdout.split()}


def test_importing_the_package_loads_neither_jax_nor_a_third_party():
    third_parties = BASE | {"yaml", "flax", "optax", "orbax"}
    assert not loaded("import jaxmetrics") & third_parties


def test_reading_back_does_not_load_jax():
    assert "jax" not in loaded("from jaxmetrics import Run")


def test_the_core_loads_only_jax_and_numpy():
    heavy = {
        "wandb",
        "tensorboardX",
        "matplotlib",
        "orbax",
        "flax",
        "optax",
        "clu",
        "tensorflow",
        "sklearn",
    }
    assert not loaded("from jaxmetrics import Metric, Collection, Mean") & heavy


def test_a_metric_at_module_level_starts_no_backend():
    code = """
import jaxmetrics as jm
metrics = jm.Collection(loss=jm.Mean("loss"), matrix=jm.ConfusionMatrix(10))
repr(metrics), metrics.empty(), jm.Accuracy.empty()
from jax._src import xla_bridge
assert not xla_bridge.backends_are_initialized()
"""
    loaded(code)
