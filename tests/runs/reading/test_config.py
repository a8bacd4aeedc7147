from jaxmetrics.runs.reading import config_difference, flatten_config, seed_groups


def test_nested_names_are_joined_by_dots_and_lists_are_json():
    config = {"a": {"b": {"c": 1}}, "empty": {}, "list": [1, None], "text": "x"}
    assert flatten_config(config) == {
        "a.b.c": "1",
        "empty": "{}",
        "list": "[1,null]",
        "text": "x",
    }


def test_the_difference_has_none_where_a_value_is_missing():
    difference = config_difference([{"a": "1", "b": "2"}, {"b": "2"}])
    assert difference == {"a": ["1", None]}


def test_runs_that_differ_in_nothing_are_one_group():
    configs = [{"seed": "1"}, {"seed": "2"}]
    assert seed_groups(["x", "y"], configs, "seed") == {"all runs": ["x", "y"]}


def test_groups_of_the_same_short_name_are_numbered():
    configs = [{"a.lr": "1", "b.lr": "1"}, {"a.lr": "1", "b.lr": "2"}] * 2
    groups = seed_groups(["p", "q", "r", "s"], configs, "seed")
    assert groups == {"lr=1": ["p", "r"], "lr=2": ["q", "s"]}


def test_a_run_without_a_configuration_is_a_group_of_its_own():
    configs = [{}, {"lr": "1"}, {"lr": "1"}]
    groups = seed_groups(["x", "y", "z"], configs, "seed")
    assert list(groups.values()) == [["x"], ["y", "z"]]
    assert next(iter(groups)) == "x"


def test_names_of_groups_have_at_most_sixty_characters():
    for length, name in ((58, "a=" + "x" * 58), (59, "a=" + "x" * 57 + "…")):
        configs = [{"a": "x" * length}, {"a": "x" * length}, {"a": "y"}]
        assert name in seed_groups(["p", "q", "r"], configs, "seed")


def test_a_value_that_a_group_does_not_have_is_a_dash():
    configs = [{"a": "1"}, {"a": "1"}, {"b": "2"}]
    groups = seed_groups(["p", "q", "r"], configs, "seed")
    assert groups == {"a=1, b=–": ["p", "q"], "a=–, b=2": ["r"]}


def test_a_value_that_is_none_is_one_that_is_absent():
    configs = [{"lr": "1", "name": "null"}, {"lr": "1"}, {"lr": "2", "name": "None"}]
    assert config_difference(configs) == {"lr": ["1", "1", "2"]}
    groups = seed_groups(["x", "y", "z"], configs, "seed")
    assert groups == {"lr=1": ["x", "y"], "lr=2": ["z"]}
