"""Recognize secrets by the name they are stored under."""

from __future__ import annotations

import re

REDACTED = "<redacted>"
"""Text that replaces a secret."""

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_SECRET_NAME = re.compile(
    r"(?:^|_)(?:"
    r"pass(?:word|wd|phrase|code)s?|pwd|secrets?|credentials?|creds?|cookies?|dsn|jwt"
    r"|contrasena|o?auth|authorization|bearer|connection_?string|wandb_?login"
    r"|(?:api|access|private|priv|secret|ssh|encryption|signing|session|account|storage"
    r"|shared|service|client|license|subscription|auth|master|deploy|hmac|db|database"
    r"|webhook|wandb|openai|anthropic|gemini|mistral|cohere|groq|replicate|comet|neptune"
    r"|kaggle|github|gitlab|stripe|twilio|sendgrid|datadog|google|gcp|aws|azure|hf"
    r"|huggingface)_?keys?"
    r"|(?:access|private)_?key_?id"
    r")$"
)
_TOKEN_NAME = re.compile(
    r"(?:^|_)(?:(?:auth|access|refresh|session)?token"
    r"|(?:api|auth|access|refresh|session|bearer|hf|github|gitlab|slack)_?tokens)$"
)
# Alone, or after the name of what one logs in to: `forward_pass` and `conv_pw` are not.
_SHORT_NAME = re.compile(
    r"(?:(?:db|database|user|admin|root|login|key|my|http|proxy|ftp|smtp|imap|mail|email"
    r"|ldap|redis|mongo|mysql|pg|postgres|postgresql|sql|docker|registry|wandb|hf|git"
    r"|github|gitlab|ssh|sudo|basic|auth|keystore|store)_)*(?:pass|pw)"
)
_VOCABULARY_NAME = re.compile(
    r"(?:^|_)(?:pad|padding|eos|bos|eot|eod|unk|unknown|mask|sep|separator|cls|image"
    r"|video|audio|start|end|stop|begin|first|last|next|prefix|suffix|middle|special"
    r"|fim|per)_token$"
)
_MIN_OPAQUE_LENGTH = 16


def is_secret(name: str, value: object) -> bool:
    """Return whether a value stored under `name` has to be redacted.

    The last words of the name decide, in any spelling (`WANDB_API_KEY`, `hfToken`).
    None and booleans are kept: they only say whether there is a secret. Numbers and
    vocabulary tokens (`pad_token`) are not tokens in this sense, and of `tokens` only
    texts are secret that look like random ones.

    >>> is_secret("hf_token", "abc"), is_secret("max_tokens", 512)
    (True, False)
    """
    if value is None or isinstance(value, bool):
        return False
    joined = _joined(name)
    if _SECRET_NAME.search(joined):
        return True
    if isinstance(value, int | float) or _VOCABULARY_NAME.search(joined):
        return False
    if _TOKEN_NAME.search(joined) or _SHORT_NAME.fullmatch(joined):
        return True
    return joined == "tokens" and _is_opaque(value)


def is_secret_word(name: str, value: object) -> bool:
    """Return whether a text that follows `name`, as in a list, has to be redacted.

    As `is_secret`, but names that are words of other meanings too, such as `token`,
    need a text that looks random: `("token", "embedding")` are names of axes.

    >>> is_secret_word("token", "embedding"), is_secret_word("password", "embedding")
    (False, True)
    """
    if not is_secret(name, value):
        return False
    return "_" in _joined(name) or not _is_word(name) or _is_opaque(value)


def _joined(name: str) -> str:
    """Return the words of a name without its number: `hf_token` of `hfToken2`."""
    words = _WORDS.findall(name)
    while words and words[-1].isdigit():
        words.pop()
    return "_".join(words).lower()


def _is_word(name: str) -> bool:
    words = (
        "token tokens auth oauth secret secrets bearer cookie cookies pass dsn creds"
    )
    return name.lower() in words.split()


def _is_opaque(value: object) -> bool:
    """Return whether a text, or one of a list of texts, looks random."""
    if isinstance(value, list | tuple):
        return any(map(_is_opaque, value))
    if not isinstance(value, str) or len(value) < _MIN_OPAQUE_LENGTH:
        return False
    letters, digits = re.search("[A-Za-z]", value), re.search("[0-9]", value)
    return bool(
        letters and digits and value.isascii() and not re.search(r"[\s/]", value)
    )
