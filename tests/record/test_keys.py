"""Keys of values, and names of runs."""

import pytest

from jaxmetrics.record import PREFIXES, check_name, key


@pytest.mark.parametrize(
    ("name", "split", "dataset", "expected"),
    [
        ("loss", "train", None, "train/loss"),
        ("accuracy/top5", "train", None, "train/accuracy/top5"),
        ("tokens_seen", "train", "alpaca", "train_alpaca/tokens_seen"),
        ("loss", "val", None, "val/loss"),
        ("val_loss", "val", None, "val/loss"),
        ("val_loss", "val", "c4", "val_c4/loss"),
        ("val_loss", "train", None, "train/val_loss"),
        ("test_loss", "test", None, "test/loss"),
        ("train_loss", "train", None, "train/train_loss"),
        ("val_", "val", None, "val/val_"),
        ("train/loss", "train", None, "train/loss"),
        ("train_alpaca/tokens_seen", "train", None, "train_alpaca/tokens_seen"),
        ("train_/loss", "train", None, "train/train_/loss"),
        ("trains/loss", "train", None, "train/trains/loss"),
        ("val/loss", "train", None, "train/val/loss"),
        ("gpu_allocated_mb", "train", None, "train/gpu_allocated_mb"),
        ("performance", "train", None, "train/performance"),
        ("loss", "train", "org/name", "train_org/name/loss"),
    ],
)
def test_a_key_names_split_dataset_and_metric(name, split, dataset, expected):
    assert key(name, split, dataset) == expected


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_known_prefix_is_kept_in_every_split(prefix):
    for split in ("train", "val"):
        assert key(prefix + "x", split) == prefix + "x"
        assert key(prefix + "x", split, "alpaca") == prefix + "x"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mfu", "perf/mfu"),
        ("recent_mfu", "perf/recent_mfu"),
        ("step_seconds", "perf/step_seconds"),
        ("tokens_per_second", "perf/tokens_per_second"),
        ("tokens_per_sec", "perf/tokens_per_second"),
        ("tok/s", "perf/tokens_per_second"),
        ("lr", "lr/lr"),
        ("grad_norm", "grad/norm"),
    ],
)
def test_training_measurements_have_one_key_in_all_splits(name, expected):
    assert key(name) == key(name, "val") == expected


def test_a_value_of_a_dataset_is_not_a_training_measurement():
    assert key("mfu", "train", "a") == "train_a/mfu"
    assert key("val_mfu", "val") == "val/mfu"


@pytest.mark.parametrize(
    "name",
    ["", "a//b", "/a", "a/", "a\nb", "a\x1b[0m", "a\u202eb", "\ud800", "a" * 257],
)
def test_names_unsafe_for_files_or_terminals_are_refused(name):
    with pytest.raises(ValueError, match=r"key\(\) got the name .*; expected|empty"):
        key(name)


def test_the_limit_of_256_holds_for_the_whole_key():
    assert len(key("a" * 250)) == 256
    with pytest.raises(ValueError, match="the key .* of 257 characters"):
        key("a" * 251)


@pytest.mark.parametrize("arguments", [(3,), ("a", None), ("a", "train", 3), (b"a",)])
def test_arguments_other_than_strings_are_refused(arguments):
    with pytest.raises(TypeError, match="a str was expected"):
        key(*arguments)


@pytest.mark.parametrize("split", ["", "a/b", "a\n"])
def test_a_split_without_a_slash_is_required(split):
    with pytest.raises(ValueError, match="split"):
        key("loss", split)


@pytest.mark.parametrize("name", ["a", "run-1.2_B", "0", "a" * 64, "a..b"])
def test_a_name_that_is_safe_as_a_folder_is_returned(name):
    assert check_name(name, "run_name") == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        ".hidden",
        "../../x",
        "/etc/x",
        "a/b",
        "a\x00",
        "a\n",
        "é",
        "a" * 65,
        "a" * 300,
    ],
)
def test_a_name_that_escapes_its_folder_is_refused(name):
    with pytest.raises(ValueError, match="run_name is .*expected.*Choose"):
        check_name(name, "run_name")


def test_a_name_is_a_string():
    with pytest.raises(TypeError, match="tag is a int"):
        check_name(3, "tag")
