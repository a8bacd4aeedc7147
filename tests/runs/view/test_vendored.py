"""Libraries that are stored with the viewer are those that were published."""

import hashlib
import tomllib
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[3]
ASSETS = PROJECT / "jaxmetrics" / "runs" / "view" / "assets"
LINES = [
    line.split()
    for line in (ASSETS / "VENDORED").read_text().splitlines()
    if not line.startswith("#")
]


@pytest.mark.parametrize(("name", "version", "file", "digest"), LINES)
def test_a_stored_library_has_its_checksum(name, version, file, digest):
    assert hashlib.sha256((ASSETS / file).read_bytes()).hexdigest() == digest


def test_the_library_says_its_version():
    name, version, file, _ = LINES[0]
    assert name == "echarts"
    assert f'version="{version}"' in (ASSETS / file).read_text()


def test_every_foreign_file_is_listed_and_its_licence_is_packaged():
    foreign = {
        path.name
        for pattern in ("*.min.*", "LICENSE.*", "NOTICE.*")
        for path in ASSETS.glob(pattern)
    }
    assert foreign == {file for _, _, file, _ in LINES}
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    packaged = {
        path.name
        for pattern in project["license-files"]
        for path in PROJECT.glob(pattern)
    }
    assert {file for file in foreign if not file.endswith(".js")} <= packaged
