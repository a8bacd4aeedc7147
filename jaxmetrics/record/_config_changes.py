"""Compare the configurations of the attempts of a run."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from jaxmetrics.record._json import dumps
from jaxmetrics.record._nested import flatten
from jaxmetrics.record._redact import plain_config
from jaxmetrics.record._run_json import hparams_by_attempt

_MAX_LISTED = 8
_MAX_VALUE_LENGTH = 60


class ConfigChange(NamedTuple):
    """A value of the configuration that an attempt changed.

    Attributes:
      attempt: Number of the attempt, from 1.
      name: Dotted name of the value.
      before: Text of the value in the attempts before; None without one.
      after: Text of the value in this attempt; None without one.
    """

    attempt: int
    name: str
    before: str | None
    after: str | None

    def __str__(self) -> str:
        """Return name and values, such as `lr from 0.1 to 0.2`."""
        if self.before is None:
            return f"{self.name} to {_short(self.after)} (not set before)"
        if self.after is None:
            return f"{self.name} from {_short(self.before)} to nothing"
        return f"{self.name} from {_short(self.before)} to {_short(self.after)}"


def config_changes(run: Mapping[str, Any]) -> list[ConfigChange]:
    """Return what each attempt changed in the configuration of the attempts before it.

    A name that an attempt lacks is not a change: the value before it remains. Secrets
    are redacted, also those in a file that was edited by hand.

    Args:
      run: Content of `run.json`.

    >>> attempts = [{"hparams": {"lr": 0.1}}, {"hparams": {"lr": 0.2}}]
    >>> [str(change) for change in config_changes({"attempts": attempts})]
    ['lr from 0.1 to 0.2']
    """
    changes, union = [], {}
    for attempt, hparams in hparams_by_attempt(run).items():
        hparams, _ = plain_config(hparams)
        if union:
            before = flatten_config({n: v for n, v in union.items() if n in hparams})
            after = flatten_config(hparams)
            changes += [
                ConfigChange(attempt, name, before.get(name), after.get(name))
                for name in dict.fromkeys([*before, *after])
                if before.get(name) != after.get(name)
            ]
        union = union | hparams
    return changes


def changes_by_attempt(run: Mapping[str, Any]) -> dict[int, str]:
    """Return a text of the changes of each attempt that changed the configuration.

    >>> attempts = [{"hparams": {"lr": 0.1}}, {"hparams": {"lr": 0.2}}]
    >>> changes_by_attempt({"attempts": attempts})
    {2: 'lr from 0.1 to 0.2'}
    """
    by_attempt = itertools.groupby(config_changes(run), lambda change: change.attempt)
    return {attempt: changes_text(list(group)) for attempt, group in by_attempt}


def changes_text(changes: Sequence[ConfigChange]) -> str:
    """Return the first changes as a text, and the number of the others.

    >>> changes_text([ConfigChange(2, "lr", "0.1", "0.2")] * 10)[-10:]
    'and 2 more'
    """
    texts = [str(change) for change in changes[:_MAX_LISTED]]
    more = len(changes) - _MAX_LISTED
    return ", ".join([*texts, f"and {more:,} more"] if more > 0 else texts)


def flatten_config(config: Mapping[str, object]) -> dict[str, str]:
    """Return one text for each dotted name; lists are written as JSON.

    >>> flatten_config({"model": {"layers": 2, "heads": [4, 8]}, "name": "a"})
    {'model.layers': '2', 'model.heads': '[4,8]', 'name': 'a'}
    """
    texts: dict[str, str] = {}
    for name, value in flatten(config, separator=".") if config else ():
        while name in texts:  # {"a": {"b": 1}, "a.b": 2} has two of one name
            name += "'"
        texts[name] = value if isinstance(value, str) else dumps(value)
    return texts


def _short(text: str | None) -> str:
    text = text or ""
    return text if len(text) <= _MAX_VALUE_LENGTH else f"{text[:_MAX_VALUE_LENGTH]}…"
