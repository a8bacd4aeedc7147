r"""Hide secrets within a text, such as a command line, a URL, JSON or YAML.

Some have a form of their own (`_OWN_FORM`): keys with a prefix, private keys, passwords
and signatures in URLs. The others follow a name that tells what they are: `DB_PASS=x`,
`--password x`, `"api_key": "x"`, `X-Api-Key: x`. The names are those of `is_secret`, so
that a text and a mapping agree.

A text may be hostile. Repetitions are therefore possessive (`{0,64}+`), which are never
tried again with fewer characters, or short. Names begin where the character before
cannot be part of one, so that none is read twice, and a quoted value ends where the
next can begin.
"""

from __future__ import annotations

import re

from jaxmetrics.record._secrets import REDACTED, is_secret, is_secret_word
from jaxmetrics.record._text import encodable

_OWN_FORM = re.compile(
    r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?-----(?:(?!-----END )[\s\S])*+"
    r"(?:-----END [A-Z ]{0,40}-----)?"
    # user:password@ and token@ of a URL; a password may itself hold an @.
    r"|(?<=://)(?:[^\s/@:]{0,256}+:[^\s/]{1,1024}|[^\s/@:]{16,1024}+)(?=@)"
    r"|(?<![A-Za-z0-9])(?:hf_[A-Za-z0-9]{16,1024}+|api_org_[A-Za-z0-9]{16,1024}+"
    r"|gh[opsur]_[A-Za-z0-9]{16,1024}+|github_pat_\w{16,1024}+"
    r"|sk-(?:[A-Za-z0-9]{16,1024}+|(?:proj|ant|svcacct|admin|or)-[\w-]{16,1024}+)"
    r"|[rs]k_(?:live|test)_[A-Za-z0-9]{16,1024}+|whsec_[\w+/=-]{16,1024}+"
    r"|xox[abeprs]-[\w-]{10,1024}+|xapp-[\w-]{16,1024}+"
    r"|gl(?:pat|dt|rt|cbt|ptt|ft|imt|agent|oas|soat|ffct)-[\w-]{16,1024}+"
    r"|GR1348941[\w-]{16,1024}+"
    r"|AIza[\w-]{35}|ya29\.[\w-]{10,1024}+|GOCSPX-[\w-]{16,1024}+"
    r"|(?:A3T[A-Z0-9]|A[KS]IA|AB[IA]A|ACCA)[0-9A-Z]{16}"
    r"|npm_[A-Za-z0-9]{16,1024}+|pypi-[\w-]{16,1024}+|dckr_pat_[\w-]{16,1024}+"
    r"|SG\.[\w-]{16,256}+\.[\w-]{16,256}+|SK[0-9a-f]{32}|[0-9a-f]{32}-us[0-9]{1,2}"
    r"|key-[0-9a-f]{32}|EAAA[\w-]{40,1024}+|sq0[a-z]{3}-[\w-]{16,1024}+"
    r"|shp(?:at|ca|pa|ss)_[0-9a-fA-F]{16,1024}+|dop_v1_[0-9a-f]{16,1024}+"
    r"|gsk_[A-Za-z0-9]{16,1024}+|r8_[A-Za-z0-9]{16,1024}+|nvapi-[\w-]{16,1024}+"
    r"|pplx-[A-Za-z0-9]{16,1024}+|wandb_v1_\w{16,1024}+|lin_api_[A-Za-z0-9]{16,1024}+"
    r"|glsa_\w{16,1024}+|sntry[su]_[\w+/=-]{16,1024}+|AKC[A-Za-z0-9]{10,1024}+"
    r"|tskey-[\w-]{16,1024}+|ATATT3[\w=-]{16,1024}+|[0-9]{8,10}:AA[\w-]{33}"
    r"|[MNO][\w-]{23,25}\.[\w-]{6}\.[\w-]{27,38})"
    r"|(?<![\w-])eyJ[\w-]{8,8192}+\.eyJ[\w-]{8,8192}+\.[\w-]{0,8192}+"
    r"|(?P<lead>\b(?i:bearer) {1,4}+)[^\s;&,'\"]{4,8192}+"
    # Webhooks and signatures of URLs.
    r"|(?P<hook>hooks\.slack\.com/[a-z]{1,32}+/|discord(?:app)?\.com/api/"
    r"(?:v[0-9]{1,3}+/)?webhooks/|\.webhook\.office\.com/|hooks\.zapier\.com/hooks/)"
    r"[^\s'\"<>]{1,2048}+"
    r"|(?P<query>(?<=[?&;])(?i:sig|signature|x-(?:amz|goog)-(?:signature|credential"
    r"|security-token)|awsaccesskeyid|googleaccessid)=)[^\s&'\"<>#]{1,8192}+"
)

# Texts without these have no name of a secret.
_HINT = re.compile(
    r"pass|pwd?|secret|key|token|auth|cred|cookie|dsn|jwt|contrasena|bearer|login"
    r"|connection",
    re.IGNORECASE,
)
_NAME = re.compile(r"(?<![\w.-])(?P<dashes>-{0,2}+)(?P<name>[A-Za-z_][\w.-]{0,63}+)")
_QUOTED = (
    r"(?P<quote>\\{0,3}+[\"'])"
    r"(?P<quoted>(?:(?!(?P=quote))(?:\\.|[^\n\\])){0,8192}+)(?P=quote)"
)
_BARE = (
    r"(?P<list>[\[({][^\[\](){}]{1,8192}+[\])}])"
    r"|\\{0,3}+[\"']?(?P<bare>[^\s;&,'\"<>\\\[({][^\s;&,'\"]{0,8191}+)"
)
_SPACE = r"[ \t]{0,2}+"
_ASSIGNED = re.compile(  # DB_PASS=x, password = "x", environ["TOKEN"] = "x"
    rf"\\{{0,3}}+[\"'\]]{{0,2}}+(?P<space>{_SPACE})(?:={{1,3}}+>?|:=){_SPACE}"
    rf"(?:{_QUOTED}|{_BARE})"
)
_COLON = re.compile(  # "password": "x", X-Api-Key: x, Authorization: Basic x
    rf"(?P<end>\\{{0,3}}+[\"'])?{_SPACE}:[ \t\n]{{0,2}}+"
    r"(?P<scheme>(?i:basic|bearer|token|digest|apikey|negotiate)[ \t]{1,4}+)?+"
    rf"(?:{_QUOTED}|{_BARE})"
)
_AFTER_FLAG = re.compile(rf"[ \t]{{1,4}}+(?!-)(?:{_QUOTED}|{_BARE})")  # --password x
_NEXT_ITEM = re.compile(rf"\\{{0,3}}+[\"'],\s{{0,2}}+{_QUOTED}")  # ["--password", "x"]
_VALUE_FIELD = re.compile(  # {"name": "api_key", "value": "x"}
    rf"\\{{0,3}}+[\"'],\s{{0,2}}+\\{{0,3}}+[\"']?value\\{{0,3}}+[\"']?"
    rf"{_SPACE}[:=]{_SPACE}(?:{_QUOTED}|{_BARE})"
)
_NAME_FIELD = re.compile(
    rf"\b(?:name|key)\\{{0,3}}+[\"']?{_SPACE}[:=]{_SPACE}\\{{0,3}}+[\"']\Z"
)
_COOKIE = re.compile(r":[ \t]{0,2}+(?P<bare>[^\r\n'\"]{1,8192}+)")
_LINE_START = re.compile(r"(?:^|\n|\\n)[ \t]{0,64}+(?:- )?\Z")
_LINE_END = re.compile(r"[ \t]{0,64}+(?:#[^\n]{0,1024}+)?(?:\n|\\n|\Z)")
_CURL_USER = re.compile(
    r"(?<!\S)(?P<lead>(?:-u|--user)[ =]{1,4}+[^\s:'\"-][^\s:'\"]{0,256}+:)"
    r"[^\s'\"]{1,1024}+"
)
_LITERALS = frozenset("none null nil true false yes no on off".split())
_MAX_FIELD_LENGTH = 64
_ANY_VALUE = "a0" * 16  # looks random


def hide_secrets(text: str) -> str:
    """Replace every part of `text` that has the form of a secret.

    Lone surrogates become escape sequences, so that every writer can encode the text.
    A bare run of 40 hexadecimal digits is kept: a git commit looks the same.

    >>> hide_secrets("clone https://me:pw@host/x with ghp_0123456789abcdef")
    'clone https://<redacted>@host/x with <redacted>'
    >>> hide_secrets("train.py --lr 0.1 --password x")
    'train.py --lr 0.1 --password <redacted>'
    """
    text = _OWN_FORM.sub(_kept_part, encodable(text))
    if _HINT.search(text):
        text = _without_named(text)
    return _CURL_USER.sub(_kept_part, text)


def _kept_part(match: re.Match[str]) -> str:
    return "".join(filter(None, match.groupdict().values())) + REDACTED


def _without_named(text: str) -> str:
    """Replace the values that follow names of secrets."""
    parts, end = [], 0
    for name in _NAME.finditer(text):
        if name.start() < end or not is_secret(name["name"], _ANY_VALUE):
            continue
        value = _value_after(text, name)
        if value is not None:
            parts += text[end : value[0]], REDACTED
            end = value[1]
    return "".join(parts) + text[end:]


def _value_after(text: str, name: re.Match[str]) -> tuple[int, int] | None:
    """Return where the secret of a name begins and ends; None if there is none."""
    word, is_flag = name["name"], bool(name["dashes"])
    if word.lower() in ("cookie", "set-cookie") and not is_flag:
        if cookie := _COOKIE.match(text, name.end()):
            return cookie.span("bare")
    if assigned := _ASSIGNED.match(text, name.end()):
        is_prose = assigned["space"] and not is_flag and assigned["bare"]
        return _span(assigned, word, is_word=bool(is_prose))
    if colon := _COLON.match(text, name.end()):
        return _span(colon, word) if _is_entry(text, name, colon) else None
    if is_flag and (next_word := _AFTER_FLAG.match(text, name.end())):
        return _span(next_word, word)
    before = max(0, name.start() - _MAX_FIELD_LENGTH)
    if _NAME_FIELD.search(text, before, name.start()):
        if field := _VALUE_FIELD.match(text, name.end()):
            return _span(field, word)
    if item := _NEXT_ITEM.match(text, name.end()):
        return _span(item, word, is_word=not is_flag)
    return None


def _is_entry(text: str, name: re.Match[str], colon: re.Match[str]) -> bool:
    """Return whether a name with a colon is of JSON, YAML or HTTP, and not prose."""
    word = name["name"]
    if colon["end"] or colon["quote"] or colon["scheme"] or "-" in word:
        return True
    if word.lower().endswith("authorization"):
        return True
    before = max(0, name.start() - _MAX_FIELD_LENGTH)
    if _LINE_START.search(text, before, name.start()):
        return _LINE_END.match(text, colon.end()) is not None
    is_in_braces = text[max(0, name.start() - 2) : name.start()].strip() in ("{", ",")
    return is_in_braces and text[colon.end() : colon.end() + 1] in (",", "}")


def _span(
    match: re.Match[str], name: str, is_word: bool = False
) -> tuple[int, int] | None:
    groups = match.groupdict()
    group = next(g for g in ("quoted", "list", "bare") if groups.get(g) is not None)
    value = match[group]
    if value.lower() in _LITERALS:
        return None
    try:
        plain: object = float(value)
    except ValueError:
        plain = value
    is_hidden = is_secret_word(name, plain) if is_word else is_secret(name, plain)
    return match.span(group) if is_hidden and value else None
