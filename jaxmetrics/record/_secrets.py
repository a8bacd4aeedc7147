"""Recognize secrets by the name they are stored under, and by their form."""

from __future__ import annotations

import re

from jaxmetrics.record._text import encodable

REDACTED = "<redacted>"
"""Text that replaces a secret."""

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_SECRET_NAME = re.compile(
    r"(?:^|_)(?:"
    r"pass(?:word|wd|phrase|code)s?|pwd|secrets?|credentials?|creds?|cookies?|dsn"
    r"|o?auth|authorization|bearer|connection_?string"
    r"|(?:api|access|private|secret|ssh|encryption|signing|session|account|storage"
    r"|shared|service|client|license|wandb|openai|anthropic|gcp|aws|azure|hf)_?keys?"
    r"|access_?key_?id"
    r")$"
)
_TOKEN_NAME = re.compile(r"(?:^|_)(?:auth|access|refresh|session)?token$")
_VOCABULARY_NAME = re.compile(
    r"(?:^|_)(?:pad|padding|eos|bos|eot|eod|unk|unknown|mask|sep|separator|cls|image"
    r"|video|audio|start|end|stop|begin|first|last|next|prefix|suffix|middle|special"
    r"|fim|per)_token$"
)
_SECRET_TEXT = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
    # user:password@ and token@ of a URL; a password may itself hold an @.
    r"|(?<=://)(?:[^\s/@:]*:[^\s/]+|[^\s/@:]{16,})(?=@)"
    r"|(?<![A-Za-z0-9])(?:hf_[A-Za-z0-9]{16,}|gh[opsur]_[A-Za-z0-9]{16,}"
    r"|github_pat_\w{16,}|sk-[A-Za-z0-9]{16,}|sk-(?:proj|ant|svcacct|or)-[\w-]{16,}"
    r"|[rs]k_(?:live|test)_[A-Za-z0-9]{16,}|xox[abeprs]-[\w-]{10,}|glpat-[\w-]{16,}"
    r"|AIza[\w-]{35}|A[KS]IA[0-9A-Z]{16})"
    r"|(?<![\w-])eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]*"
    r"|(?P<lead>\b(?i:bearer) +|(?i:passwo?r?d|pwd|accountkey|sharedaccesskey"
    r"|api[_-]?key|access[_-]?key|secret|\btoken|hf_token|auth_token|access_token)=)"
    r"[^\s;&,'\"]{4,}",
    re.DOTALL,
)


def is_secret(name: str, value: object) -> bool:
    """Return whether a value stored under `name` has to be redacted.

    The last words of the name decide, in any spelling (`WANDB_API_KEY`, `hfToken`).
    None and booleans are kept: they only say whether there is a secret. Numbers and
    vocabulary tokens (`pad_token`) are not tokens in this sense.

    >>> is_secret("hf_token", "abc"), is_secret("max_tokens", 512)
    (True, False)
    """
    if value is None or isinstance(value, bool):
        return False
    words = _WORDS.findall(name)
    while words and words[-1].isdigit():
        words.pop()
    joined = "_".join(words).lower()
    if _SECRET_NAME.search(joined):
        return True
    if isinstance(value, int | float) or _VOCABULARY_NAME.search(joined):
        return False
    return _TOKEN_NAME.search(joined) is not None


def hide_secrets(text: str) -> str:
    """Replace every part of `text` that has the form of a secret.

    Lone surrogates become escape sequences, so that every writer can encode the text.

    A bare run of 40 hexadecimal digits is kept: a git commit looks the same.

    >>> hide_secrets("clone https://me:pw@host/x with ghp_0123456789abcdef")
    'clone https://<redacted>@host/x with <redacted>'
    """
    text = encodable(text)
    return _SECRET_TEXT.sub(lambda match: (match["lead"] or "") + REDACTED, text)
