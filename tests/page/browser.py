"""Control Chromium over a pipe with the Chrome DevTools Protocol."""

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-pipe",
    "--window-size=1400,1000",
)
INSTALL = "apt-get update && apt-get install --yes chromium"
DEADLINE = 30.0


def chromium():
    """Return the path of Chromium."""
    path = shutil.which("chromium")
    if path is None:
        raise FileNotFoundError(
            f"The page tests need Chromium, which is not installed. Run `{INSTALL}`."
        )
    return path


class Browser:
    """Headless Chromium with its own profile and one open page.

    Attributes:
      problems: Messages of console and log since `open`: warnings, errors, exceptions,
        and violations of the content security policy.
      requests: Requested URLs since `open`.
    """

    def __init__(self, profile: Path) -> None:
        """Start the browser with a profile folder."""
        flags = [*FLAGS, f"--user-data-dir={profile}", "about:blank"]
        self._in, child_out = os.pipe()
        child_in, self._out = os.pipe()
        # Chromium uses descriptors 3 and 4, so the pipes must have higher ones first.
        ends = [fcntl.fcntl(fd, fcntl.F_DUPFD, 20) for fd in (child_in, child_out)]
        pipes = f'exec "$@" 3<&{ends[0]} 4>&{ends[1]}'
        self._process = subprocess.Popen(
            ["bash", "-c", pipes, "bash", chromium(), *flags],
            pass_fds=ends,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for end in (child_in, child_out, *ends):
            os.close(end)
        self._buffer, self._last, self._session = b"", 0, None
        self._arrived: list[str] = []
        self.problems: list[str] = []
        self.requests: list[str] = []
        self.new_tab()

    def new_tab(self) -> str:
        """Open a page in a window of its own for all later calls, and return its id."""
        self._session = None
        options = {"url": "about:blank", "newWindow": True}
        target = self.call("Target.createTarget", **options)["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        return self._session

    def use(self, tab: str) -> None:
        """Let all calls go to a page that `new_tab` opened."""
        self._session = tab

    @property
    def tab(self) -> str:
        """Id of the page that calls go to."""
        assert self._session is not None
        return self._session

    def wait(self, condition: str, seconds: float = 15.0) -> None:
        """Wait until a JavaScript expression is true, or fail after some seconds."""
        script = (
            "new Promise(done => { const end = performance.now() + %d;"
            " const look = () => { let isTrue = false;"
            " try { isTrue = Boolean(%s); } catch {}"
            " if (isTrue || performance.now() > end) done(isTrue);"
            " else setTimeout(look, 30); }; look(); })"
        )
        if not self.run(script % (1000 * seconds, condition)):
            text = self.run("document.body.innerText.slice(0, 1500)")
            raise AssertionError(f"{condition} is not true after {seconds} s: {text}")

    def open(self, path: Path) -> None:
        """Open a file, and wait until it is drawn."""
        self.visit(path.resolve().as_uri())

    def visit(self, url: str) -> None:
        """Open an address, and wait until it is drawn."""
        self.problems.clear()
        self.requests.clear()
        self._arrived.clear()
        self.call("Page.navigate", url=url)
        while "Page.loadEventFired" not in self._arrived:
            self._read_message()
        self.settle()

    def settle(self) -> None:
        """Wait until the page has drawn all changes."""
        frames = "new Promise(done => requestAnimationFrame(() => setTimeout(done)))"
        for _ in range(3):
            self.run(frames)

    def run(self, script: str):
        """Return the value of a JavaScript expression; a promise is awaited."""
        answer = self.call(
            "Runtime.evaluate",
            expression=script,
            returnByValue=True,
            awaitPromise=True,
        )
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{script}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def texts(self, selector: str) -> list[str]:
        """Return the text of each element that matches a selector."""
        elements = f"[...document.querySelectorAll({json.dumps(selector)})]"
        return self.run(f"{elements}.map(element => element.textContent)")

    def click(self, selector: str) -> None:
        """Scroll to the first matching element, and click it with the mouse."""
        x, y = self.middle(selector)
        self.mouse("Pressed", x, y)
        self.mouse("Released", x, y)
        self.settle()

    def drag(self, selector: str, begin: float, end: float) -> None:
        """Drag across an element, from one fraction of its width to another."""
        left, top, width, height = self.box(selector)
        y = top + height / 2
        self.mouse("Moved", left + begin * width, y)
        self.mouse("Pressed", left + begin * width, y)
        self.mouse("Moved", left + (begin + end) / 2 * width, y, held=1)
        self.mouse("Moved", left + end * width, y, held=1)
        self.mouse("Released", left + end * width, y)
        self.settle()

    def double_click(self, selector: str) -> None:
        """Click the middle of an element twice."""
        x, y = self.middle(selector)
        for count in (1, 2):
            self.mouse("Pressed", x, y, count=count)
            self.mouse("Released", x, y, count=count)
        self.settle()

    def choose(self, selector: str, value: str) -> None:
        """Set the value of a field, with the events of user input."""
        self.run(
            f"(field => {{ field.value = {json.dumps(value)};"
            "for (const type of ['input', 'change'])"
            " field.dispatchEvent(new Event(type, { bubbles: true })); })"
            f"(document.querySelector({json.dumps(selector)}))"
        )
        self.settle()

    def press(self, key: str, modifiers: int = 0) -> None:
        """Press and release a key; modifiers are 8 for shift."""
        text = {"Enter": "\r", "Space": " "}.get(key, key if len(key) == 1 else "")
        name = " " if key == "Space" else key
        code = {"Enter": 13, "Space": 32}.get(key, 0)
        options = {"key": name, "windowsVirtualKeyCode": code, "modifiers": modifiers}
        self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **options)
        self.call("Input.dispatchKeyEvent", type="keyUp", **options)
        self.settle()

    def mouse(self, event: str, x: float, y: float, held: int = 0, count: int = 1):
        """Send one mouse event: `"Moved"`, `"Pressed"` or `"Released"`."""
        moved = event == "Moved"
        button = "none" if moved and not held else "left"
        options = {"buttons": held} if moved else {"clickCount": count}
        name = f"mouse{event}"
        self.call(
            "Input.dispatchMouseEvent", type=name, x=x, y=y, button=button, **options
        )

    def shift_drag(self, selector: str, begin: float, end: float) -> None:
        """Drag with shift from one fraction of an element's height to another."""
        left, top, width, height = self.box(selector)
        x, shift = left + width / 2, {"button": "left", "modifiers": 8}
        for event, share in (("Pressed", begin), ("Moved", end), ("Released", end)):
            held = {"buttons": 1} if event == "Moved" else {"clickCount": 1}
            place = {"x": x, "y": top + share * height}
            name = f"mouse{event}"
            self.call("Input.dispatchMouseEvent", type=name, **place, **shift, **held)
        self.settle()

    def touch(self, event: str, *points: tuple[float, float]) -> None:
        """Send one touch event, `"Start"`, `"Move"` or `"End"`, with all fingers."""
        fingers = [{"x": x, "y": y, "id": n} for n, (x, y) in enumerate(points)]
        name = f"touch{event}"
        self.call("Input.dispatchTouchEvent", type=name, touchPoints=fingers)
        self.settle()

    def middle(self, selector: str) -> tuple[float, float]:
        """Return the middle of an element, scrolled into view."""
        left, top, width, height = self.box(selector)
        return left + width / 2, top + height / 2

    def box(self, selector: str) -> list[float]:
        """Return left, top, width and height of an element, scrolled into view."""
        name = json.dumps(selector)
        self.run(f"document.querySelector({name}).scrollIntoView({{block: 'center'}})")
        self.settle()
        return self.run(
            f"(({{x, y, width, height}}) => [x, y, width, height])"
            f"(document.querySelector({name}).getBoundingClientRect())"
        )

    def pixels(self, selector: str) -> bytes:
        """Return the content of a canvas as PNG."""
        name = json.dumps(selector)
        data = self.run(f"document.querySelector({name}).toDataURL()")
        return base64.b64decode(data.partition(",")[2])

    def photograph(self, path: Path, whole: bool = True) -> None:
        """Write a screenshot of the page as PNG."""
        if whole:
            size = self.call("Page.getLayoutMetrics")["cssContentSize"]
            self.resize(1400, round(size["height"]))
        shot = self.call("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(shot["data"]))

    def prefer(self, scheme: str) -> None:
        """Set the preferred color scheme: `"dark"` or `"light"`."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", features=features)
        self.settle()

    def resize(self, width: int, height: int) -> None:
        """Set the size of the page in pixels."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        self.settle()

    def close(self) -> None:
        """Close the browser."""
        self._session = None
        self.call("Browser.close")
        os.close(self._out)
        os.close(self._in)
        self._process.wait(DEADLINE)

    def call(self, method: str, **params):
        """Call a method of the protocol, and return its result."""
        self._last += 1
        message = {"id": self._last, "method": method, "params": params}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read_message()
            if answer.get("id") == self._last:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]

    def _read_message(self):
        deadline = time.monotonic() + DEADLINE
        while b"\0" not in self._buffer:
            left = max(deadline - time.monotonic(), 0)
            if not select.select([self._in], [], [], left)[0]:
                raise TimeoutError(f"Chromium sent no message for {DEADLINE:.0f} s.")
            piece = os.read(self._in, 2**20)
            if not piece:
                raise EOFError(
                    f"Chromium exited with status {self._process.wait(DEADLINE)}."
                )
            self._buffer += piece
        text, _, self._buffer = self._buffer.partition(b"\0")
        message = json.loads(text)
        self._note(message.get("method"), message.get("params", {}))
        return message

    def _note(self, method, params) -> None:
        if method == "Runtime.consoleAPICalled":
            self.problems.append(f"console: {params['args']}")
        elif method == "Runtime.exceptionThrown":
            self.problems.append(f"exception: {params['exceptionDetails']}")
        elif method == "Log.entryAdded":
            self.problems.append(f"log: {params['entry']}")
        elif method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Page.loadEventFired":
            self._arrived.append(method)
