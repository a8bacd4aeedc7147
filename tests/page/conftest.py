"""Runs, a server and a browser that the tests of the viewer share."""

import json
import math

import numpy as np
import pytest
from page.browser import Browser
from support.viewer import serving

from jaxmetrics import TrainingLogger
from jaxmetrics.writers import JSONL

HOSTILE = "</script><img src=x onerror='window.compromised=1'><b>&lt;"


def open_logger(root, project, name, **options):
    return TrainingLogger(
        project, name, root=root, writers=[JSONL()], console=False, **options
    )


def sweep(root):
    """Log 8 runs: two rates, two widths, two seeds; one diverges."""
    for rate in (0.01, 0.1):
        for width in (8, 16):
            for seed in (0, 1):
                noise = np.random.default_rng(seed)
                is_lost = (rate, width, seed) == (0.1, 16, 1)
                hparams = {"lr": rate, "width": width, "seed": seed, "total_steps": 100}
                name = f"lr{rate}-w{width}-s{seed}"
                with open_logger(root, "sweep", name, hparams=hparams) as logger:
                    last = 60 if is_lost else 100
                    for step in range(1, last + 1):
                        loss = 1 / rate / width + 5 * math.exp(-step / 20)
                        loss += 0.01 * noise.standard_normal()
                        if is_lost and step > last - 5:
                            loss = math.nan
                        logger.log_step(step, loss=loss)
                        if step % 10 == 0:
                            logger.log_step(step, split="val", loss=loss + 0.1)


def write_telemetry(folder):
    """Write predictions for three holdout examples at two steps."""
    (folder / "telemetry").mkdir(exist_ok=True)
    with open(folder / "telemetry" / "telemetry.jsonl", "w") as file:
        for step in (100, 200):
            logits = [[0, step / 50], [1, 0], [0, 2]]
            holdout = {"labels": [1, 0, 0], "predictions": [1, 0, 1], "logits": logits}
            file.write(json.dumps({"step": step, "holdout_logits": holdout}) + "\n")


def detailed(root):
    """Log a run with layers, an alarm, a restart, texts, tables and images."""
    noise = np.random.default_rng(0)
    hparams = {"lr": 0.1, "model": {"layers": 3}, "note": HOSTILE, HOSTILE: 1}
    for attempt in range(2):
        first = 1 if attempt == 0 else 101
        options = {"hparams": hparams, "enable_histograms": True}
        with open_logger(root, "lm", "detailed", **options) as logger:
            for step in range(first, first + 100):
                spike = 4 * math.exp(-(step - 150) / 5) if step >= 150 else 0
                loss = 2 + 3 * math.exp(-step / 40) + spike
                layers = {
                    f"grad/norm/layer_{i}": 1 + i + spike * (20 if i == 1 else 1)
                    for i in range(3)
                }
                values = layers | {HOSTILE: 1.0, "perf/mfu": 0.4}
                logger.log_step(step, loss=loss, tokens=10 * step)
                logger.log_step(step, metrics=values)
                if step % 20 == 0:
                    logger.log_step(step, split="val", loss=loss + 0.2)
                    word = "good " * (step // 20)
                    logger.log_text(step, sample=f"It is {word}{HOSTILE}")
                    rows = [["a", step / 10], [HOSTILE, 2.0]]
                    logger.log_table(step, predictions=(["text", "p"], rows))
                    matrix = [[step, 2], [1, 30]]
                    logger.log_table(step, confusion=(["cat", "dog"], matrix))
                    logger.log_images(step, {"picture": noise.random((8, 8))})
                    weights = noise.normal(0, step, 500)
                    logger.log_histograms(step, {"weights": weights})
                    wave = np.sin(np.arange(800) * step / 100)
                    logger.log_audio(step, {"val/tone": wave}, sample_rate=8000)
            write_telemetry(logger.run_dir)
            logger.ledger.event(
                *("alarm",), step=150, kind="spike", key="train/loss", message=HOSTILE
            )


@pytest.fixture(scope="session")
def view_root(tmp_path_factory):
    root = tmp_path_factory.mktemp("view") / "runs"
    sweep(root)
    detailed(root)
    hostile = root / "lm" / "<img src=x onerror=window.compromised=1>"
    hostile.mkdir()
    line = '{"step":1,"split":"train","train/loss":1.5}\n'
    (hostile / "metrics.jsonl").write_text(line)
    return root


@pytest.fixture(scope="session")
def view_server(view_root):
    with serving(view_root) as server:
        yield server


@pytest.fixture(scope="session")
def view_browser(tmp_path_factory):
    browser = Browser(tmp_path_factory.mktemp("view-profile"))
    browser.prefer("dark")
    yield browser
    browser.close()


class Viewer:
    """A browser that looks at a server."""

    def __init__(self, browser, server):
        self.browser = browser
        self.server = server

    def enter(self):
        """Open the address that the server printed; the first of all."""
        url = f"http://127.0.0.1:{self.server.port}"
        self.browser.visit(f"{url}/?token={self.server.token}")

    def forget(self):
        """Clear what the browser remembers of the pages of this server."""
        origin = f"http://127.0.0.1:{self.server.port}"
        self.browser.call(
            "Storage.clearDataForOrigin", origin=origin, storageTypes="local_storage"
        )

    def go(self, route, ready):
        """Open a route in a fresh page, and wait until a condition is true."""
        self.browser.call("Page.navigate", url="about:blank")
        self.browser.visit(f"http://127.0.0.1:{self.server.port}/#/{route}")
        self.browser.wait(ready)
        self.browser.settle()

    @property
    def route(self):
        """The route shown, with all of its state."""
        return self.browser.run("decodeURIComponent(location.hash)")


@pytest.fixture(scope="session")
def entered(view_browser, view_server):
    """The browser with the cookie of the shared server."""
    viewer = Viewer(view_browser, view_server)
    viewer.enter()
    return viewer


@pytest.fixture
def viewer(entered):
    """The browser for the shared runs, with nothing remembered."""
    entered.browser.resize(1400, 1000)
    entered.forget()
    return entered
