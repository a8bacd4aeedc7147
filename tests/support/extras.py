"""The extras of pyproject.toml. `python tests/support/extras.py` prints their names."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

PROJECT = tomllib.loads(
    (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
)["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]


def distributions(extra: str) -> Iterator[str]:
    """Yield the names of the packages that an extra installs, in lower case."""
    for requirement in EXTRAS[extra]:
        extras_of_ours = re.fullmatch(r"jaxmetrics\[(.*)\]", requirement)
        if extras_of_ours:
            for name in extras_of_ours[1].split(","):
                yield from distributions(name)
        else:
            yield distribution(requirement)


def distribution(requirement: str) -> str:
    """Return the name in a requirement such as `optax>=0.2.5`, in lower case."""
    name = re.match(r"[\w-]+", requirement)
    assert name, requirement
    return name[0].lower()


if __name__ == "__main__":
    print(*EXTRAS)
