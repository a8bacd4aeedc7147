"""Extract the Python examples of a page, and run them as printed.

`python tests/support/readme.py` runs those of the README with the installed package.
"""

import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"
NOT_RUN = "not run here"


def examples(page: Path = README) -> list[str]:
    """Return the Python blocks of a page, except those marked `not run here`."""
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    return [block for block in blocks if NOT_RUN not in block]


def run(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run an example with this interpreter, in the given folder."""
    path = folder / "example.py"
    path.write_text(code)
    return subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning", str(path)],
        cwd=folder,
        capture_output=True,
        text=True,
    )


if __name__ == "__main__":
    import tempfile

    for code in examples():
        with tempfile.TemporaryDirectory() as folder:
            process = run(code, Path(folder))
        print(process.stdout[-500:], process.stderr[-2000:], sep="")
        if process.returncode:
            sys.exit(f"An example of {README.name} failed.")
    print(f"{len(examples())} examples of {README.name} ran.")
