"""The command and the function that start the viewer."""

import re
import signal
import socket
import subprocess
import sys

import pytest
from support.viewer import serving

import jaxmetrics as jm
from jaxmetrics.cli import main
from jaxmetrics.runs.view import _serve

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def root(tmp_path):
    with jm.TrainingLogger("a", "run", root=tmp_path, console=False) as logger:
        logger.log_step(1, loss=1.0)
    return tmp_path


def test_one_line_says_where_it_is(root):
    with serving(root) as server:
        assert server.host == "127.0.0.1" and server.port > 0
        assert len(server.token) >= 32
        server.process.send_signal(signal.SIGINT)
        rest, errors = server.process.communicate(timeout=60)
        assert (rest, errors, server.process.returncode) == ("", "", 0)


def test_it_ends_while_pages_listen(root):
    with serving(root) as server, server.changes():
        server.process.send_signal(signal.SIGTERM)
        _, errors = server.process.communicate(timeout=60)
        assert errors == ""


def test_over_ssh_it_says_how_to_forward_the_port(root):
    env = {"SSH_CONNECTION": "10.0.0.1 5000 10.0.0.2 22"}
    with serving(root, env=env) as server:
        line, port = server.process.stdout.readline(), server.port
        assert f"ssh -N -L {port}:127.0.0.1:{port} 10.0.0.2" in line


def test_a_port_in_use_is_a_message(root, capsys):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert main(["view", str(root), "--port", str(port)]) == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert f"port {port} (address already in use)" in output.err
    assert output.err.count("\n") == 1 and "another port" in output.err


@pytest.mark.parametrize("port", ["-1", "70000"])
def test_a_port_that_does_not_exist_is_a_message(root, capsys, port):
    assert main(["view", str(root), f"--port={port}"]) == 1
    assert f"got port {port}; expected one from 0 to" in capsys.readouterr().err


def test_a_missing_root_is_a_message(tmp_path, capsys):
    assert main(["view", str(tmp_path / "none")]) == 1
    assert re.search("There is no folder .*none", capsys.readouterr().err)


def test_a_foreign_address_is_a_message(root, capsys):
    assert main(["view", str(root), "--host", "203.0.113.1", "--port", "0"]) == 1
    message = capsys.readouterr().err
    assert "cannot listen on 203.0.113.1" in message
    assert message.endswith("Give an address of this machine, such as 127.0.0.1.\n")


def test_an_empty_host_is_refused_as_it_stands_for_all_interfaces(
    root, capsys, monkeypatch
):
    monkeypatch.setattr(_serve, "_listening", None)  # which would serve for ever
    assert main(["view", str(root), "--host", "", "--port", "0"]) == 1
    assert "got an empty host" in capsys.readouterr().err


def test_another_host_answers_by_its_address_and_with_the_token(root):
    with serving(root, "--host", "0.0.0.0") as server:
        assert server.get("/api/runs", headers={"Host": "10.1.2.3"}).status == 200
        assert server.get("/api/runs", headers={"Host": "example.org"}).status == 403
        assert server.get("/api/runs", token=None).status == 401


def test_it_never_loads_jax():
    code = """
import sys
from jaxmetrics.runs.view import _app, _serve
from jaxmetrics.runs.view._root import Root
root = Root(".")
cache = _serve.RunCache(root)
_app.make_app(root, _serve.Rows(root), cache, _serve.Watcher(root, cache))
assert not {"jax", "matplotlib", "pandas"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
