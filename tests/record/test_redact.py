"""Configurations without secrets, in a bounded size."""

import collections
import dataclasses
import pathlib

import pydantic
import pytest

from jaxmetrics.record import dumps, plain_config, redact

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


@dataclasses.dataclass
class Store:
    """Holder of secrets, as fields and as attributes of its class."""

    api_key: str = SECRET
    path: pathlib.Path = pathlib.PurePosixPath("x")


class Client:
    password = SECRET
    url = f"https://me:{SECRET}@host"


class Settings(pydantic.BaseModel):
    login: pydantic.SecretStr = pydantic.SecretStr(SECRET)


Key = collections.namedtuple("Key", "access_key size")


@pytest.mark.parametrize(
    "holder",
    [
        Store(),
        Client(),
        Client,
        Settings(),
        Key(SECRET, 3),
        {"store": [Store(), {"client": Client()}]},
        {("Bearer " + SECRET, 1): 1},
        {"header": b"Bearer " + SECRET.encode()},
        {"set": {"Bearer " + SECRET}},
    ],
    ids=lambda holder: type(holder).__name__,
)
def test_no_kind_of_holder_shows_a_secret(holder):
    plain, problem = plain_config(holder)
    text = dumps(plain)
    assert SECRET not in text and "<redacted>" in text
    assert not problem


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
    for _ in range(140):
        leaf["a"] = {}
        leaf = leaf["a"]
    with pytest.warns(UserWarning, match="more than 100 levels") as caught:
        text = dumps(redact(config))
    assert len(caught) == 1
    assert text.count("{") == 100
    assert "<cut: more than 100 levels>" in text


def test_values_beyond_the_limit_are_cut_but_none_that_is_less_deep():
    config = {"a": {"b": list(range(20_000))}, "c": {"d": 1}, "e": 2}
    with pytest.warns(UserWarning, match=r"more than 10000 values \(at a\.b\)"):
        result = redact(config)
    assert (result["c"], result["e"]) == ({"d": 1}, 2)
    *kept, mark = result["a"]["b"]
    assert kept == list(range(len(kept))) and len(kept) > 9_900
    assert mark == "<cut: more than 10000 values>"


@pytest.mark.parametrize("character", ["x", "\0", "\U0001f600"], ids=ascii)
@pytest.mark.parametrize("what", ["texts", "names"])
def test_texts_and_names_beyond_the_limit_are_cut_in_total(what, character):
    text = character * 2**14
    several = {
        "texts": {str(n): [text] for n in range(2**21 // len(dumps(text)) + 4)},
        "names": {f"{n:05}{text[:250]}": n for n in range(9_000)},
    }[what]
    with pytest.warns(UserWarning, match=f"{what} of more than 2,097,152 bytes"):
        result = redact({"first": "begin", "several": several, "last": "end"})
    assert (result["first"], result["last"]) == ("begin", "end")
    shown = dumps(result)
    assert f"<cut: {what} of more than 2,097,152 bytes>" in shown
    assert 0.85 * 2**21 < len(shown) < 1.1 * 2**21


def test_a_configuration_of_the_largest_size_is_not_cut():
    config = {"a": [1] * 9_998, "b": []}  # the names count, too
    assert redact(config) == config


@pytest.mark.parametrize(("width", "levels"), [(9, 9), (2, 150), (10_000, 1)])
def test_nested_shared_lists_are_cut_in_total(width, levels):
    bomb = ["x"] * width
    for _ in range(levels):
        bomb = [bomb] * width
    with pytest.warns(UserWarning, match="more than 10000 values"):
        assert len(dumps(redact(bomb))) < 300_000


def test_names_that_contain_each_other_end():
    class Node:
        __hash__ = object.__hash__

    node = Node()
    node.next = {node: 1, (node, 1): 2, frozenset([node]): 3}
    assert dumps(plain_config(node)[0])


def test_long_text_and_long_names_are_cut():
    with pytest.warns(UserWarning, match="characters, .*characters") as caught:
        result = redact({"n" * 300: "x" * 100_000})
    assert len(caught) == 1
    [(name, text)] = result.items()
    assert name == "n" * 256
    assert text.startswith("x" * 65_536 + "<cut: ")
