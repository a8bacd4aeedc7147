"""Type-check the documented calls against an installed jaxmetrics.

    PYTHONPATH=tests python tests/support/installed_types.py ENVIRONMENT

jaxmetrics is the one that is installed in this virtual environment, from its wheel.
Other packages that the documentation imports are those of the interpreter that runs
this file. Checked are:

- every public name and every name of its modules, `jm.writers.JSONL` among them;
- the examples of the README and of docs/, but for docs/migration.md: its blocks use
  names of others, and other libraries;
- `jm.Acuracy`, which must be the one error of its file;
- how much of the public interface has a known type (`--verifytypes`, strict rules).
"""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from types import ModuleType

from support.readme import PAGES, examples

MIN_COMPLETENESS = 99.0
"""Percentage of public symbols with a known type; what is missing is listed."""

MISSPELT = "import jaxmetrics as jm\n\njm.Acuracy\n"


def public_names() -> str:
    """Return code that uses every public name, and the names of public modules."""
    jm = importlib.import_module("jaxmetrics")
    lines = ["import jaxmetrics as jm", ""]
    for name in jm.__all__:
        lines.append(f"print(jm.{name})")
        value = getattr(jm, name)
        if isinstance(value, ModuleType):
            lines += [f"print(jm.{name}.{inner})" for inner in value.__all__]
    return "\n".join([*lines, ""])


def errors_in(folder: Path, environment: Path) -> list[str]:
    """Return the type checker's errors in a folder, as `file:line: text`."""
    settings = {
        "typeCheckingMode": "basic",
        "reportMissingModuleSource": False,
        "extraPaths": [sysconfig.get_path("purelib")],
    }
    (folder / "pyrightconfig.json").write_text(json.dumps(settings))
    report = json.loads(checker(folder, environment, "--outputjson", folder))
    return [
        f"{Path(error['file']).name}:{error['range']['start']['line'] + 1}: "
        + error["message"].splitlines()[0]
        for error in report["generalDiagnostics"]
        if error["severity"] == "error"
    ]


def completeness(environment: Path) -> tuple[float, list[str]]:
    """Return the percentage of public symbols with a known type, and the errors."""
    with tempfile.TemporaryDirectory() as folder:
        options = ("--verifytypes", "jaxmetrics", "--ignoreexternal")
        report = checker(folder, environment, *options)
    score = re.search(r"Type completeness score: ([\d.]+)%", report)
    return float(score[1]) if score else 0.0, re.findall(r".* error: .*", report)


def checker(folder: Path | str, environment: Path, *arguments: str | Path) -> str:
    """Return what basedpyright prints when it runs in a folder."""
    return subprocess.run(
        [Path(sys.executable).with_name("basedpyright"), *arguments],
        cwd=folder,
        env=os.environ  # `--verifytypes` ignores `--pythonpath`
        | {
            "VIRTUAL_ENV": str(environment),
            "PATH": f"{environment}/bin:{os.environ['PATH']}",
        },
        capture_output=True,
        text=True,
    ).stdout


def main(environment: Path) -> int:
    """Check everything, print what is wrong, and return the exit status."""
    wrong: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "public_names.py").write_text(public_names())
        for page in PAGES:
            if page.stem == "migration":
                continue
            for number, code in enumerate(examples(page), 1):
                (folder / f"{page.stem}_{number}.py").write_text(code)
        count = len(list(folder.glob("*.py")))
        wrong += errors_in(folder, environment)
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "misspelt.py").write_text(MISSPELT)
        misspelt = errors_in(Path(name), environment)
        if len(misspelt) != 1 or '"Acuracy" is not a known' not in misspelt[0]:
            wrong.append(f"expected one error for jm.Acuracy, got {misspelt}")
    score, unknown = completeness(environment)
    if score < MIN_COMPLETENESS:
        wrong += [
            f"types are {score} % complete, expected {MIN_COMPLETENESS}",
            *unknown,
        ]
    print(*wrong, sep="\n")
    print(f"{count} files checked; {score} % of the public interface is typed")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).absolute()))
