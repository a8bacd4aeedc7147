"""Secrets in the shapes that launchers, services and configuration files give them."""

import dataclasses
import importlib
import json
import pkgutil
import re
from re import _parser  # pyright: ignore[reportAttributeAccessIssue]
from typing import Any

import detect_secrets.plugins
import pytest
import yaml
from detect_secrets.plugins.base import BasePlugin

from jaxmetrics.record import REDACTED, _secret_text, hide_secrets, plain_config, redact

S = "hush" + "Er2x"  # two parts, so that no scanner of this repository finds it
B64 = "aHVz" + "aDpFcjJ4"
RANDOM = "Hush0Er2x9Kq7Lm3" + "Tz5Vb8Nc1Yd4Wf6"


@dataclasses.dataclass
class Variable:
    """An environment variable of a container."""

    name: str
    value: str


SHAPES = {
    "arguments": ["train.py", "--password", S, "--lr", "0.1"],
    "argument of a token": ["--hf-token", S],
    "argument with a sign": [f"--wandb_key={S}"],
    "command line": f"python train.py --lr 0.1 --password {S}",
    "command line with a sign": f"python train.py --api-key={S} --lr 0.1",
    "command line with quotes": f"train.py --password '{S}' --lr 1",
    "Hydra override": f"train.py +db.password={S} lr=1",
    "arguments as text": f"['train.py', '--password', '{S}']",
    "arguments as JSON": json.dumps(["--api-key", S]),
    "environment": f"DB_PASS={S} python train.py",
    "exported": f"export HF_TOKEN={S}",
    "assignment in code": f'os.environ["WANDB_API_KEY"] = "{S}"',
    "call in code": f"connect(user='me', password='{S}')",
    "curl user": f"curl -u me:{S} https://host/x",
    "name pass": {"pass": S},
    "name pw": {"db": {"pw": S}},
    "name DB_PASS": {"DB_PASS": S},
    "name wandb_login": {"wandb_login": S},
    "name private_key_id": {"private_key_id": S},
    "names of tokens": {"api_tokens": [S], "tokens": [RANDOM]},
    "pair": ("password", S),
    "pairs": [("lr", 1), ("api_key", S)],
    "environment of Kubernetes": {"env": [{"name": "HF_TOKEN", "value": S}]},
    "dataclass": Variable("api_key", S),
    "key and value": {"value": S, "key": "DB_PASSWORD"},
    "Kubernetes as JSON": json.dumps([{"name": "HF_TOKEN", "value": S}]),
    "JSON": json.dumps({"lr": 1, "password": S}),
    "JSON without spaces": json.dumps({"api_key": S}, separators=(",", ":")),
    "JSON in JSON": json.dumps({"body": json.dumps({"password": S})}),
    "repr": repr({"password": S, "lr": 1}),
    "YAML": f"db:\n  user: me\n  password: {S}\n",
    "YAML in a list": f"- name: x\n- secret: {S}  # of the store",
    "flow of YAML": f"{{user: me, password: {S}, port: 1}}",
    "TOML": f'api_key = "{S}"',
    "ini": f"[db]\npassword = {S}\n",
    "basic authorization": f"Authorization: Basic {B64}",
    "bearer authorization": f"Authorization: Bearer {S}",
    "authorization of GitHub": f"Authorization: token {S}",
    "key in a header": f"curl -H 'X-Api-Key: {S}' https://host",
    "token in a header": f"PRIVATE-TOKEN: {S}",
    "cookie": f"Cookie: session={S}; theme=dark",
    "header as mapping": {"headers": {"Authorization": f"Basic {B64}"}},
    "header as pair": ("Authorization", f"Basic {B64}"),
    "user of a URL": f"postgres://me:{S}@host/db",
    "token of a URL": f"https://{RANDOM}@host/x",
    "parameter of a URL": f"https://host/x?id=3&access_token={S}&y=1",
    "signature of Azure": f"https://a.blob.core.windows.net/c?sv=2022&sig={S}%3D",
    "signature of AWS": f"https://b.s3.amazonaws.com/k?X-Amz-Signature={S}",
    "credential of AWS": f"https://b.s3.amazonaws.com/k?a=1&X-Amz-Credential={S}",
    "signature of Google": f"https://storage.googleapis.com/b?X-Goog-Signature={S}",
    "connection string": f"Server=db;User=me;Password={S};Port=1",
    "account key": f"AccountName=a;AccountKey={B64}==;EndpointSuffix=x",
    "webhook of Slack": f"https://hooks.slack.com/services/T0/B0/{RANDOM}",
    "webhook of Discord": f"https://discord.com/api/webhooks/123/{RANDOM}",
    "private key": f"-----BEGIN OPENSSH PRIVATE KEY-----\n{S}\n-----END OPENSSH "
    f"PRIVATE KEY-----",
}
FORMS = {
    "Hugging Face": "hf_" + RANDOM,
    "GitHub": "ghp_" + RANDOM + "0123456789",
    "GitHub, fine-grained": "github_pat_" + RANDOM,
    "GitLab": "glpat-" + RANDOM[:20],
    "OpenAI": "sk-" + RANDOM[:20] + "T3Blbk" + "FJ" + RANDOM[:20],
    "Anthropic": "sk-ant-api03-" + RANDOM,
    "AWS": "AKIA" + "HUSHER2X9KQ7LM3T",
    "Google": "AIza" + (RANDOM * 2)[:35],
    "Google, OAuth": "ya29." + RANDOM,
    "Google, client": "GOCSPX-" + RANDOM,
    "npm": "npm_" + (RANDOM * 2)[:36],
    "PyPI": "pypi-" + "AgEIcHlwaS5vcmc" + RANDOM * 3,
    "SendGrid": "SG." + RANDOM[:22] + "." + (RANDOM * 2)[:43],
    "Slack": "xoxb-" + "123456789012-123456789012-" + RANDOM[:24],
    "Slack, app": "xapp-1-" + RANDOM,
    "Stripe": "sk_live_" + RANDOM[:24],
    "Twilio": "SK" + "0123456789abcdef" * 2,
    "Mailchimp": "0123456789abcdef" * 2 + "-us11",
    "Square": "sq0csp-" + (RANDOM * 2)[:43],
    "Docker": "dckr_pat_" + RANDOM,
    "Telegram": "110201543:AA" + (RANDOM * 2)[:33],
    "Discord": "MTk4NjIyNDgzNDcxOTI1MjQ4" + ".Cl2FMQ." + RANDOM[:27],
    "Artifactory": "AKC" + RANDOM[:20],
    "Replicate": "r8_" + RANDOM,
    "Groq": "gsk_" + RANDOM,
    "W&B": "wandb_v1_" + RANDOM,
    "JWT": "eyJhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiIxMjM0In0." + RANDOM,
}
SECRETS = (S, B64, RANDOM)


def every(table):
    return pytest.mark.parametrize("shape", table.values(), ids=table)


@every(SHAPES)
def test_a_secret_is_hidden_in_every_shape(shape):
    shown = json.dumps(plain_config({"x": shape})[0])
    assert not any(secret in shown for secret in SECRETS), shown
    assert REDACTED in shown
    names = {shape: 1} if isinstance(shape, str) else {}
    nested = json.dumps(redact([{"a": [shape]}, names]))
    assert not any(secret in nested for secret in SECRETS), nested


@every(FORMS)
@pytest.mark.parametrize("around", ["{}", "use {} now", "a={};", '"{}"', "({})"])
def test_a_token_with_a_prefix_is_hidden_wherever_it_is(shape, around):
    text = around.format(shape)
    assert hide_secrets(text) == around.format(REDACTED)


@every({name: x for name, x in SHAPES.items() if isinstance(x, str)} | FORMS)
def test_what_is_hidden_stays_as_it_is(shape):
    hidden = hide_secrets(shape)
    assert hide_secrets(hidden) == hidden
    assert json.loads(json.dumps(hidden)) == hidden


def test_json_and_yaml_remain_valid():
    value = {"password": S, "lr": 0.5, "note": 'a "b"', "list": [1, {"api_key": S}]}
    shown = value | {"password": REDACTED, "list": [1, {"api_key": REDACTED}]}
    assert json.loads(hide_secrets(json.dumps(value))) == shown
    twice = json.loads(hide_secrets(json.dumps({"body": json.dumps(value)})))
    assert json.loads(twice["body"]) == shown
    assert yaml.safe_load(hide_secrets(yaml.safe_dump(value))) == shown


INNOCENT = [
    "da39a3ee5e6b4b0d3255bfef95601890afd80709",
    "commit da39a3ee5e6b4b0d3255bfef95601890afd80709 of main",
    "max_tokens=512",
    "--max-tokens 512 --tokenizer gpt2",
    "tokenizer: gpt2",
    "num_tokens: 1000000",
    "num_key_value_heads=8",
    "monkey=1 donkey=2",
    "pad_token='<pad>' eos_token='</s>'",
    '{"pad_token": "[PAD]", "tokens": 4096}',
    "--pad-token x",
    "tokens_per_second=1234.5",
    "token: the smallest unit of text",
    "The token = unit of text is short.",
    "Secrets of training: keep the learning rate low",
    "the password is not recorded",
    "a bearer of news",
    "basic training, then advanced training",
    "password: null",
    "password=None",
    "use_auth=True",
    "--secret false",
    "auth: none",
    "author=me authors=you",
    "keyboard=qwerty",
    "key=value",
    "prng_key=42",
    "public_key: abc",
    "dropout_key=3",
    "x_key=step y_key=loss",
    "primary_key=id",
    "private_key_path=/home/me/key.pem",
    "https://host:8080/path?step=3&split=train",
    "https://host/a:b@c",
    "me@example.com",
    "gs://bucket/path/to/key",
    "s3://bucket/tokens/train.bin",
    "sk-learn-based-model-v2",
    "hf_transfer",
    "glpat",
    "SG.1",
    "config.signature=abc",
    "forward_pass=fp8",
    "passes=3 n_pass=2",
    "conv_pw=relu",
    "2026-11-28T12:07:02+00:00",
    "550e8400-e29b-41d4-a716-446655440000",
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "git clone https://github.com/me/repo.git",
    "python -u train.py --lr 0.1",
    "loss: 0.5, accuracy: 0.9",
]
INNOCENT_VALUES = [
    ["token", "mask"],
    ("batch", "token"),
    [("token", "embedding"), ("secret", "recipe")],
    ["--tokenizer", "gpt2", "--max-tokens", "512"],
    ["--password", "--lr", "0.1"],
    {"name": "accuracy", "value": 0.5},
    {"key": "loss", "value": "x"},
    {"name": "max_tokens", "value": "512"},
    {"tokens": ["<pad>", "</s>"], "num_tokens": 3},
    {"tokens": "data/tokens_2024_part1.bin", "pass": 3, "pw": 0.5},
    {"special_tokens": ["<pad>"], "forward_pass": "fp8"},
]


@pytest.mark.parametrize(
    "text",
    ["token=sequence", 'token = "sequence"', 'token="sequence"', "--token = sequence"],
)
def test_a_word_is_a_secret_where_it_is_assigned_as_code_does(text):
    assert hide_secrets(text) == text.replace("sequence", REDACTED)
    assert hide_secrets("the token = sequence") == "the token = sequence"


@pytest.mark.parametrize("text", INNOCENT)
def test_ordinary_text_stays_as_it_is(text):
    assert hide_secrets(text) == text
    assert redact([text]) == [text]


@pytest.mark.parametrize("value", INNOCENT_VALUES, ids=repr)
def test_ordinary_values_stay_as_they_are(value):
    assert redact({"x": value})["x"] == json.loads(json.dumps(value))


def detectors():
    """Return the detectors of detect-secrets; not those of random text and of IPs."""
    for module in pkgutil.iter_modules(detect_secrets.plugins.__path__):
        importlib.import_module(f"detect_secrets.plugins.{module.name}")
    found: list[Any] = []
    classes: list[Any] = [BasePlugin]
    while classes:
        cls = classes.pop()
        classes += cls.__subclasses__()
        if not cls.__abstractmethods__ and "Entropy" not in cls.__name__:
            found.append(cls())
    return [d for d in found if type(d).__name__ != "IPPublicDetector"]


def test_what_other_rules_take_for_a_secret_is_hidden():
    texts = [x for x in (SHAPES | FORMS).values() if isinstance(x, str)]
    found = set()
    for detector in detectors():
        for text in texts:
            for line in text.splitlines():
                for secret in detector.analyze_line("a.yaml", line, 1):
                    value = str(secret.secret_value)
                    assert value not in hide_secrets(text), (secret.type, value)
                    found.add(secret.type)
    assert len(found) >= 15, found


PARTS = (
    *("password=", "--token ", "token: ", '"name": "', '", "value": "', "cookie: "),
    *("Authorization: ", "Basic ", "&sig=", "hooks.slack.com/", "sk-", "eyJ", "://a:"),
    *(
        "-----BEGIN PRIVATE KEY-----",
        '"',
        "'",
        "\\",
        "@",
        "{",
        "a",
        ".",
        "-",
        "=",
        "\n",
    ),
)


@pytest.mark.parametrize("part", PARTS)
def test_text_that_repeats_a_part_is_searched(part):
    hide_secrets(part * (2**16 // len(part)))
    for other in PARTS:
        hide_secrets((part + other) * (2**12 // len(part + other)))


def slow_parts(pattern):
    """Return the repetitions of an expression that may be tried again often.

    Short ones without another one inside are taken: their tries are bounded.
    """
    return [
        (name, maximum)
        for name, maximum, inner in repeats(_parser.parse(pattern))
        if name != "POSSESSIVE_REPEAT"
        and not (maximum <= 1 or (maximum <= 2**10 and not list(repeats(inner))))
    ]


def repeats(tree):
    """Yield (operation, maximum, inner tree) of every repetition of an expression."""
    for operation, argument in tree:
        name = str(operation)
        if name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
            yield name, int(argument[1]), argument[2]
        stack = [argument]
        while stack:
            item = stack.pop()
            if isinstance(item, _parser.SubPattern):
                yield from repeats(item)
            elif isinstance(item, list | tuple):
                stack += item


def test_no_expression_tries_a_long_repetition_again():
    expressions = [x for x in vars(_secret_text).values() if isinstance(x, re.Pattern)]
    assert len(expressions) > 5
    for expression in expressions:
        assert not slow_parts(expression.pattern), expression


@pytest.mark.parametrize("pattern", ["a*b", "(a+)+b", "(?:a{0,9}b){0,5}c", ".*?x"])
def test_the_rule_finds_expressions_that_backtrack(pattern):
    assert slow_parts(pattern)
