"""Start and finish runs of Weights & Biases within time limits."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from typing import Any, Literal

from jaxmetrics.record import error_text

_LOG = logging.getLogger("jaxmetrics")
_GRACE_SECONDS = 15.0  # beyond the time limits that wandb itself applies
_LOST = "The run goes on without W&B, and its rows are counted as failed."
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
      init_timeout: Seconds to wait for a connection; 15 more are for the process that
        wandb starts.
      finish_timeout: Maximum number of seconds to finish.
      options: Arguments of `wandb.init`.

    Raises:
      Exception: `mode` is `"offline"` and wandb refused the run. If its process does
        not answer, that is a warning.
    """
    import wandb
    from wandb.errors import UsageError

    timeouts: dict[str, Any] = {
        "init_timeout": init_timeout,
        "login_timeout": init_timeout,
        "finish_timeout": finish_timeout,
    }
    known = wandb.Settings.model_fields  # older versions lack some settings
    settings = {k: v for k, v in (_SETTINGS | timeouts).items() if k in known}

    def start(mode: Literal["online", "offline"], run_id: str) -> Any:
        def init() -> Any:
            return wandb.init(
                mode=mode,
                id=run_id,
                resume="allow",
                reinit="create_new",
                allow_val_change=True,
                settings=wandb.Settings(**settings),
                **options,
            )

        return call_within(init_timeout, init, "init_timeout")

    try:
        return start(mode, run_id)
    except Exception as error:
        reason = error_text(error)
        if mode == "offline":
            is_late = isinstance(error, TimeoutError | wandb.Error)
            if not is_late or isinstance(error, UsageError):
                raise
            _LOG.warning("W&B could not start (%s). %s", reason, _LOST)
            return None
    # The wandb process may still hold the id of the run that it could not connect.
    offline_id = f"{run_id}-offline{attempt}"
    try:
        run = start("offline", offline_id)
    except Exception as error:
        _LOG.warning(
            "W&B could not start (%s), nor offline (%s). %s",
            reason,
            error_text(error),
            _LOST,
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

    call_within(timeout, finish, "finish_timeout")


def call_within(seconds: float, call: Callable[[], Any], argument: str) -> Any:
    """Return the result of a call on another thread, abandoned when time is up.

    Args:
      seconds: Time limit that wandb itself applies; 15 more are for its process.
      call: Function without arguments.
      argument: Argument of `WandB` that sets the limit, for the error.

    Raises:
      TimeoutError: The call took longer.
    """
    future: Future[Any] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, name="jaxmetrics-wandb-call", daemon=True).start()
    limit = seconds + _GRACE_SECONDS
    # Not by `future.result(limit)`: a TimeoutError may also come from the call itself.
    if not wait([future], limit).done:
        raise TimeoutError(
            f"wandb did not answer within {limit:g} s ({argument}={seconds:g}, and "
            f"{_GRACE_SECONDS:g} for its process). On a busy machine pass a larger "
            f"{argument}= to writers.WandB()"
        )
    return future.result()
