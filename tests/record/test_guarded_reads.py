"""Every file of a run is opened by the functions of `record/_io.py`.

They refuse pipes and devices, which would block for ever or have no end, and read a
bounded number of bytes.
"""

import ast
import os
from pathlib import Path

import pytest

import jaxmetrics
from jaxmetrics.record import open_read, read_start, read_whole

PACKAGE = Path(jaxmetrics.__file__).parent

EXCEPTIONS = {
    "record/_io.py": "defines the guards",
    "record/_locks.py": "/proc/locks, the identity of the kernel",
    "runs/pages/_page.py": "assets of the package",
    "runs/view/_app.py": "assets of the package",
    "demo/_text.py": "sources of the standard library",
    "logger/_sigterm.py": "/proc/self/status",
    "telemetry/_devices.py": "/proc/self/statm",
    "cli/__init__.py": "the null device as standard output",
    "interop/levanter.py": "copies artifacts that the user names",
}
READS = {"read_text", "read_bytes", "copyfile", "copytree", "copy2", "fromfile"}
READS |= {"genfromtxt", "loadtxt", "memmap", "fdopen", "copyfileobj"}
OPENERS = {"os", "io", "codecs", "gzip", "lzma", "bz2", "zipfile", "tarfile", "np"}
MODES = {"r", "rb", "r+", "rb+", "r+b", "rt", "a", "ab", "a+", "ab+"}


def unguarded(source):
    """Return the expressions of a module that open a file for reading by themselves."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        text, function = ast.unparse(node), node.func
        if isinstance(function, ast.Name):
            guarded = text.startswith(("open(open_read(", "open(_io.open_read("))
            unsafe = function.id in {"open", *READS} and not guarded
        elif isinstance(function, ast.Attribute) and function.attr == "open":
            mode = ast.literal_eval(node.args[0]) if _is_constant(node) else "r"
            of_path = mode in MODES and (not node.args or _is_constant(node))
            module = ast.unparse(function.value)
            creates = module == "os" and "NEW_FLAGS" in text  # which has O_EXCL
            unsafe = module in OPENERS or (of_path and not node.keywords)
            unsafe = unsafe and not creates
        else:
            unsafe = isinstance(function, ast.Attribute) and function.attr in READS
        found += [text] if unsafe else []
    return found


def _is_constant(node):
    return bool(node.args) and isinstance(node.args[0], ast.Constant)


@pytest.mark.parametrize(
    "source",
    [
        "open(path)",
        "open(path, 'rb').read()",
        "Path(path).read_text()",
        "(folder / name).read_bytes()",
        "os.open(path, os.O_RDONLY)",
        "path.open()",
        "path.open('rb')",
        "shutil.copyfile(a, b)",
        "np.fromfile(path)",
    ],
)
def test_the_rule_finds_each_way_to_read(source):
    assert unguarded(source)


@pytest.mark.parametrize(
    "source",
    ["open(open_read(path), 'rb')", "writer.open(folder, None)", "read_whole(path)"],
)
def test_the_rule_takes_guarded_reads(source):
    assert not unguarded(source)


def test_no_module_opens_a_file_for_reading_by_itself():
    modules = {p.relative_to(PACKAGE).as_posix(): p for p in PACKAGE.rglob("*.py")}
    found = {name: unguarded(path.read_text()) for name, path in modules.items()}
    found = {name: texts for name, texts in found.items() if texts}
    missing = {name: texts for name, texts in found.items() if name not in EXCEPTIONS}
    assert not missing, "use read_whole, read_start or open_read of jaxmetrics.record"
    assert found.keys() == EXCEPTIONS.keys()  # none is left over


@pytest.mark.parametrize(
    "function", [open_read, read_whole, lambda path: read_start(path, 9)]
)
@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "link"])
def test_only_regular_files_are_read(tmp_path, function, kind):
    path = tmp_path / "file"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "link":
        (tmp_path / "target").write_bytes(b"data")
        path.symlink_to("target")
    else:
        path = Path("/dev/zero")
    reason = "symbolic link" if kind == "link" else "not a regular file"
    with pytest.raises(OSError, match=rf"{reason}.*[Rr]emove.*{path.name}"):
        function(path)


def test_a_link_is_followed_to_a_regular_file_only(tmp_path):
    path = tmp_path / "link"
    path.symlink_to("/dev/zero")
    with pytest.raises(OSError, match="not a regular file"):
        read_whole(path, follow_links=True)
    path.unlink()
    (tmp_path / "target").write_bytes(b"data")
    path.symlink_to("target")
    assert read_whole(path, follow_links=True) == b"data"
    assert read_start(path, 2, follow_links=True) == b"da"
