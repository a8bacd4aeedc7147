"""Print the newest Python of this machine that can make an environment.

Names on the PATH are tried from high to low. Where pyenv manages them, a version that
is installed but not selected counts too.
"""

import os
import shutil
import subprocess
import sys

HIGHEST = 20
LOWEST = 11


def main() -> None:
    """Print the interpreter's path, or the running one's if none is newer."""
    for minor in range(HIGHEST, LOWEST - 1, -1):
        if path := interpreter(f"3.{minor}"):
            print(path)
            return
    print(sys.executable)


def interpreter(version: str) -> str:
    """Return the path of a Python that runs, or an empty text."""
    name = f"python{version}"
    if shutil.which(name) is None:
        return ""
    selected = [os.environ.get("PYENV_VERSION", "")]
    if shutil.which("pyenv"):
        installed = _output(["pyenv", "versions", "--bare"], None)
        selected += [x for x in reversed(installed.split()) if _is_patch(x, version)]
    for choice in selected:
        environment = os.environ | ({"PYENV_VERSION": choice} if choice else {})
        code = "import sys, venv, ensurepip; print(sys.executable)"
        if path := _output([name, "-c", code], environment):
            return path
    return ""


def _is_patch(name: str, version: str) -> bool:
    return name.startswith(f"{version}.") and name.replace(".", "").isdigit()


def _output(command: list[str], environment: dict[str, str] | None) -> str:
    run = subprocess.run(command, env=environment, capture_output=True, text=True)
    return run.stdout.strip() if run.returncode == 0 else ""


if __name__ == "__main__":
    main()
