"""Configurations side by side."""

from __future__ import annotations

import itertools
from collections.abc import Container, Mapping, Sequence

from jaxmetrics.record import dumps


def flat(config: Mapping[str, object], prefix: str = "") -> dict[str, str]:
    """A configuration as one text for each dotted name; lists are texts.

    >>> flat({"model": {"layers": 2, "heads": [4, 8]}, "name": "a"})
    {'model.layers': '2', 'model.heads': '[4,8]', 'name': 'a'}
    """
    out: dict[str, str] = {}
    for name, value in config.items():
        if isinstance(value, Mapping) and value:
            out |= flat(value, f"{prefix}{name}.")
        else:
            out[f"{prefix}{name}"] = value if isinstance(value, str) else dumps(value)
    return out


def difference(configs: Sequence[Mapping[str, str]]) -> dict[str, list[str | None]]:
    """The names whose texts differ, and these texts; None where a name is not there.

    >>> difference([{"lr": "0.1", "layers": "2"}, {"lr": "0.2", "layers": "2"}])
    {'lr': ['0.1', '0.2']}
    """
    names = dict.fromkeys(name for config in configs for name in config)
    rows = {name: [config.get(name) for config in configs] for name in names}
    return {name: row for name, row in rows.items() if len(set(row)) > 1}


def groups(
    names: Sequence[str], configs: Sequence[Mapping[str, str]], seed: str
) -> dict[str, list[str]]:
    """Runs whose configurations are equal but for their seed, by what sets them apart.

    An empty configuration says nothing, and is like no other.

    Args:
      names: Of the runs.
      configs: Theirs, as `flat` returns them.
      seed: The name of the seed, or the last part of its name.

    >>> configs = [{"lr": "1", "a.seed": "1"}, {"lr": "1", "a.seed": "2"}, {"lr": "3"}]
    >>> groups(["x", "y", "z"], configs, "seed")
    {'lr=1': ['x', 'y'], 'lr=3': ['z']}
    """
    rest = [{n: v for n, v in c.items() if not _is(n, seed)} for c in configs]
    found: dict[object, list[int]] = {}
    for place, config in enumerate(configs):
        key = frozenset(rest[place].items()) if config else place
        found.setdefault(key, []).append(place)
    if len(found) == len(names):
        return {name: [name] for name in names}
    apart = difference([rest[members[0]] for members in found.values()])
    out: dict[str, list[str]] = {}
    for place, members in enumerate(found.values()):
        told = {name: row[place] for name, row in apart.items()}
        base = _short(told) if configs[members[0]] else names[members[0]]
        free = unused(base or "all runs", out)
        out[free] = [names[member] for member in members]
    return out


def unused(name: str, used: Container[str]) -> str:
    """The name, with a number behind it if it is used.

    >>> unused("a", {"a", "a (2)"})
    'a (3)'
    """
    numbered = (f"{name} ({number})" for number in itertools.count(2))
    return next(free for free in itertools.chain([name], numbered) if free not in used)


def _is(name: str, seed: str) -> bool:
    return seed in (name, name.rpartition(".")[2])


def _short(values: Mapping[str, str | None], length: int = 60) -> str:
    parts = (
        f"{name.rpartition('.')[2]}={'–' if value is None else value}"
        for name, value in values.items()
    )
    text = ", ".join(parts)
    return text if len(text) <= length else f"{text[: length - 1]}…"
