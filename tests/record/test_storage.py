"""Folders and buckets: the few operations that both have."""

import os
import sys

import pytest
from support.buckets import bucket, emulator

from jaxmetrics.record import open_storage

__all__ = ["bucket", "emulator"]


@pytest.fixture(params=["folder", "bucket"])
def storage(request, tmp_path):
    if request.param == "folder":
        return open_storage(tmp_path / "new")
    return open_storage(request.getfixturevalue("bucket") + "/new")


def test_objects_are_written_whole_listed_and_read_in_parts(storage):
    assert storage.names() == []
    storage.create()
    inner = storage.child("a").child("b")
    inner.write("x-1", b"0123456789")
    inner.write("x-2", b"")
    assert sorted(inner.names()) == ["x-1", "x-2"]
    assert storage.names() == ["a"]
    parts = [(0, 3), (3, 10), (8, 99), (10, 99), (20, 30), (4, 4)]
    read = [inner.read("x-1", start, end) for start, end in parts]
    assert read == [b"012", b"3456789", b"89", b"", b"", b""]
    assert inner.read("x-2", 0, 9) == b""


def test_another_client_s_objects_are_listed_at_once(storage):
    other = open_storage(storage.address)
    assert storage.names() == other.names() == []
    other.write("x", b"1")
    assert storage.names() == ["x"]


def test_objects_of_another_machine_are_listed_at_once(bucket):
    from gcsfs import GCSFileSystem

    storage = open_storage(bucket)
    storage.write("x", b"1")
    assert storage.names() == ["x"]
    elsewhere = GCSFileSystem(skip_instance_cache=True)
    elsewhere.pipe_file(f"{bucket}/y", b"2")
    assert storage.names() == ["x", "y"]


def test_what_is_missing_is_a_value_error(storage):
    with pytest.raises(ValueError):
        storage.read("missing", 0, 1)


def test_an_object_is_never_replaced(tmp_path):
    # (The emulator ignores the condition that Google Cloud Storage checks.)
    storage = open_storage(tmp_path)
    storage.write("x", b"1")
    with pytest.raises(FileExistsError):
        storage.write("x", b"2")
    assert (tmp_path / "x").read_bytes() == b"1"


@pytest.mark.timeout(20)
def test_pipes_folders_and_links_are_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "link").symlink_to(tmp_path / "secret")
    (tmp_path / "zero").symlink_to("/dev/zero")
    storage = open_storage(tmp_path)
    for name in ("pipe", "folder", "link", "zero"):
        with pytest.raises(ValueError, match="regular|link"):
            storage.read(name, 0, 10)


def test_a_bucket_that_is_missing_is_an_os_error(emulator):
    with pytest.raises(OSError, match="gs://other/x"):
        open_storage("gs://other/x").write("name", b"1")


def test_a_missing_package_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(ImportError, match=r"pip install jaxmetrics\[gcs\]"):
        open_storage("gs://bucket")
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(ImportError, match=r"s3://bucket.*jaxmetrics\[gcs\]"):
        open_storage("s3://bucket")
