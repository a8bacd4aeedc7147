"""Pages that are generated when the site is built: the reference and the changelog.

The reference has an entry for every public name: every name in the `__all__` of a
package or of a module without an underscore. They are read from the sources, so that no
dependency of the package has to be installed.
"""

from __future__ import annotations

import ast
import importlib
import re
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from jaxmetrics._lazy import _typed_imports  # noqa: E402

TOP = "jaxmetrics"
USERS = {
    "core": ("Metrics, collections, wrappers", ["core"]),
    "logging": ("Logging", ["logger", "writers", "checkpoint"]),
    "loop": (
        "Training loops",
        [
            "loop",
            "loop.evaluation",
            "loop.performance",
            "loop.periodic",
            "loop.epochs",
            "loop.training_telemetry",
        ],
    ),
    "telemetry": ("Telemetry and losses", ["telemetry", "losses"]),
    "aggregator": ("Totals per dataset", ["aggregator"]),
    "interop": (
        "Frameworks",
        [
            "interop",
            "interop.nnx",
            "interop.linen",
            "interop.clu",
            "interop.metrax",
            "interop.levanter",
            "interop.monitoring",
        ],
    ),
    "runs": ("Runs", ["runs", "runs.view"]),
    "processes": ("Processes", ["processes"]),
    "record": ("Records and files", ["record"]),
}
"""Pages for users: title and packages, by the name of the page."""

FOREIGN = {"jaxmetrics.Array": "`jax.Array`, for annotations: the type of leaves."}
"""Names of other packages that this one exports, with the text of their entry."""

OF_METRICS = """      show_bases: false
      filters: ["!^_", "!^(validate|observe|compute|charts|groups|cells|merge)$"]"""
"""Options of the entries of metrics: what all have is in the entry of `Metric`."""


def public_modules() -> list[str]:
    """Return the packages and the modules without an underscore, but the demo."""
    names = set()
    for path in (ROOT / TOP).rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if parts[-1] == "__init__":
            parts = parts[:-1]
        if not any(part.startswith("_") for part in parts) and "demo" not in parts:
            names.add(".".join(parts))
    return sorted(names)


def public_names(module: str) -> list[str]:
    """Return the literal `__all__` of a module, or that of a lazy package."""
    path = ROOT.joinpath(*module.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    source = path.read_text()
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return (
                ast.literal_eval(node.value) if isinstance(node.value, ast.List) else []
            )
    lazy = "= attach(__name__" in source  # imports the standard library only
    return list(importlib.import_module(module).__all__) if lazy else []


def reference() -> dict[str, tuple[str, dict[str, list[str]]]]:
    """Return the pages of the reference: title, and names by module, by address.

    A name is listed as users import it: `jaxmetrics.Run`, not `jaxmetrics.runs.Run`.
    """
    top = {(module, name) for module, name in _typed_imports(TOP)}
    modules = {
        name.removeprefix(f"{TOP}."): public_names(name) for name in public_modules()
    }
    modules = {name: names for name, names in modules.items() if names}
    modules.pop(TOP)

    def paths(module: str, shown: bool) -> list[str]:
        """Return the paths of a module's names, those of jaxmetrics or the others."""
        whole = f"{TOP}.{module}"
        if shown:
            return [f"{TOP}.{n}" for n in modules[module] if (whole, n) in top]
        names = (n for n in modules[module] if (whole, n) not in top)
        return [f"{whole}.{n}" for n in names if f"{module}.{n}" not in modules]

    pages = {}
    for page, (title, members) in USERS.items():
        entries = {name: paths(name, True) for name in members}
        if page != "core":
            entries = {
                name: found + paths(name, False) for name, found in entries.items()
            }
        pages[f"reference/{page}.md"] = title, entries
    for name in modules:
        if name.startswith("metrics."):
            family = name.removeprefix("metrics.")
            pages[f"reference/metrics/{family}.md"] = (
                family.capitalize(),
                {name: paths(name, True) + paths(name, False)},
            )
    done = {name for _, members in USERS.values() for name in members} - {"core"}
    for name in modules:
        package = name.split(".")[0]
        if name in done or package == "metrics":
            continue
        title, entries = pages.setdefault(
            f"reference/internal/{package}.md", (package, {})
        )
        entries[name] = paths(name, False)
    return pages


def _page(title: str, entries: dict[str, list[str]]) -> Iterator[str]:
    yield f"# {title}\n"
    for module, paths in entries.items():
        yield f"::: {TOP}.{module}\n    options:\n      members: false\n"
        for path in paths:
            if path in FOREIGN:
                yield f"### `{path}` {{#{path}}}\n\n{FOREIGN[path]}\n"
                continue
            yield f"::: {path}\n    options:\n      heading_level: 3"
            if module.startswith("metrics."):
                yield OF_METRICS
            yield ""


def on_config(config: Any) -> None:
    """Add the pages of the reference to the navigation."""
    metrics: list[Any] = []
    internal: list[Any] = []
    section: list[Any] = ["reference.md"]
    for address, (title, _) in reference().items():
        part = {"metrics": metrics, "internal": internal}.get(address.split("/")[1])
        (section if part is None else part).append({title: address})
    section.insert(2, {"Metrics": metrics})
    section.append({"Shared between packages": internal})
    for entry in config["nav"]:
        if "Reference" in entry:
            entry["Reference"] = section


def on_files(files: Any, config: Any) -> Any:
    """Add the generated pages to the files of the site."""
    from mkdocs.structure.files import File

    texts = {
        address: "\n".join(_page(title, entries))
        for address, (title, entries) in reference().items()
    }
    texts["changelog.md"] = (ROOT / "CHANGELOG.md").read_text()
    for address, text in texts.items():
        files.append(File.generated(config, address, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Link each row of the page of all metrics to its entry in the reference."""
    if page.file.src_uri != "metrics.md":
        return markdown
    return re.sub(r"^\| `(\w+)` \|", rf"| [`\1`][{TOP}.\1] |", markdown, flags=re.M)


def on_page_content(html: str, **_: Any) -> str:
    """Let code in tables, but for the first column, break after its punctuation."""

    def breakable(code: re.Match[str]) -> str:
        return re.sub(r"(?<=[_.(,/=])(?=\w)", "<wbr>", code[0])

    return re.sub(
        r"(?<=</td>\n)<td.*?</td>",
        lambda cell: re.sub(r"(?<=<code>)[^<]+(?=</code>)", breakable, cell[0]),
        html,
        flags=re.DOTALL,
    )


def on_post_build(config: Any) -> None:
    """Fail if a name has no entry, or a page loads something from another address."""
    from mkdocs.exceptions import PluginError

    site = Path(config["site_dir"])
    inventory = (site / "objects.inv").read_bytes().split(b"\n", 4)[4]
    present = {
        line.split()[0] for line in zlib.decompress(inventory).decode().splitlines()
    }
    expected = {
        p for _, entries in reference().values() for ps in entries.values() for p in ps
    }
    if missing := expected - present - set(FOREIGN):
        raise PluginError(f"No entry in the reference: {sorted(missing)}")
    loads = re.compile(
        r'<(?:script|img|iframe|link rel="(?:stylesheet|preconnect|icon)")[^>]*'
        r'(?:src|href)="(?:https?:)?//[^"]*"'
    )
    for path in sorted(site.rglob("*.html")):
        if found := loads.search(path.read_text()):
            raise PluginError(f"{path}: loads from another address: {found[0]}")
