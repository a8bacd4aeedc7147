"""Only core/_jax.py uses attributes of jax beyond its documented interface."""

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "jaxmetrics"
ALLOWED = PACKAGE / "core" / "_jax.py"

MODULES = re.compile(r"(jax\._src|jaxlib|jax\.core|jax\.extend|jax\.monitoring)(\.|$)")
ATTRIBUTES = {
    "Tracer",
    "args_info",
    "auto_axes",
    "aval",
    "eqns",
    "get_abstract_mesh",
    "get_opaque_trace_state",
    "invars",
    "manual_axes",
    "monitoring",
    "name_stack",
    "outvars",
    "pcast",
    "use_abstract_mesh",
    "vma",
}
TEXTS = re.compile(r"^/jax/|jax\._src|rematted_computation|newly_manual_axes")


def private_uses(source):
    """Yield each use of jax that only core/_jax.py may have, with its line."""
    for node in ast.walk(ast.parse(source)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            names = [module, *(f"{module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Attribute):
            names = [ast.unparse(node)]
            if node.attr in ATTRIBUTES and isinstance(node.ctx, ast.Load):
                if not ast.unparse(node).startswith(("sdk.", "self.")):
                    yield node.lineno, f".{node.attr}"
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            if TEXTS.search(node.value):
                yield node.lineno, repr(node.value)
        for name in names:
            if MODULES.match(name):
                yield node.lineno, name
            elif name.startswith("jax.") and name.rpartition(".")[2] in ATTRIBUTES:
                yield node.lineno, name


@pytest.mark.parametrize(
    "path",
    sorted(PACKAGE.rglob("*.py")),
    ids=lambda path: path.relative_to(PACKAGE).as_posix(),
)
def test_only_one_file_uses_undocumented_jax(path):
    if path == ALLOWED:
        return
    uses = [f"line {line}: {use}" for line, use in private_uses(path.read_text())]
    assert not uses, (
        f"{path.relative_to(PACKAGE)} uses {uses}; go through core/_jax.py, where a "
        f"guard names the version of jax in which it is missing"
    )


@pytest.mark.parametrize(
    "source",
    [
        "from jax.core import Tracer",
        "import jax\njax.core.Tracer",
        "from jax import core\ncore.Tracer",
        "import jax\nx = jax.typeof(1).mat, v.aval.shape",
        "from jax import monitoring",
        "from jax.monitoring import record_event",
        "from jax.extend.core import jaxpr_as_fun",
        "import sys\nsys.modules['jax._src.xla_bridge']",
        "EVENT = '/jax/core/compile/backend_compile_duration'",
        "from jax._src import distributed",
        "import jax\njax.lax.pcast(x, 'a', to='varying')",
        "for equation in program.eqns: pass",
    ],
)
def test_a_use_of_private_jax_is_found(source):
    assert list(private_uses(source))
