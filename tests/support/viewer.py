"""The viewer in a process of its own, asked over HTTP."""

import contextlib
import http.client
import json
import os
import re
import subprocess
import sys
import threading
from urllib.parse import urlencode

LINE = re.compile(r"Viewer: http://(.+):(\d+)/\?token=(\S+)\n")


class Answer:
    """Status, headers and body of an answer."""

    def __init__(self, response):
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.body = response.read()

    @property
    def json(self):
        return json.loads(self.body)


class Server:
    """A running `jaxmetrics view`."""

    def __init__(self, process, host, port, token, lines):
        self.process = process
        self.host = host
        self.port = port
        self.token = token
        self.lines = lines

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def get(self, path, token=True, method="GET", headers=None, **query):
        """Ask with the token as a header, unless `token` is another one or None."""
        own = {} if headers is None else dict(headers)
        if token is not None:
            own["Authorization"] = f"Bearer {self.token if token is True else token}"
        path = f"{path}?{urlencode(query, doseq=True)}" if query else path
        with contextlib.closing(self.connect()) as connection:
            connection.request(method, path, headers=own)
            return Answer(connection.getresponse())

    def json(self, path, **query):
        """Return the content of an answer that is expected to be one."""
        answer = self.get(path, **query)
        assert answer.status == 200, answer.body
        return answer.json

    @contextlib.contextmanager
    def changes(self):
        """Return an iterator over what `/api/changes` says of runs."""
        connection = self.connect()
        try:
            headers = {"Authorization": f"Bearer {self.token}"}
            connection.request("GET", "/api/changes", headers=headers)
            response = connection.getresponse()
            assert response.status == 200
            assert response.readline() == b":\n"  # from here on changes are found
            yield events(response)
        finally:
            connection.close()


def events(response):
    for line in iter(response.readline, b""):
        if line.startswith(b"data: "):
            yield from json.loads(line[6:])["runs"]


@contextlib.contextmanager
def serving(root, *arguments, env=None):
    """Run `jaxmetrics view` on a free port."""
    command = [sys.executable, "-m", "jaxmetrics", "view", str(root), "--port", "0"]
    process = subprocess.Popen(
        [*command, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"SSH_CONNECTION": ""} | (env or {}),
    )
    watchdog = threading.Timer(300, process.kill)
    watchdog.start()
    try:
        line = process.stdout.readline()
        match = LINE.fullmatch(line)
        assert match, line + process.stderr.read()
        yield Server(process, match[1], int(match[2]), match[3], [line])
    finally:
        watchdog.cancel()
        process.kill()
        process.communicate()
