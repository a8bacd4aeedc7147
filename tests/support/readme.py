"""Extract the Python examples of a page, and run them as printed.

`python tests/support/readme.py` runs those of the README with the installed package.
"""

import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"
PAGES = [README, *sorted((README.parent / "docs").rglob("*.md"))]
NOT_RUN = "not run here"
ONE_PROGRAM = "blocks of this page are one program"


def examples(page: Path = README) -> list[str]:
    """Return the Python examples of a page, except blocks marked `not run here`.

    Each block is an example, but for a page whose text says that they are one program.
    """
    text = page.read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    blocks = [block for block in blocks if NOT_RUN not in block]
    return ["\n".join(blocks)] if ONE_PROGRAM in " ".join(text.split()) else blocks


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
