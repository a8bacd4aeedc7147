"""Values of configurations as plain data, by their kinds."""

import argparse
import array
import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import functools
import logging
import math
import operator
import os
import pathlib
import re
import subprocess
import sys
import types
import uuid
from typing import NamedTuple

import attrs
import equinox
import flax.linen
import flax.struct
import jax
import jax.numpy as jnp
import ml_collections
import ml_dtypes
import numpy as np
import omegaconf
import pandas
import pydantic
import pytest
from flax import nnx

from jaxmetrics.record import dumps, plain_config, redact
from jaxmetrics.record._plain import mesh_axes

P = jax.sharding.PartitionSpec


class Color(enum.Enum):
    RED = 1


class Level(enum.IntEnum):
    LOW = 1


class Access(enum.Flag, boundary=enum.KEEP):
    READ = 1
    WRITE = 2


class LoudStr(str):
    def __str__(self):
        raise AssertionError

    __repr__ = __str__


class Schedule:
    def __call__(self, step):
        return step

    def at(self, step):
        return step


def activation(x):
    return x


HERE = __name__
JITTED = jax.jit(activation)
MESH = jax.make_mesh((4, 2), ("data", "model"))


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (2**63 - 1, 2**63 - 1),
        (2**63, "9223372036854775808"),
        (-(2**63) - 1, "-9223372036854775809"),
        (16**5000, "0x1" + "0" * 5000),
        (2.5, 2.5),
        (1 - 2j, "(1-2j)"),
        (LoudStr("text"), "text"),
        (b"ab\xff", "b'ab\\xff'"),
        (bytearray(b"a"), "b'a'"),
        (Color.RED, "RED"),
        (Level.LOW, "LOW"),
        (Access.READ | Access.WRITE, "READ|WRITE"),
        (Access(0), 0),
        (pathlib.PurePosixPath("/a/b"), "/a/b"),
        (decimal.Decimal("1.10"), "1.10"),
        (fractions.Fraction(1, 3), "1/3"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (re.compile("a+"), "a+"),
        (..., "Ellipsis"),
        (datetime.date(2026, 1, 2), "2026-01-02"),
        (datetime.time(1, 2), "01:02:00"),
        (
            datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC),
            "2026-01-02T00:00:00+00:00",
        ),
        (datetime.timedelta(days=1, hours=2), "1 day, 2:00:00"),
        (datetime.UTC, "UTC"),
        (np.datetime64("2026-01-02"), "2026-01-02"),
        (np.timedelta64(3, "D"), "3 days"),
        (range(1, 9, 2), "range(1, 9, 2)"),
        (np.float32(0.5), 0.5),
        (np.longdouble(0.5), 0.5),
        (np.int64(3), 3),
        (np.uint64(2**63), "9223372036854775808"),
        (np.bool_(True), True),
        (np.complex64(1j), "1j"),
        (np.str_("a"), "a"),
        (np.array(2), 2),
        (ml_dtypes.bfloat16(0.5), 0.5),
        (jnp.float32(0.5), 0.5),
        (jnp.asarray(0.5, jnp.bfloat16), 0.5),
        (np.dtype("float32"), "float32"),
        (np.float32, "float32"),
        (np.floating, "numpy.floating"),
        (jnp.bfloat16, "bfloat16"),
        (ml_dtypes.int4, "int4"),
        (jax.random.key(0).dtype, "key<fry>"),
        (int, "int"),
        (collections.OrderedDict, "collections.OrderedDict"),
        (Schedule, f"{HERE}.Schedule"),
        (activation, f"{HERE}.activation"),
        (JITTED, f"{HERE}.activation"),
        (Schedule().at, f"{HERE}.Schedule.at"),
        (len, "len"),
        (math.sqrt, "math.sqrt"),
        (np.tanh, "numpy.tanh"),
        (jax.nn.relu, "jax._src.nn.functions.relu"),
        (str.join, "str.join"),
        (os.path, "posixpath"),
        (functools.partial(int, base=2), {"partial": "int", "kwargs": {"base": 2}}),
        (
            jax.tree_util.Partial(activation, 1),
            {"partial": f"{HERE}.activation", "args": [1]},
        ),
        (operator.itemgetter(1), "<type operator.itemgetter>"),
        ((1, [2.5, None, True]), [1, [2.5, None, True]]),
        ([{}, [], ()], [{}, [], []]),
        (collections.deque([1, 2]), [1, 2]),
        (array.array("d", [0.5]), [0.5]),
        ({"a": 1}.keys(), ["a"]),
        (P("data", None, ("a", "b")), ["data", None, ["a", "b"]]),
        (np.arange(4).reshape(2, 2), [[0, 1], [2, 3]]),
        (np.array(["a", None], object), ["a", None]),
        (jnp.ones(2, jnp.bfloat16), [1.0, 1.0]),
        (nnx.Param(jnp.ones(2)), [1.0, 1.0]),
        (pandas.Series([1, 2]), [1, 2]),
        (pandas.NA, None),
        (pandas.DataFrame({"a": [1, 2]}), {"a": [1, 2]}),
        (argparse.Namespace(lr=1, _n=2), {"lr": 1, "_n": 2}),
        (types.SimpleNamespace(a=1), {"a": 1}),
        (types.MappingProxyType({"a": 1}), {"a": 1}),
        (collections.Counter("aab"), {"a": 2, "b": 1}),
        (MESH, {"data": 4, "model": 2}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_value_keeps_its_meaning(value, plain):
    assert redact(value) == plain
    assert plain_config({"x": {"y": [value]}})[0] == {"x": {"y": [plain]}}
    assert dumps(plain)


@pytest.mark.parametrize(
    ("names", "plain"),
    [
        (
            {1: "a", None: "b", 2.5: "c", False: "d"},
            {"1": "a", "None": "b", "2.5": "c", "False": "d"},
        ),
        ({1: "a", "1": "b"}, {"1 (int)": "a", "1": "b"}),
        ({"1": "b", 1: "a"}, {"1": "b", "1 (int)": "a"}),
        ({(1, "a"): 1, ("b",): 2}, {"(1, 'a')": 1, "('b',)": 2}),
        ({frozenset([2, 1]): 1}, {"[1, 2]": 1}),
        ({Color.RED: 1, "RED": 2}, {"RED (Color)": 1, "RED": 2}),
        ({jnp.float32: 1, activation: 2}, {"float32": 1, f"{HERE}.activation": 2}),
        ({datetime.date(2026, 1, 2): 1, b"k": 2}, {"2026-01-02": 1, "b'k'": 2}),
    ],
)
def test_names_become_different_strings(names, plain):
    assert redact(names) == plain


@dataclasses.dataclass
class Data:
    lr: float = 0.1
    sizes: tuple[int, ...] = (1, 2)


@attrs.define
class Attrs:
    lr: float = 0.1
    sizes: tuple[int, ...] = (1, 2)


class Pydantic(pydantic.BaseModel):
    lr: float = 0.1
    sizes: tuple[int, ...] = (1, 2)


class Named(NamedTuple):
    lr: float = 0.1
    sizes: tuple[int, ...] = (1, 2)


@flax.struct.dataclass
class Struct:
    lr: float = 0.1
    sizes: tuple[int, ...] = (1, 2)


class Equinox(equinox.Module):
    lr: float = 0.1
    sizes: tuple[int, ...] = (1, 2)


class Plain:
    def __init__(self):
        self.lr, self.sizes = 0.1, (1, 2)


class Slots:
    __slots__ = ("_cache", "lr", "sizes", "unset")

    def __init__(self):
        self.lr, self.sizes = 0.1, (1, 2)


class ClassLevel:
    lr = 0.2
    sizes = (1, 2)

    def __init__(self):
        self.lr, self._cache = 0.1, {}

    @property
    def costly(self):
        raise AssertionError

    def method(self):
        raise AssertionError


class OnlyClass:
    lr = 0.1
    sizes = (1, 2)


class Mapped:
    """Mapping that is not registered as one, as in some configuration libraries."""

    def __init__(self, **values):
        self._values = values

    def keys(self):
        return self._values.keys()

    def items(self):
        return self._values.items()

    def __getitem__(self, name):
        return self._values[name]


VALUES = {"lr": 0.1, "sizes": (1, 2)}
KINDS = [
    VALUES,
    ml_collections.ConfigDict(VALUES),
    ml_collections.FrozenConfigDict(VALUES),
    omegaconf.OmegaConf.create({"lr": 0.1, "sizes": [1, "${unit}"], "unit": 2}),
    argparse.Namespace(**VALUES),
    types.SimpleNamespace(**VALUES),
    flax.core.freeze(VALUES),
    Mapped(**VALUES),
    Data(),
    Attrs(),
    Pydantic(),
    Named(),
    Struct(),
    Equinox(),
    Plain(),
    Slots(),
    ClassLevel(),
    OnlyClass(),
    OnlyClass,
]


@pytest.mark.parametrize("config", KINDS, ids=lambda config: type(config).__name__)
def test_every_kind_of_configuration_gives_its_values(config):
    plain, problem = plain_config(config)
    assert {name: plain[name] for name in VALUES} == {"lr": 0.1, "sizes": [1, 2]}
    assert plain.keys() - VALUES.keys() <= {"unit"}
    assert problem == ""


def test_private_attributes_only_are_named_as_a_problem():
    class Hidden:
        __slots__ = ("__a",)

        def __init__(self):
            self.__a = 1

    plain, problem = plain_config({"model": Hidden()})
    assert plain["model"] != {} and "model (" in problem


def test_modules_of_flax_and_equinox_are_configurations():
    dense, problem = plain_config({"model": flax.linen.Dense(3, dtype=jnp.bfloat16)})
    assert dense["model"]["features"] == 3 and dense["model"]["dtype"] == "bfloat16"
    assert problem == ""
    mlp = equinox.nn.MLP(2, 3, 4096, 1, key=jax.random.key(0))
    plain, problem = plain_config(mlp)
    assert plain["out_size"] == 3 and plain["activation"].endswith(".relu")
    assert plain["layers"][0]["weight"] == "float32[4096, 2]"
    assert "layers[0].weight (float32[4096, 2])" in problem


class Nested:
    """Settings by nested classes, one of them of another module's name."""

    class optimizer:
        lr = 0.1

        class decay:
            rate = 2

    activation = activation


class Open(pydantic.BaseModel, extra="allow"):
    lr: float = 0.1


def test_fields_are_those_that_are_set():
    @dataclasses.dataclass
    class Later:
        lr: float = 0.1
        width: int = dataclasses.field(init=False)

    assert plain_config(Later()) == ({"lr": 0.1}, "")
    assert plain_config(Open(width=8)) == ({"lr": 0.1, "width": 8}, "")


@pytest.mark.parametrize("cls", [Data, Attrs, Pydantic, Named])
def test_a_class_in_place_of_its_instance_names_what_it_lacks(cls):
    plain, problem = plain_config(cls)
    missing = "<unreadable: no value in the class>"
    has_defaults = cls is Data
    assert plain["lr"] == (0.1 if has_defaults else missing)
    assert bool(problem) is not has_defaults


def test_a_class_without_a_default_names_the_field():
    @dataclasses.dataclass
    class Partial:
        lr: float = 0.1
        sizes: list[int] = dataclasses.field(default_factory=list)

    plain, problem = plain_config(Partial)
    assert plain == {"lr": 0.1, "sizes": "<unreadable: no value in the class>"}
    assert "sizes (no value in the class)" in problem


def test_classes_inside_a_class_are_mappings():
    plain, _ = plain_config(Nested())
    assert plain == {
        "optimizer": {"lr": 0.1, "decay": {"rate": 2}},
        "activation": f"{HERE}.activation",
    }


@dataclasses.dataclass
class Adam:
    lr: float = 0.1


@dataclasses.dataclass
class Sgd:
    lr: float = 0.1


@dataclasses.dataclass
class Train:
    adam: "Adam | None" = dataclasses.field(default_factory=Adam)
    either: Adam | Sgd = dataclasses.field(default_factory=Sgd)
    several: list[Adam] = dataclasses.field(default_factory=lambda: [Adam()])
    anything: object = dataclasses.field(default_factory=Plain)
    by_name: dict[str, Plain] = dataclasses.field(
        default_factory=lambda: {"a": Plain()}
    )


def test_an_object_has_its_class_where_it_may_have_another():
    plain, _ = plain_config(Train())
    assert plain == {
        "adam": {"lr": 0.1},
        "either": {"class": "Sgd", "lr": 0.1},
        "several": [{"lr": 0.1}],
        "anything": {"class": "Plain", "lr": 0.1, "sizes": [1, 2]},
        "by_name": {"a": {"lr": 0.1, "sizes": [1, 2]}},
    }
    assert plain_config({"adam": Adam(), "plain": [Plain()]})[0] == {
        "adam": {"lr": 0.1},
        "plain": [{"class": "Plain", "lr": 0.1, "sizes": [1, 2]}],
    }


class Private:
    def __init__(self):
        self._lr = 0.1


class Stateless:
    pass


class Broken(collections.UserDict):
    def keys(self):
        raise RuntimeError("not ready")


class Loud:
    """Object whose conversions must not be called."""

    def __init__(self):
        self._lr = 0.1

    def __repr__(self):
        raise AssertionError

    __str__ = __repr__


def test_what_cannot_be_recorded_is_named_in_one_sentence_and_the_rest_is_kept():
    required = ml_collections.ConfigDict({"lr": 0.1})
    required.width = ml_collections.config_dict.required_placeholder(int)
    deleted = jnp.ones(3)
    deleted.delete()
    plain, problem = plain_config(
        {
            "model": {"private": Private(), "stateless": Stateless(), "loud": Loud()},
            "log": logging.getLogger("test"),
            "required": required,
            "missing": omegaconf.OmegaConf.create({"a": ["???", 2], "b": 1}),
            "broken": Broken(),
            "large": np.zeros((50, 50), np.int8),
            "deleted": deleted,
            "key": jax.random.key(0),
            "lines": (line for line in "ab"),
            "lr": 0.1,
        }
    )
    assert plain == {
        "model": {
            "private": f"<type {HERE}.Private>",
            "stateless": f"<type {HERE}.Stateless>",
            "loud": f"<type {HERE}.Loud>",
        },
        "log": "<type logging.Logger>",
        "required": {"lr": 0.1, "width": "<unreadable: RequiredValueError>"},
        "missing": {"a": ["<unreadable: MissingMandatoryValue>", 2], "b": 1},
        "broken": f"<type {HERE}.Broken>",
        "large": "int8[50, 50]",
        "deleted": "float32[3]",
        "key": "key<fry>[]",
        "lines": "<type generator>",
        "lr": 0.1,
    }
    assert problem == (
        "The configuration has values that cannot be recorded in full: log (a "
        "logging.Logger), broken (RuntimeError), large (int8[50, 50]), deleted "
        "(float32[3]), key (key<fry>[]), lines (a generator), model.private (a "
        f"{HERE}.Private), model.loud (a {HERE}.Loud) and 2 more. Convert them to "
        "numbers, texts, lists or mappings."
    )


@pytest.mark.parametrize("config", [Private(), Stateless(), Stateless, Broken(), 3, []])
def test_a_configuration_without_names_is_no_mapping(config):
    assert not isinstance(plain_config(config)[0], dict)


def test_redact_leaves_objects_without_declared_fields_alone():
    assert redact([Plain(), Data()]) == [
        f"<type {HERE}.Plain>",
        {"lr": 0.1, "sizes": [1, 2]},
    ]


def test_a_cycle_of_objects_is_cut_and_a_shared_one_is_kept():
    shared, outer = Plain(), Plain()
    shared.lr, outer.lr = 1, [shared, shared]
    outer.sizes = {"outer": outer}
    plain, _ = plain_config(outer)
    assert plain["lr"] == [{"class": "Plain", "lr": 1, "sizes": [1, 2]}] * 2
    assert plain["sizes"] == {"outer": "<cycle>"}


SETS = """
import enum, pathlib
from jaxmetrics.record import dumps, redact
Color = enum.Enum("Color", "red green blue")
print(dumps(redact([{"b", "a", "c"}, {3, 20, 1}, set(Color), {pathlib.Path("a"), None},
                    {(2, "x"), (1, "y")}, {frozenset("ab"), frozenset("cd")}])))
"""


def test_a_set_has_the_same_order_in_every_process():
    outputs = {
        subprocess.run(
            [sys.executable, "-c", SETS],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert outputs == {
        '[["a","b","c"],[1,3,20],["blue","green","red"],[null,"a"],'
        '[[1,"y"],[2,"x"]],[["a","b"],["c","d"]]]\n'
    }


class Padding:
    """A thing with a shape by name, which is no mesh."""

    shape = {"left": 1, "right": 2}


class Grid:
    """A thing with named axes, which is no mesh."""

    shape, axis_names = (4, 2), ("x", "y")


def test_only_a_shape_of_named_axes_is_a_mesh():
    assert mesh_axes(MESH) == {"data": 4, "model": 2}
    for other in (Padding(), Grid(), {"shape": {"x": 1}, "axis_names": "x"}, 3):
        assert mesh_axes(other) is None
