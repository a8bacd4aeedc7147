"""An environment that adds libtpu, and nothing else, to the one that runs this.

    .venv/bin/python tests/tpu/install.py .venv-tpu

libtpu is large, and jax would look for a TPU wherever it is installed; so it gets an
environment of its own, which sees the packages of the first.
"""

import re
import subprocess
import sys
import sysconfig
import venv
from importlib.metadata import requires
from pathlib import Path

ATTEMPTS = 2


def main(directory):
    """Make the environment, or exit with what went wrong."""
    environment = Path(directory).resolve()
    venv.create(environment, with_pip=False, symlinks=True)
    python = environment / "bin" / "python"
    wanted = requirement()
    pip = [sys.executable, "-m", "pip", "--python", str(python)]
    install = [*pip, "install", "--quiet", "--no-deps", wanted]
    for attempt in range(1, ATTEMPTS + 1):
        if subprocess.run(install).returncode == 0:
            return see_our_packages(environment)
        print(f"attempt {attempt} of {ATTEMPTS} failed", file=sys.stderr)
    sys.exit(
        f"Could not install {wanted}, which jax names as its TPU compiler; pip said "
        f"why above, {ATTEMPTS} times. It is a wheel of about 200 MB for Linux on "
        "x86-64: check the network and the disk, and run make test-tpu again."
    )


def requirement():
    """The release of libtpu that the installed jax names in its `tpu` extra."""
    named = [r for r in requires("jax") or () if re.match(r"libtpu\b", r)]
    if len(named) != 1:
        sys.exit(
            f"jax names {named} in its tpu extra, not one release of libtpu. Install "
            "a released jax, from 0.10 on."
        )
    return named[0].split(";")[0].strip()


def see_our_packages(environment):
    """Let the environment import what this interpreter does, its .pth files too."""
    where = sysconfig.get_path("purelib", "venv", {"base": str(environment)})
    ours = {sysconfig.get_path(name) for name in ("purelib", "platlib")}
    lines = [f"import site; site.addsitedir({path!r})\n" for path in sorted(ours)]
    (Path(where) / "beside.pth").write_text("".join(lines))


if __name__ == "__main__":
    main(sys.argv[1])
