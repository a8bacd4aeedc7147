"""Draw the picture of the viewer: `PYTHONPATH=tests python docs/picture.py`.

It runs the demo as `demo/one`, and photographs its page in Chromium.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from page.browser import Browser
from support.viewer import serving

PICTURE = Path(__file__).parent / "assets" / "viewer.png"
SIZE = 1400, 900


def main() -> None:
    """Write the picture."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        root = Path(folder) / "work" / "runs"
        demo = [sys.executable, "-m", "jaxmetrics", "demo", "--run-name", "one"]
        subprocess.run([*demo, "--root", root], check=True, stdout=subprocess.DEVNULL)
        browser = Browser(Path(folder) / "profile")
        with serving(root) as server:
            url = f"http://127.0.0.1:{server.port}/"
            browser.prefer("light")
            browser.resize(*SIZE)
            browser.visit(f"{url}?token={server.token}")
            browser.run("location.hash = '#/run/demo/one'")
            browser.wait("document.querySelectorAll('.run canvas').length > 5", 60)
            browser.settle()
            browser.photograph(PICTURE, whole=False)
        browser.close()


if __name__ == "__main__":
    main()
