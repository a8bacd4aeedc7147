"""The Python examples of a page of documentation, and running them as printed."""

import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"
NOT_RUN = "not run here"


def examples(page: Path = README) -> list[str]:
    """The page's Python blocks, but those that say they are not run."""
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    return [block for block in blocks if NOT_RUN not in block]


def run(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run one example with this interpreter, in a folder of its own."""
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
            done = run(code, Path(folder))
        print(done.stdout[-500:], done.stderr[-2000:], sep="")
        if done.returncode:
            sys.exit(f"An example of {README.name} failed.")
    print(f"{len(examples())} examples of {README.name} ran.")
