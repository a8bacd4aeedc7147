"""Build the wheel and the sdist twice, and compare.

    python tests/support/distributions.py DIRECTORY

They have the same bytes both times, and the wheel is small. The time in them is that of
the commit, or SOURCE_DATE_EPOCH.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
MAX_WHEEL_BYTES = 2_000_000


def main(directory: str) -> None:
    """Build into the directory, or exit with what is wrong."""
    build(Path(directory))
    with tempfile.TemporaryDirectory() as again:
        build(Path(again))
        for file in sorted(Path(directory).iterdir()):
            content = file.read_bytes()
            print(f"{file.name}: {len(content):,} bytes")
            if content != (Path(again) / file.name).read_bytes():
                sys.exit(f"{file.name} has other bytes when it is built again.")
            if file.suffix == ".whl" and len(content) > MAX_WHEEL_BYTES:
                sys.exit(f"{file.name} has more than {MAX_WHEEL_BYTES:,} bytes.")


def build(directory: Path) -> None:
    """Build the wheel and the sdist of this checkout."""
    command = [sys.executable, "-m", "build", "--quiet", "--outdir", str(directory)]
    subprocess.run([*command, str(ROOT)], check=True, env=os.environ | commit_time())


def commit_time() -> dict[str, str]:
    """Return SOURCE_DATE_EPOCH, unless it is set or this is no checkout of git."""
    log = ["git", "-C", str(ROOT), "log", "-1", "--format=%ct"]
    seconds = subprocess.run(log, capture_output=True, text=True).stdout.strip()
    name = "SOURCE_DATE_EPOCH"
    return {name: seconds} if seconds and name not in os.environ else {}


if __name__ == "__main__":
    main(*sys.argv[1:])
