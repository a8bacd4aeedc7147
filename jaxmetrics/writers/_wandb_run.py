"""Start and finish runs of Weights & Biases within time limits."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any, Literal

_LOG = logging.getLogger("jaxmetrics")
_GRACE_SECONDS = 15.0  # beyond the time limits that wandb itself applies
_SETTINGS: dict[str, Any] = {
    "console": "off",
    "silent": True,
    # What wandb captures by default may contain secrets, and costs bytes.
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
    """Start a run separate from `wandb.run`, or return None with a warning.

    If there is no connection in time, the run is an offline one, with a warning.

    Args:
      mode: Connect to the server, or write to local files only.
      run_id: Id of the run, the same in all attempts.
      attempt: Number of this attempt of the run, from 1.
      init_timeout: Seconds to wait for a connection.
      finish_timeout: Maximum number of seconds to finish.
      options: Arguments of `wandb.init`.

    Raises:
      Exception: `mode` is `"offline"` and the run could not start.
    """
    import wandb

    timeouts: dict[str, Any] = {
        "init_timeout": init_timeout,
        "login_timeout": init_timeout,
        "finish_timeout": finish_timeout,
    }
    known = wandb.Settings.model_fields  # older versions lack some settings
    settings = {k: v for k, v in (_SETTINGS | timeouts).items() if k in known}
    timeout = init_timeout + _GRACE_SECONDS

    def init(mode: Literal["online", "offline"], run_id: str) -> Any:
        return wandb.init(
            mode=mode,
            id=run_id,
            resume="allow",
            reinit="create_new",
            allow_val_change=True,
            settings=wandb.Settings(**settings),
            **options,
        )

    try:
        return call_within(timeout, lambda: init(mode, run_id))
    except Exception as error:
        if mode == "offline":
            raise
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
    # The wandb process may still hold the id of the run that it could not connect.
    offline_id = f"{run_id}-offline{attempt}"
    try:
        run = call_within(timeout, lambda: init("offline", offline_id))
    except Exception as error:
        _LOG.warning(
            "W&B could not start (%s), nor offline (%s: %s); its rows are lost.",
            reason,
            type(error).__name__,
            error,
        )
        return None
    _LOG.warning(
        "W&B could not start (%s); this attempt is written offline. Send it later "
        "with: wandb sync --id %s %s",
        reason,
        run_id,
        run.settings.sync_dir,
    )
    return run


def end(run: Any, summary: Mapping[str, Any], timeout: float) -> None:
    """Send a summary and finish a run, or abandon it after `timeout` seconds."""

    def finish() -> None:
        try:
            run.summary.update(summary)
        finally:
            run.finish()

    call_within(timeout + _GRACE_SECONDS, finish)


def call_within(seconds: float, call: Callable[[], Any]) -> Any:
    """Return the result of a call on another thread, abandoned after `seconds`.

    Raises:
      TimeoutError: The call took longer than `seconds`.
    """
    future: Future[Any] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, name="jaxmetrics-wandb-call", daemon=True).start()
    return future.result(seconds)
