from jaxmetrics.record import flatten


def test_names_are_joined_in_order():
    nested = {"a": {"b": {"c": 1}, "d": None}, "e": [1]}
    assert list(flatten(nested)) == [("a/b/c", 1), ("a/d", None), ("e", [1])]
    assert list(flatten(nested, "x", ".")) == [
        ("x.a.b.c", 1),
        ("x.a.d", None),
        ("x.e", [1]),
    ]


def test_an_empty_mapping_is_a_leaf():
    assert list(flatten({"a": {}})) == [("a", {})]
    assert list(flatten({}, "a")) == [("a", {})]


def test_a_value_that_is_not_a_mapping_keeps_its_name():
    assert list(flatten(1.5, "loss")) == [("loss", 1.5)]


def test_names_become_text():
    assert list(flatten({1: {2: "x"}})) == [("1/2", "x")]
