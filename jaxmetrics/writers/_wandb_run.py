"""A run of Weights & Biases: begun, and ended, within a time."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any, Literal

_LOG = logging.getLogger("jaxmetrics")
_GRACE = 15.0  # beyond the time limits that its own package keeps
_SETTINGS: dict[str, Any] = {
    "console": "off",
    "silent": True,
    # What is captured without being asked for may hold secrets, and costs bytes.
    "save_code": False,
    "disable_code": True,
    "disable_git": True,
    "x_disable_meta": True,
    "x_disable_machine_info": True,
    "x_disable_stats": True,
    "x_save_requirements": False,
}


def begin(
    mode: Literal["online", "offline"],
    run_id: str,
    attempt: int,
    *,
    init_timeout: float,
    finish_timeout: float,
    **options: Any,
) -> Any:
    """A run that is nobody else's, or None with a warning.

    When no connection is made in time, the run is an offline one, with a warning.

    Args:
      mode: Whether to connect.
      run_id: The run's name for life.
      attempt: Which attempt of the run this is.
      init_timeout: Seconds to wait for a connection.
      finish_timeout: Seconds that its end may take.
      options: Arguments of `wandb.init`.

    Raises:
      Exception: An offline run that was asked for could not begin.
    """
    import wandb

    timeouts: dict[str, Any] = {
        "init_timeout": init_timeout,
        "login_timeout": init_timeout,
        "finish_timeout": finish_timeout,
    }
    known = wandb.Settings.model_fields  # an older version lacks some
    chosen = {k: v for k, v in (_SETTINGS | timeouts).items() if k in known}
    timeout = init_timeout + _GRACE

    def init(mode: Literal["online", "offline"], run_id: str) -> Any:
        return wandb.init(
            mode=mode,
            id=run_id,
            resume="allow",
            reinit="create_new",
            allow_val_change=True,
            settings=wandb.Settings(**chosen),
            **options,
        )

    try:
        return within(timeout, lambda: init(mode, run_id))
    except Exception as error:
        if mode == "offline":
            raise
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
    # The core may still hold the name of the run that it could not connect.
    other = f"{run_id}-offline{attempt}"
    try:
        run = within(timeout, lambda: init("offline", other))
    except Exception as error:
        _LOG.warning(
            "W&B could not begin (%s), nor offline (%s: %s); its rows are lost.",
            reason,
            type(error).__name__,
            error,
        )
        return None
    _LOG.warning(
        "W&B could not begin (%s); this attempt is written offline. Send it later "
        "with: wandb sync --id %s %s",
        reason,
        run_id,
        run.settings.sync_dir,
    )
    return run


def end(run: Any, summary: Mapping[str, Any], timeout: float) -> None:
    """Send a summary and finish a run, or leave it behind after `timeout` seconds."""

    def finish() -> None:
        try:
            run.summary.update(summary)
        finally:
            run.finish()

    within(timeout + _GRACE, finish)


def within(seconds: float, call: Callable[[], Any]) -> Any:
    """The result of a call, which is left behind when it takes too long.

    Raises:
      TimeoutError: It took longer than `seconds`.
    """
    future: Future[Any] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, name="jaxmetrics-wandb-call", daemon=True).start()
    return future.result(seconds)
