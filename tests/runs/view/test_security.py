"""Attacks on the viewer, over HTTP."""

import contextlib
import json
import os
import socket

import pytest
from support.viewer import serving

import jaxmetrics as jm

pytestmark = pytest.mark.timeout(120)

HTML = b"<!doctype html><script>document.title = 'run'</script>"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("view") / "runs"


@pytest.fixture(scope="module")
def server(root):
    outside = root.parent / "outside"
    for folder, project in ((root, "own"), (outside, "secret")):
        with jm.TrainingLogger(project, "run", root=folder, console=False) as logger:
            logger.log_step(1, loss=1.0)
            logger.log_images(1, sample=[[0.0, 1.0]])
    media = root / "own" / "run" / "media"
    (media / "page.html").write_bytes(HTML)
    (media / "page.png").write_bytes(HTML)
    (media / "drawing.svg").write_bytes(SVG)
    (media / "link.png").symlink_to(outside / "secret" / "run" / "run.json")
    os.mkfifo(media / "pipe.png")
    with open(media / "huge.wav", "wb") as file:
        file.truncate(10 * 2**30)
    (root / "own" / "linked").symlink_to(outside / "secret" / "run")
    (root / "linked").symlink_to(outside / "secret")
    borrowed = root / "own" / "borrowed"
    borrowed.mkdir()
    (borrowed / "metrics.jsonl").symlink_to(outside / "secret/run/metrics.jsonl")
    loop = root / "own" / "loop"
    loop.symlink_to(loop)
    write_run(root / "own" / HOSTILE, **{f"train/{HOSTILE}": 1.0})
    write_run(root / "own" / "100% \u2603 #1?", **{"train/loss": 1.0})
    with serving(root) as server:
        yield server


def write_run(path, **values):
    path.mkdir(parents=True)
    row = {"step": 1, "split": "train", **values}
    path.joinpath("metrics.jsonl").write_text(f"{json.dumps(row)}\n")


@pytest.mark.parametrize(
    "host",
    ["example.org", "127.0.0.1.example.org", "localhost.example.org:80", "", "0.0.0.0"],
)
def test_a_foreign_host_is_refused(server, host):
    assert server.get("/api/runs", headers={"Host": host}).status == 403


def test_requests_with_two_hosts_or_none_are_refused(server):
    for hosts in (b"", b"Host: localhost\r\nHost: example.org\r\n"):
        request = b"GET /api/runs?token=%s HTTP/1.1\r\n" % server.token.encode()
        with socket.create_connection(("127.0.0.1", server.port), 30) as connection:
            connection.sendall(request + hosts + b"\r\n")
            assert connection.recv(12) in (b"HTTP/1.1 400", b"HTTP/1.1 403")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:99", "[::1]:80", "LOCALHOST"])
def test_the_names_of_this_machine_are_answered(server, host):
    assert server.get("/api/runs", headers={"Host": host}).status == 200


@pytest.mark.parametrize("path", ["/", "/api/runs", "/assets/page.css", "/api/changes"])
@pytest.mark.parametrize("token", [None, "", "wrong", "\u00e9"])
def test_without_the_token_nothing_is_answered(server, path, token):
    answer = server.get(path, token=token)
    assert answer.status == 401 and "token" in answer.body.decode()
    assert "set-cookie" not in answer.headers


def test_a_wrong_cookie_is_refused(server):
    for cookie in (f"jaxmetrics-{server.port}={server.token}", "=;=", "a" * 4000):
        answer = server.get("/api/runs", token=None, headers={"Cookie": cookie})
        assert answer.status == 401


def test_the_token_of_one_server_is_not_that_of_another(server, tmp_path):
    with serving(tmp_path) as other:
        assert other.get("/api/runs", token=server.token).status == 401


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_methods_that_write_are_refused(server, method):
    answer = server.get("/api/runs", method=method)
    assert answer.status == 405 and answer.headers["allow"] == "GET, HEAD"


def test_head_has_no_body(server):
    assert server.get("/api/runs", method="HEAD").body == b""
    assert server.get("/api/changes", method="HEAD").body == b""


def test_every_answer_has_safe_headers(server):
    for path, token in (("/", True), ("/api/runs", True), ("/none", True), ("/", None)):
        headers = server.get(path, token=token).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe-eval" not in policy
        assert "script-src 'self';" in policy and "connect-src 'self';" in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["x-frame-options"] == "DENY"
        assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize(
    "path",
    [
        *("/../../../../etc/passwd", "/assets/../_app.py", "/assets/..%2f_app.py"),
        *("/assets/%2e%2e/_app.py", "/assets//etc/passwd", "/assets/%00"),
        *("/api/run/../outside/keys", "/api/run/..%2foutside/secret/keys"),
        *("/api/run/%2e%2e/outside/keys", "/api/run/own/../keys", "/api/run/own/%00"),
        *("/api/run/%2fetc/passwd", "/api/run/own/run%00/keys", "/api/run/own/loop"),
        "/api/run/own/run/media/file/..%2frun.json",
        "/api/run/own/run/media/file/%2e%2e/run.json",
        "/api/run/own/run/media/file/%2fetc%2fpasswd",
        "/api/run/own/run/media/file/link.png",
        "/api/run/own/run/media/file/pipe.png",
        "/api/run/own/run/media/file/a%00b",
        "/api/run/own/run/media/file/..",
    ],
)
def test_paths_stay_within_the_root(server, path):
    answer = server.get(path)
    assert answer.status in (404, 403), answer.body
    assert b"root:" not in answer.body and b"run_id" not in answer.body


@pytest.mark.parametrize("id", ["own/linked", "linked/run", "own/borrowed"])
def test_links_that_leave_the_root_are_refused(server, id):
    assert server.get(f"/api/run/{id}/keys").status == 403
    listed = {row["id"]: row for row in server.json("/api/runs")["runs"]}
    assert not listed.get(id, {}).get("last")


def test_hostile_names_are_text(server):
    listed = server.json("/api/runs")["runs"]
    assert {f"own/{HOSTILE}", "own/100% \u2603 #1?"} <= {row["id"] for row in listed}
    quoted = "/api/run/own/%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E"
    answer = server.get(f"{quoted}/keys")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json["charts"][0]["keys"] == [f"train/{HOSTILE}"]
    data = server.json(f"{quoted}/series", key=f"train/{HOSTILE}")
    assert data["series"][f"train/{HOSTILE}"]["y"] == [1.0]
    assert server.get("/api/run/own/100%25%20%E2%98%83%20%231%3F/keys").status == 200


def test_media_are_never_a_page(server):
    files = "/api/run/own/run/media/file"
    page = server.get(f"{files}/page.html")
    assert page.headers["content-type"] == "application/octet-stream"
    assert page.headers["content-disposition"].startswith("attachment")
    png = server.get(f"{files}/page.png")
    assert png.headers["content-type"] == "image/png"
    assert png.headers["x-content-type-options"] == "nosniff"
    svg = server.get(f"{files}/drawing.svg")
    assert svg.headers["content-type"] == "image/svg+xml"
    for answer in (page, png, svg):
        policy = answer.headers["content-security-policy"]
        assert policy.endswith("sandbox") and "script-src" not in policy


def test_a_file_of_10_gib_is_refused(server):
    answer = server.get("/api/run/own/run/media/file/huge.wav")
    assert answer.status == 413 and len(answer.body) < 1000


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ({"keys": ""}, "0 keys"),
        ({"keys": ",".join(map(str, range(501)))}, "501 keys"),
        ({"keys": "train/loss", "x": "nope"}, "x='nope'"),
        ({"keys": "train/loss", "points": "many"}, "points='many'"),
        ({"keys": "train/loss", "from": "nan"}, "from='nan'"),
    ],
)
def test_wrong_parameters_are_named(server, query, text):
    answer = server.get("/api/run/own/run/series", **query)
    assert answer.status == 400 and text in answer.json["error"]


@pytest.mark.parametrize("points", [-5, 0, 1, 10**30])
def test_extreme_parameters_are_bounded(server, points):
    query = {"keys": "train/loss,none", "points": points, "from": "-inf", "to": "1e999"}
    data = server.json("/api/run/own/run/series", **query)
    assert data["series"]["train/loss"]["y"] == [1.0] and data["unknown"] == ["none"]


def test_long_requests_are_refused(server):
    assert server.get("/api/runs", where="a" * 70_000).status == 414
    with contextlib.suppress(OSError):  # it may be closed before all is sent
        assert server.get("/api/runs", headers={"X": "a" * 2**21}).status == 400
    assert server.get("/api/runs").status == 200


def test_many_silent_connections_keep_nobody_out(server):
    with contextlib.ExitStack() as stack:
        silent = [
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            for _ in range(1000)
        ]
        for connection in silent[300:]:  # beyond the limit they are closed at once
            connection.settimeout(60)
            with contextlib.suppress(ConnectionResetError):
                assert connection.recv(1) == b""
        for connection in silent:  # and the others after a while
            connection.settimeout(60)
            with contextlib.suppress(ConnectionResetError):
                assert connection.recv(1) == b""
        assert server.get("/api/runs").status == 200


def test_slow_clients_keep_nobody_out(server):
    with contextlib.ExitStack() as stack:
        for _ in range(40):  # which never read what they asked for
            slow = socket.create_connection(("127.0.0.1", server.port))
            stack.enter_context(slow)
            slow.sendall(
                b"GET /api/changes?token=%s HTTP/1.1\r\nHost: localhost\r\n\r\n"
                % server.token.encode()
            )
        assert server.get("/api/runs").status == 200


def test_pages_that_listen_are_limited(root):
    with serving(root) as server, contextlib.ExitStack() as stack:
        for _ in range(64):
            stack.enter_context(server.changes())
        assert server.get("/api/changes").status == 503
        assert server.get("/api/runs").status == 200
