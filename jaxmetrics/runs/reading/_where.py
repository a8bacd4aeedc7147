"""Conditions on runs, such as `lr > 1e-3 and width == 512`.

The text is split into tokens first, since a key such as `val/loss` is a division to
Python. Each name becomes an identifier, and the rest is parsed by `ast` into a tree of
which only the kinds below are evaluated, by this module; nothing is ever executed.

    best(val/loss) < 2.5 and opt.name in ("adam", "sgd") and state != "crashed"
    best(_0) < 2.5 and _1 in ("adam", "sgd") and _2 != "crashed"
"""

from __future__ import annotations

import ast
import difflib
import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from jaxmetrics.record import Better
from jaxmetrics.runs.reading._entry import RunEntry, shown_state
from jaxmetrics.runs.reading._quantities import is_train_loss

FIELDS = (
    *("state", "step", "project", "name", "id", "group", "elapsed", "created"),
    *("updated", "attempts", "alarms", "progress", "total_steps", "time_left"),
    "error",
)
"""Names of a run itself, beside its configuration and its keys."""

_MAX_LENGTH = 10_000
_TOKEN = re.compile(
    r"""(?P<space>\s+)
    | (?P<number>(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w/]))
    | (?P<text>'[^'\\]*'|"[^"\\]*")
    | `(?P<quoted>[^`]+)`
    | (?P<name>[^\W\d][\w.]*(?:[/-][\w.]+)*)
    | (?P<sign><=|>=|==|!=|[<>(),\[\]+-])""",
    re.VERBOSE,
)
_FUNCTIONS = ("best", "last", "recent")
_WORDS = {"and", "or", "not", "in", "True", "False", "None", "true", "false"}
_ADVICE = {
    "=": "Write == to compare.",
    "&": "Write `and`.",
    "|": "Write `or`.",
    "!": "Write `not`.",
    "`": "Close the name with a second `.",
    "'": "Close the text with a second '.",
    '"': 'Close the text with a second ".',
}
_LANGUAGE = (
    "Give comparisons such as 'lr > 1e-3 and width == 512', joined by `and`, `or` and "
    "`not`, or `name in (1, 2)`."
)
_COMPARE: Mapping[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda left, right: left in right,
    ast.NotIn: lambda left, right: left not in right,
}


class Names(NamedTuple):
    """Names that an expression over several runs may use.

    Attributes:
      hparams: Dotted names of the configurations.
      keys: Keys of the values.
      best: Keys that have a best value.
      recent: Keys that have a level at the end.
    """

    hparams: Sequence[str]
    keys: Sequence[str]
    best: Sequence[str]
    recent: Sequence[str]

    @classmethod
    def of(cls, entries: Iterable[RunEntry]) -> Names:
        """Return the names that any of the runs has."""
        hparams: dict[str, None] = {}
        keys: dict[str, None] = {}
        best: dict[str, None] = {}
        recent: dict[str, None] = {}
        for entry in entries:
            hparams |= dict.fromkeys(entry.hparams)
            keys |= dict.fromkeys(entry.last)
            best |= dict.fromkeys(entry.best)
            recent |= dict.fromkeys(entry.recent)
        return cls(list(hparams), list(keys), list(best), list(recent))


Getter = Callable[[RunEntry], Any]


def condition(text: str, names: Names) -> Callable[[RunEntry], bool]:
    """Return the function that decides whether a run meets a condition.

    A name is a field of the run such as `state`, a dotted name of the configuration or
    its last part if it is unique, or a key, which stands for its last value;
    `best(key)` is its best value, and `recent(key)` the level of a training loss at its
    end. Other names than letters, digits and `._/-` are written in backquotes, and
    `hparams.step` is a value of the configuration. `"Memory" in error` looks for a part
    of the exception that ended a run, its type and its message. A comparison with a
    missing value is False, and so is one of numbers with texts.

    Args:
      text: The condition.
      names: Names that may be used.

    Raises:
      ValueError: The text is not a condition.
      KeyError: A name is unknown; the error names similar ones.
    """
    source, used = _tokens(text, "where")
    try:
        tree = ast.parse(source, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise _not_a_condition(text) from None
    try:
        getter = _Compiler(text, used, names).getter(tree)
    except RecursionError:
        raise ValueError(
            f"where= got an expression nested too deep. {_LANGUAGE}"
        ) from None
    return lambda entry: _is_true(getter(entry))


def names_in(text: str) -> set[str]:
    """Return the names that a condition uses.

    Raises:
      ValueError: The text has other characters than a condition.
    """
    return set(_tokens(text, "where")[1].values())


def value_of(text: str, names: Names, argument: str) -> Getter:
    """Return the function that takes a named value from a run.

    Args:
      text: A name, as in `condition`, `best(key)` or `recent(key)`.
      names: Names that may be used.
      argument: Name of the argument, for errors.

    Raises:
      ValueError: The text is not a name.
      KeyError: The name is unknown.
    """
    function, name = function_and_name(text)
    if function:
        return _call(function, name, names, argument)
    if not name:
        raise ValueError(f"{argument}= got an empty name. Give one such as val/loss.")
    return _named(name, names, argument)


def function_and_name(text: str) -> tuple[str, str]:
    """Return the function and the name of `best(name)`; no function for a mere name.

    >>> function_and_name("best(val/loss)"), function_and_name("`top-1`")
    (('best', 'val/loss'), ('', 'top-1'))
    """
    function, _, rest = text.strip().partition("(")
    if function in _FUNCTIONS and rest.endswith(")"):
        return function, rest[:-1].strip().strip("`")
    return "", text.strip().strip("`")


class Order(NamedTuple):
    """Order of runs by one value.

    Attributes:
      column: Name of the value in a table, such as `best val/loss`.
      get: Function that takes the value from a run.
      higher_first: High values come first.
      key: Key of the value; None of a field or a value of the configuration.
      is_directed: The direction is known: higher or lower values are better.
    """

    column: str
    get: Getter
    higher_first: bool
    key: str | None = None
    is_directed: bool = False

    def is_last(self, entry: RunEntry) -> bool:
        """Return whether a run comes last since it diverged.

        Its values, such as the best one before it diverged, do not compare with those
        of others; its configuration does.
        """
        return self.key is not None and entry.state == "diverged"

    def sentence(self, diverged: int) -> str:
        """Return a sentence about the order.

        Args:
          diverged: Number of runs that are last since they diverged.
        """
        side = "higher" if self.higher_first else "lower"
        text = f"Sorted by {self.column}, {side} first"
        if diverged:
            are = "run that diverged is" if diverged == 1 else "runs that diverged are"
            text += f"; {diverged:,} {are} last"
        if self.key is not None and not self.is_directed:
            text += (
                f". Its name does not tell whether higher or lower is better: give "
                f"better= (--better {self.key}=max)"
            )
        return f"{text}."


def order_of(text: str, names: Names, better: Mapping[str, Better]) -> Order:
    """Return the order of runs by a named value.

    Args:
      text: A name as in `value_of`; `-` before it reverses the order. A key stands for
        the value by which runs are judged.
      names: Names that may be used.
      better: Direction by key, where known.

    Raises:
      ValueError: The text is not a name.
      KeyError: The name is unknown.
    """
    is_reversed, text = text.startswith("-"), text.removeprefix("-")
    function, name = function_and_name(text)
    is_other = name in FIELDS or name in names.hparams
    if name not in names.keys or (is_other and not function):
        get = value_of(text, names, "sort")
        return Order(name, get, is_reversed)
    if not function:
        is_level = is_train_loss(name) and name in names.recent
        is_best = name in names.best
        function = "recent" if is_level else "best" if is_best else "last"
        get = _call(function, name, names, "sort")
    else:
        get = value_of(text, names, "sort")
    higher_first = (better.get(name) == "max") != is_reversed
    return Order(f"{function} {name}", get, higher_first, name, name in better)


class _Compiler:
    """Makes functions of a parsed condition.

    Args:
      text: The condition, for errors.
      used: Name that each identifier stands for.
      names: Names that may be used.
    """

    def __init__(self, text: str, used: Mapping[str, str], names: Names) -> None:
        self._text = text
        self._used = used
        self._names = names

    def getter(self, node: ast.AST) -> Getter:
        """Return the function of a part of the expression."""
        match node:
            case ast.BoolOp(op=ast.And(), values=values):
                parts = [self.getter(value) for value in values]
                return lambda entry: all(_is_true(part(entry)) for part in parts)
            case ast.BoolOp(op=ast.Or(), values=values):
                parts = [self.getter(value) for value in values]
                return lambda entry: any(_is_true(part(entry)) for part in parts)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                inner = self.getter(operand)
                return lambda entry: not _is_true(inner(entry))
            case ast.UnaryOp(
                op=(ast.USub() | ast.UAdd()) as sign,
                operand=ast.Constant(value=int() | float() as number),
            ):
                signed = -number if isinstance(sign, ast.USub) else number
                return lambda entry: signed
            case ast.Compare(left=left, ops=ops, comparators=others):
                return self._comparison([left, *others], [type(op) for op in ops])
            case ast.Constant(value=value):
                return lambda entry: value
            case ast.Name(id=identifier):
                return _named(self._used[identifier], self._names, "where")
            case ast.Tuple(elts=elements) | ast.List(elts=elements):
                items = [self.getter(element) for element in elements]
                return lambda entry: [item(entry) for item in items]
            case ast.Call(
                func=ast.Name(id=function), args=[ast.Name(id=key)], keywords=[]
            ):
                function, key = self._used[function], self._used[key]
                if function in _FUNCTIONS:
                    return _call(function, key, self._names, "where")
        raise _not_a_condition(self._text)

    def _comparison(
        self, nodes: Sequence[ast.expr], kinds: Sequence[type[ast.cmpop]]
    ) -> Getter:
        getters = [self.getter(node) for node in nodes]
        functions = []
        for kind in kinds:
            if kind not in _COMPARE:
                raise _not_a_condition(self._text)
            functions.append(_COMPARE[kind])

        def compare(entry: RunEntry) -> bool:
            values = [getter(entry) for getter in getters]
            return all(
                _holds(function, left, right)
                for function, left, right in zip(functions, values, values[1:])
            )

        return compare


def _not_a_condition(text: str) -> ValueError:
    return ValueError(f"where= got {text!r}, which is not a condition. {_LANGUAGE}")


def _holds(compare: Callable[[Any, Any], Any], left: Any, right: Any) -> bool:
    """Return whether two values compare so; missing ones do not."""
    if left is None or right is None:
        return False
    try:
        return bool(compare(left, right))
    except TypeError:  # a number and a text
        return False


def _is_true(value: Any) -> bool:
    return bool(value) and value == value  # nan is not


def _named(name: str, names: Names, argument: str) -> Getter:
    """Return the function that takes a field, a configuration value or a last value."""
    if name == "state":
        return shown_state
    if name in FIELDS:
        return lambda entry: getattr(entry, name)
    for prefix in ("hparams.", "config."):
        inner = name.removeprefix(prefix)
        if inner != name and inner in names.hparams:
            return lambda entry: entry.hparams.get(inner)
    if name in names.hparams:
        return lambda entry: entry.hparams.get(name)
    if name in names.keys:
        return lambda entry: entry.last.get(name)
    full = [other for other in names.hparams if other.endswith(f".{name}")]
    if len(full) == 1:
        return lambda entry: entry.hparams.get(full[0])
    if full:
        raise KeyError(
            f"{argument}= got {name!r}, which is short for {', '.join(full[:8])}. "
            f"Write the whole name."
        )
    raise KeyError(_unknown(name, [*names.hparams, *names.keys, *FIELDS], argument))


def _call(function: str, key: str, names: Names, argument: str) -> Getter:
    """Return the function that takes the best, last or recent value of a key."""
    if function == "recent":
        if key in names.recent:
            return lambda entry: entry.recent.get(key)
        raise KeyError(_unknown(key, names.recent or names.keys, argument))
    if function == "last":
        if key in names.keys:
            return lambda entry: entry.last.get(key)
        raise KeyError(_unknown(key, names.keys, argument))
    if key in names.best:
        return lambda entry: best.value if (best := entry.best.get(key)) else None
    if key in names.keys:
        raise KeyError(
            f"{argument}= got best({key}), of which neither the name nor the metric "
            f"says whether higher or lower is better. Write {key} for its last value."
        )
    raise KeyError(_unknown(key, names.best, argument))


def _unknown(name: str, known: Sequence[str], argument: str) -> str:
    last_parts: dict[str, list[str]] = {}
    for other in known:
        last_parts.setdefault(re.split(r"[./]", other)[-1], []).append(other)
    short = {name, _initials(name)}
    alike = [*difflib.get_close_matches(name, last_parts, n=5)]
    alike += [last for last in last_parts if short & {last, _initials(last)} - {""}]
    close = difflib.get_close_matches(name, known, n=5)
    close += [other for last in alike for other in last_parts[last]]
    close = list(dict.fromkeys(close))
    similar = close[:5] or list(known[:8])
    return (
        f"{argument}= got {name!r}, which no run has; similar names are "
        f"{', '.join(similar)}. Choose one of them."
    )


def _initials(name: str) -> str:
    """Return the first letters of the words of a name; empty for a single word."""
    words = re.split(r"[._/-]+", name)
    return "".join(word[:1] for word in words) if len(words) > 1 else ""


def _tokens(text: str, argument: str) -> tuple[str, dict[str, str]]:
    """Return the text as Python, and the name that each identifier stands for.

    Raises:
      ValueError: It has other characters than the language.
    """
    if len(text) > _MAX_LENGTH:
        raise ValueError(
            f"{argument}= got {len(text):,} characters; expected at most "
            f"{_MAX_LENGTH:,}. {_LANGUAGE}"
        )
    parts: list[str] = []
    used: dict[str, str] = {}
    position = 0
    while position < len(text):
        token = _TOKEN.match(text, position)
        if token is None:
            advice = _ADVICE.get(text[position], _LANGUAGE)
            raise ValueError(
                f"{argument}= got {text!r}, which has an unexpected {text[position]!r} "
                f"at character {position + 1}. {advice}"
            )
        position = token.end()
        kind, content = token.lastgroup, token[0]
        if kind == "space":
            continue
        if kind == "quoted" or kind == "name" and content not in _WORDS:
            parts.append(f"_{len(used)}")
            used[parts[-1]] = token[kind]
        else:
            is_word = content in ("true", "false")
            parts.append(content.capitalize() if is_word else content)
    return " ".join(parts), used
