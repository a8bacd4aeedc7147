"""Check the types of arguments of constructors."""

from __future__ import annotations

from numbers import Real


def require_numbers(owner: str, advice: str = "", **arguments: object) -> None:
    """Refuse arguments that are no numbers, before they are compared with one.

    Args:
      owner: Name of the class.
      advice: Sentence about what to pass, for the error.
      arguments: The arguments by name.

    Raises:
      TypeError: One of them is not a number.
    """
    for name, value in arguments.items():
        if isinstance(value, bool) or not isinstance(value, Real):
            raise TypeError(
                f"{owner} got {name}={value!r} of type {type(value).__name__}; "
                f"expected a number. {advice or f'Pass {name}= as a number.'}"
            )
