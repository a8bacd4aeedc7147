"""Configurations as plain data without secrets."""

import argparse
import collections
import dataclasses
import enum
import pathlib
import types

import jax.numpy as jnp
import numpy as np
import pytest

from jaxmetrics.record import dumps, redact

SECRET = "0123456789secret"


@pytest.mark.parametrize(
    "name",
    """api_key WANDB_API_KEY wandb.api-key apiKey APIKEY hf_token hfToken HF_TOKEN token
    access_token auth_token password db_password passwd PASSPHRASE pwd secret
    client_secret secrets auth oauth authorization private_key aws_access_key_id
    aws_secret_access_key accessKey credential credentials cookie set-cookie dsn
    SENTRY_DSN connection_string connectionString AZURE_STORAGE_CONNECTION_STRING
    signing_key api_key_2 password1 x-api-key account_key""".split(),
)
def test_a_value_under_a_secret_name_is_hidden(name):
    assert redact({name: SECRET}) == {name: "<redacted>"}
    assert redact({"a": [{"b": {name: {"c": SECRET}}}]}) == {
        "a": [{"b": {name: "<redacted>"}}]
    }


@pytest.mark.parametrize(
    "name",
    """max_tokens tokenizer num_tokens num_key_value_heads monkey tokens keyboard hockey
    author authors pad_token eos_token bosToken mask_token image_token prng_key rng_key
    dropout_key key keys key_size secretary public_key tokens_per_second token_dim
    private_key_path authority cookies_dataset basin passes""".split(),
)
def test_a_name_that_only_looks_like_a_secret_is_kept(name):
    assert redact({name: "value"}) == {name: "value"}


def test_numbers_are_not_tokens_and_booleans_are_not_secrets():
    config = {"flops_per_token": 6e9, "use_auth": True, "password": None, "token": 3}
    assert redact(config) == config
    assert redact({"password": 1234}) == {"password": "<redacted>"}


PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc=\n-----END RSA PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("hf_abcdefghijklmnopqrst", "<redacted>"),
        ("use ghp_0123456789abcdefABCD now", "use <redacted> now"),
        ("github_pat_11ABCDEFG0123456789", "<redacted>"),
        ("sk-0123456789abcdefghij", "<redacted>"),
        ("sk-proj-01234_56789-abcdef", "<redacted>"),
        ("sk-ant-api03-0123456789abcdef", "<redacted>"),
        ("AKIAIOSFODNN7EXAMPLE", "<redacted>"),
        ("xoxb-0123456789-abcdef", "<redacted>"),
        ("AIza" + "x" * 35, "<redacted>"),
        (f"a {PEM} b", "a <redacted> b"),
        (PEM[:50], "<redacted>"),
        ("eyJhbGciOiJIUzI1.eyJzdWIiOiIxMjM0.SflKxwRJ", "<redacted>"),
        ("https://user:p@ss@host/x", "https://<redacted>@host/x"),
        ("postgres://:pw@host", "postgres://<redacted>@host"),
        ("https://0123456789abcdef@o1.example/2", "https://<redacted>@o1.example/2"),
        ("Authorization: Bearer abc.def-ghi", "Authorization: Bearer <redacted>"),
        ("Server=db;Password=hunter2;Port=1", "Server=db;Password=<redacted>;Port=1"),
        ("--api-key=abcdef --lr=1", "--api-key=<redacted> --lr=1"),
    ],
)
def test_parts_of_text_with_the_form_of_a_secret_are_hidden(text, shown):
    assert redact({"note": text}) == {"note": shown}
    assert redact([text]) == [shown]
    assert redact({text: 1}) == {shown: 1}


@pytest.mark.parametrize(
    "text",
    [
        "da39a3ee5e6b4b0d3255bfef95601890afd80709",
        "https://host:8080/path",
        "https://host/a:b@c",
        "me@example.com",
        "gs://bucket/path",
        "hf_transfer",
        "sk-learn-based-model-v2",
        "max_tokens=512",
        "AKIA",
        "eyJ",
        "a bearer of news",
    ],
)
def test_ordinary_text_is_kept(text):
    assert redact({"note": text}) == {"note": text}


class Color(enum.Enum):
    RED = 1


class Level(enum.IntEnum):
    LOW = 1


@dataclasses.dataclass
class Optimizer:
    lr: float
    api_key: str
    path: pathlib.Path


class Loud:
    """Object whose conversions must not be called."""

    def __repr__(self):
        raise AssertionError

    __str__ = __repr__
    __hash__ = object.__hash__


class LoudStr(str):
    def __str__(self):
        raise AssertionError

    __repr__ = __str__


class Config:
    """Mapping that is not registered as one, as in some configuration libraries."""

    def __init__(self, **values):
        self._values = values

    def keys(self):
        return self._values.keys()

    def items(self):
        return self._values.items()

    def __getitem__(self, name):
        return self._values[name]


class Broken(collections.UserDict):
    def keys(self):
        raise RuntimeError("not ready")


def activation(x):
    return x


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        ((1, [2.5, None, True]), [1, [2.5, None, True]]),
        ({"b", "a"}, ["a", "b"]),
        ({1: "a", None: "b", 2.5: "c"}, {"1": "a", "None": "b", "2.5": "c"}),
        ({1: "a", "1": "b"}, {"1": "a", "1'": "b"}),
        (pathlib.PurePosixPath("/a/b"), "/a/b"),
        (
            Optimizer(1.0, SECRET, pathlib.PurePosixPath("x")),
            {"lr": 1.0, "api_key": "<redacted>", "path": "x"},
        ),
        (argparse.Namespace(lr=1, token=SECRET), {"lr": 1, "token": "<redacted>"}),
        (types.SimpleNamespace(a=1), {"a": 1}),
        (types.MappingProxyType({"a": 1}), {"a": 1}),
        (Config(a=1, b=Config(secret=SECRET)), {"a": 1, "b": {"secret": "<redacted>"}}),
        (Color.RED, "RED"),
        (Level.LOW, "LOW"),
        (LoudStr("text"), "text"),
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (np.array(2), 2),
        (np.zeros(3), "<type ndarray>"),
        (np.dtype("float32"), "float32"),
        (jnp.bfloat16, "<class bfloat16>"),
        (Optimizer, "<class Optimizer>"),
        (activation, "<function activation>"),
        (len, "<function len>"),
        (Loud(), "<type Loud>"),
        ({Loud(): 1}, None),
        (Broken({"a": 1}), "<type Broken>"),
        (b"bytes", "<type bytes>"),
        (1j, "<type complex>"),
        ([{}, [], ()], [{}, [], []]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_result_is_plain_data(value, plain):
    result = redact(value)
    assert result == ({"<type Loud>": 1} if plain is None else plain)
    assert dumps(result)


def test_the_order_of_names_is_kept_and_the_argument_untouched():
    config = {"z": 1, "a": {"password": SECRET}}
    assert list(redact(config)) == ["z", "a"]
    assert config == {"z": 1, "a": {"password": SECRET}}


def test_a_cycle_is_cut_and_a_shared_value_is_kept():
    shared = {"x": 1}
    config = {"a": shared, "b": shared}
    config["self"] = config
    config["list"] = [config]
    assert redact(config) == {
        "a": {"x": 1},
        "b": {"x": 1},
        "self": "<cycle>",
        "list": ["<cycle>"],
    }


def test_levels_beyond_the_limit_are_cut_with_one_warning():
    config = leaf = {}
    for _ in range(40):
        leaf["a"] = {}
        leaf = leaf["a"]
    with pytest.warns(UserWarning, match="more than 32 levels") as caught:
        text = dumps(redact(config))
    assert len(caught) == 1
    assert text.count("{") == 32
    assert "<cut: more than 32 levels>" in text


def test_values_beyond_the_limit_are_cut():
    with pytest.warns(UserWarning, match="more than 10000 values"):
        result = redact({"a": list(range(20_000)), "b": 1, "c": 2})
    assert result["a"][:10_000] == list(range(10_000))
    assert result["a"][10_000:] == ["<cut: more than 10000 values>"]
    assert list(result) == ["a", "<cut>"]


def test_nested_shared_lists_are_cut_in_total():
    bomb = ["x"] * 9
    for _ in range(9):
        bomb = [bomb] * 9
    with pytest.warns(UserWarning, match="more than 10000 values"):
        assert len(dumps(redact(bomb))) < 200_000


def test_long_text_and_long_names_are_cut():
    with pytest.warns(UserWarning, match="characters, .*characters") as caught:
        result = redact({"n" * 300: "x" * 100_000})
    assert len(caught) == 1
    [(name, text)] = result.items()
    assert name == "n" * 256
    assert text.startswith("x" * 65_536 + "<cut: ")
