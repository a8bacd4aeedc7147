"""An optax transformation that records statistics of the updates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxmetrics._lazy import optional
from jaxmetrics.telemetry._collect import (
    Statistics,
    nan_like,
    require_positive_period,
)
from jaxmetrics.telemetry._groups import Groups
from jaxmetrics.telemetry._norms import norms
from jaxmetrics.telemetry._optimizer_state import find_states, unwrap_variable

if TYPE_CHECKING:
    import optax


class MonitorState(NamedTuple):
    """State of `monitor`; its structure does not change.

    Attributes:
      step: Number of updates, int32.
      statistics: Latest statistics, float32 scalars by key; NaN before the first.
      inner: State of the wrapped optimizer, `()` without one.
    """

    step: jax.Array
    statistics: Statistics
    inner: Any


def monitor(
    groups: Groups = None,
    every: int = 1,
    around: optax.GradientTransformation | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Create an optax transformation that measures updates and does not change them.

    Last in a chain, `optax.chain(optax.adamw(1e-3), monitor())`, it keeps the
    `update/` and `param/` statistics of `norms`. Around an optimizer,
    `monitor(around=optax.adamw(1e-3))`, it sees the gradients too and keeps all
    statistics. `monitored` reads them from the optimizer's state.

    Args:
      groups: Groups of arrays, as in `norms`.
      every: Number of updates from one measurement to the next; nothing is computed
        between. Default 1.
      around: Optimizer to wrap.

    Raises:
      ImportError: optax is not installed.
      ValueError: `every` is below 1; in `init`, a glob of the groups matches nothing.

    Example:
      >>> import optax
      >>> tx = monitor(groups={}, around=optax.sgd(0.5))
      >>> params, grads = {"w": jnp.ones(4)}, {"w": jnp.ones(4)}
      >>> _, state = tx.update(grads, tx.init(params), params)
      >>> statistics = monitored(state)
      >>> float(statistics["grad/norm"]), float(statistics["update/ratio"])
      (2.0, 0.5)
    """
    with optional("monitor()", "optax"):
        import optax

    require_positive_period("monitor()", every)
    wrapped = optax.with_extra_args_support(around or optax.identity())

    def measure(grads: Any, updates: Any, params: Any) -> Statistics:
        return norms(None if around is None else grads, updates, params, groups)

    def init(params: Any) -> MonitorState:
        absent = nan_like(lambda: measure(params, params, params))
        inner = () if around is None else wrapped.init(params)
        return MonitorState(jnp.zeros((), jnp.int32), absent, inner)

    def update(
        updates: Any, state: Any, params: Any = None, **extra: Any
    ) -> tuple[Any, MonitorState]:
        grads, inner = updates, state.inner
        if around is not None:
            updates, inner = wrapped.update(grads, inner, params, **extra)
        step = jnp.asarray(optax.safe_increment(state.step))

        absent = dict.fromkeys(state.statistics, jnp.full((), jnp.nan, jnp.float32))

        def current() -> Statistics:
            return absent | measure(grads, updates, params)

        if every == 1:
            statistics = current()
        else:
            statistics = lax.cond(step % every == 0, current, lambda: state.statistics)
        return updates, MonitorState(step, statistics, inner)

    return optax.GradientTransformationExtraArgs(init, update)


def monitored(opt_state: Any) -> Statistics:
    """Return the statistics of every `monitor` in an optimizer's state.

    Under the labels of `optax.multi_transform` keys end with the label,
    `update/norm/<label>`.

    Raises:
      ValueError: The state has no `monitor`.
    """
    states = list(find_states(opt_state, lambda s: isinstance(s, MonitorState)))
    if not states:
        raise ValueError(
            "monitored() got an optimizer state without a monitor(); expected one. Add "
            "monitor() at the end of the chain, or wrap it around the optimizer."
        )
    return {
        f"{key}/{label}" if label else key: unwrap_variable(value)
        for label, state in states
        for key, value in state.statistics.items()
    }
