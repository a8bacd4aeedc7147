"""Compare the configurations of several runs."""

from __future__ import annotations

import itertools
from collections.abc import Container, Mapping, Sequence

from jaxmetrics.record import flatten_config

__all__ = [
    "config_difference",
    "flatten_config",
    "seed_groups",
    "short_names",
    "unique_name",
]


def config_difference(
    configs: Sequence[Mapping[str, str]],
) -> dict[str, list[str | None]]:
    """Return the values of each name that is not equal in all configurations.

    A configuration without the name has None, and so has one where it is None: what an
    option is without a value is not known to differ from its absence.

    >>> config_difference([{"lr": "0.1", "layers": "2"}, {"lr": "0.2", "layers": "2"}])
    {'lr': ['0.1', '0.2']}
    """
    names = dict.fromkeys(name for config in configs for name in config)
    rows = {name: [_set(config.get(name)) for config in configs] for name in names}
    return {name: row for name, row in rows.items() if len(set(row)) > 1}


def seed_groups(
    names: Sequence[str], configs: Sequence[Mapping[str, str]], seed: str
) -> dict[str, list[str]]:
    """Group runs whose configurations are equal but for the seed.

    A run with an empty configuration is a group of its own, since nothing is known of
    it.

    Args:
      names: Names of the runs.
      configs: Configurations of the runs, from `flatten_config`.
      seed: Name of the seed in the configuration, or the last part of that name.

    Returns:
      Names of the runs by group. A group is named by the values in which it differs
      from the others; if no two runs belong together, by its run.

    >>> configs = [{"lr": "1", "a.seed": "1"}, {"lr": "1", "a.seed": "2"}, {"lr": "3"}]
    >>> seed_groups(["x", "y", "z"], configs, "seed")
    {'lr=1': ['x', 'y'], 'lr=3': ['z']}
    """
    seedless = [
        {
            name: value
            for name, value in config.items()
            if not _is_seed(name, seed) and _set(value) is not None
        }
        for config in configs
    ]
    members_by_config: dict[object, list[int]] = {}
    for index, config in enumerate(configs):
        key = frozenset(seedless[index].items()) if config else index
        members_by_config.setdefault(key, []).append(index)
    if len(members_by_config) == len(names):
        return {name: [name] for name in names}
    difference = config_difference(
        [seedless[members[0]] for members in members_by_config.values()]
    )
    groups: dict[str, list[str]] = {}
    for index, members in enumerate(members_by_config.values()):
        values = {name: row[index] for name, row in difference.items()}
        name = _short(values) if configs[members[0]] else names[members[0]]
        name = unique_name(name or "all runs", groups)
        groups[name] = [names[member] for member in members]
    return groups


def _set(value: str | None) -> str | None:
    """Return the text of a value; None if it is the text of None."""
    return None if value in ("null", "None") else value


def unique_name(name: str, used: Container[str]) -> str:
    """Return the name, with a number appended if it is in use.

    >>> unique_name("a", {"a", "a (2)"})
    'a (3)'
    """
    numbered = (f"{name} ({number})" for number in itertools.count(2))
    return next(free for free in itertools.chain([name], numbered) if free not in used)


def short_names(names: Sequence[str]) -> list[str]:
    """Return the last part of each dotted name, where no other name has the same.

    >>> short_names(["model.width", "a.lr", "b.lr"])
    ['width', 'a.lr', 'b.lr']
    """
    last = [name.rpartition(".")[2] for name in names]
    return [end if last.count(end) == 1 else name for name, end in zip(names, last)]


def _is_seed(name: str, seed: str) -> bool:
    return seed in (name, name.rpartition(".")[2])


def _short(values: Mapping[str, str | None], length: int = 60) -> str:
    parts = (
        f"{name.rpartition('.')[2]}={'–' if value is None else value}"
        for name, value in values.items()
    )
    text = ", ".join(parts)
    return text if len(text) <= length else f"{text[: length - 1]}…"
