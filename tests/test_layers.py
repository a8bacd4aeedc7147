"""Imports point down the layers, and importing the package stays cheap."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "jaxmetrics"

LAYERS = {
    "record": 0,
    "core": 1,
    "metrics": 2,
    "losses": 2,
    "telemetry": 3,
    "interop": 3,
    "hosts": 3,
    "aggregator": 4,
    "writers": 4,
    "logger": 5,
    "checkpoint": 5,
    "performance": 5,
    "epochs": 5,
    "goodput": 5,
    "periodic": 5,
    "training_telemetry": 5,
    "metrics_log": 5,
    "evaluation": 5,
    "runs": 6,
    "cli": 7,
    "doctor": 7,
    "demo": 7,
}
FREE = {"numpy", *sys.stdlib_module_names}
THIRD_PARTIES = {
    0: set(),
    1: {"jax"},
    2: {"jax"},
    3: {"jax", "optax", "flax"},
    4: set(),
    5: {"jax"},
    6: set(),
    7: set(),
}
INSIDE_FUNCTIONS = {
    1: {"clu"},
    3: {"clu"},
    4: {"PIL", "google_crc32c", "jax", "rich", "tensorboardX", "wandb"},
    5: {"jax", "orbax", "yaml"},
    6: {"matplotlib", "pandas", "pyarrow"},
    7: {"jax", "flax", "optax", "orbax", "rich"},
}
SIBLINGS = {5, 7}  # a logger owns its ledger; the command line has a doctor
METRIC_FAMILIES = {
    "statistics",
    "regression",
    "classification",
    "text",
    "ranking",
    "sketches",
}


def modules():
    return sorted(path for path in PACKAGE.rglob("*.py") if path.name != "__main__.py")


def home(path):
    """The layer table's name for a file; a private module belongs to layer 5."""
    first = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return first


def layer_of(name):
    return 5 if name.startswith("_") else LAYERS[name]


def imports(path):
    """Each imported module, and whether the import is inside a function."""
    tree = ast.parse(path.read_text())
    skipped = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            skipped |= {id(inner) for inner in ast.walk(node)}
    inside = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            inside |= {id(inner) for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, id(node) in inside
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            if node.module == "jaxmetrics":
                for alias in node.names:
                    yield f"jaxmetrics.{alias.name}", id(node) in inside
            else:
                yield node.module, id(node) in inside


@pytest.mark.parametrize(
    "path", modules(), ids=lambda p: str(p.relative_to(PACKAGE.parent))
)
def test_imports_point_down(path):
    me = home(path)
    if me == "__init__":
        assert not [m for m, inside in imports(path) if m.split(".")[0] not in FREE]
        return
    mine = layer_of(me)
    for module, inside in imports(path):
        top, *rest = module.split(".")
        if top == "jaxmetrics":
            its = rest[0] if rest else None
            assert its, f"{path}: import a module of jaxmetrics, not the package"
            lower = layer_of(its) < mine
            assert its == me or lower or mine == layer_of(its) and mine in SIBLINGS, (
                f"{path} (layer {mine}) imports {module} (layer {layer_of(its)})"
            )
        elif top not in FREE:
            allowed = THIRD_PARTIES[mine]
            if inside:
                allowed = allowed | INSIDE_FUNCTIONS.get(mine, set())
            assert top in allowed, f"{path} imports {module}, inside={inside}"


@pytest.mark.parametrize("family", sorted(METRIC_FAMILIES))
def test_metric_families_do_not_import_each_other(family):
    others = METRIC_FAMILIES - {family, "statistics"}
    for path in sorted((PACKAGE / "metrics" / family).glob("*.py")):
        for module, _ in imports(path):
            for other in others:
                assert not module.startswith(f"jaxmetrics.metrics.{other}"), path


def test_runs_never_import_jax():
    for path in sorted((PACKAGE / "runs").rglob("*.py")):
        used = {module.split(".")[0] for module, _ in imports(path)}
        assert "jax" not in used, path


def loaded(code):
    """The modules that a fresh interpreter has loaded after some code."""
    script = f"{code}\nimport sys\nprint('\\n'.join(sys.modules))"
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return {name.split(".")[0] for name in run.stdout.split()}


def test_importing_the_package_loads_neither_jax_nor_a_third_party():
    assert not loaded("import jaxmetrics") & {"jax", "numpy", "rich", "yaml"}


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
