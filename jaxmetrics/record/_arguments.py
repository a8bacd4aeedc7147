"""Check the types of arguments."""

from __future__ import annotations

from numbers import Integral, Real

import numpy as np

from jaxmetrics.record._one_or_many import one_or_many


def require_numbers(owner: str, advice: str = "", **arguments: object) -> None:
    """Refuse arguments that are no numbers, before they are compared with one.

    Args:
      owner: Name of the class.
      advice: Sentence about what to pass, for the error.
      arguments: The arguments by name.

    Raises:
      TypeError: One of them is not a number.
      ValueError: One of them is NaN.
    """
    _require(owner, Real, "a number", advice, arguments)


def require_integers(owner: str, advice: str = "", **arguments: object) -> None:
    """Refuse arguments that are no integers, as `require_numbers` does."""
    _require(owner, Integral, "an integer", advice, arguments)


def require_texts(owner: str, advice: str = "", **arguments: object) -> None:
    """Refuse arguments that are neither a text nor a sequence of texts.

    Args:
      owner: Name of the class or the function.
      advice: Sentence about what to pass, for the error.
      arguments: The arguments by name.

    Raises:
      TypeError: One of them is, or has, something else.
    """
    for name, value in arguments.items():
        for each in one_or_many(value):
            if not isinstance(each, str):
                has = "" if each is value else f", with {each!r}"
                raise TypeError(
                    f"{owner} got {name}={value!r}{has} of type {type(each).__name__}; "
                    f"expected texts. {advice or f'Pass {name}= as strings.'}"
                )


def refuse_masked(where: str, value: object) -> None:
    """Refuse a masked array of NumPy, whose masked entries would count.

    Args:
      where: Subject of the error.
      value: An argument of any type.

    Raises:
      TypeError: It is a masked array.
    """
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(
            f"{where} got a masked array of NumPy, whose mask would be lost; expected "
            f"a plain array. Pass x.data, and ~np.ma.getmaskarray(x) as the mask."
        )


def _require(
    owner: str, kind: type, expected: str, advice: str, arguments: dict[str, object]
) -> None:
    for name, value in arguments.items():
        is_nan = isinstance(value, Real) and value != value
        is_right = not isinstance(value, bool) and isinstance(value, kind)
        if is_nan or not is_right:
            of_type = "" if is_nan else f" of type {type(value).__name__}"
            raise (ValueError if is_nan else TypeError)(
                f"{owner} got {name}={value!r}{of_type}; expected {expected}. "
                f"{advice or f'Pass {name}= as {expected}.'}"
            )
