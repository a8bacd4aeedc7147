"""Keys of values, and names of runs."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxmetrics.record import (
    ALIASES,
    CONVERSIONS,
    EVALUATION_SPLITS,
    PREFIXES,
    RECORD_FIELDS,
    SHORT_NAMES,
    SPELLINGS,
    check_name,
    key,
    spellings,
    split_of,
)

_PARTS = st.sampled_from(
    ["loss", "train", "val", "train_", "val_loss", "train_a", "lr", "s", "tok", "perf"]
)
_WORDS = st.one_of(
    _PARTS,
    st.sampled_from(sorted({*ALIASES, *RECORD_FIELDS})),
    st.text("ab_/ *é", min_size=1),
)
NAMES = st.one_of(_WORDS, st.builds("{}/{}".format, _WORDS, _WORDS))
SPLITS = st.one_of(st.none(), _PARTS)
DATASETS = st.one_of(st.none(), st.sampled_from(["a", "org/name", "loss"]))


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
        ("train_loss", "train", None, "train/loss"),
        ("train_loss", "val", None, "val/train_loss"),
        ("train_lr", "train", None, "train/lr"),
        ("val_", "val", None, "val/val_"),
        ("train/loss", "train", None, "train/loss"),
        ("train_alpaca/tokens_seen", "train", None, "train_alpaca/tokens_seen"),
        ("train_/loss", "train", None, "train/train_/loss"),
        ("trains/loss", "train", None, "train/trains/loss"),
        ("val/loss", "train", None, "train/val/loss"),
        ("val_/loss", "val", None, "val/val_/loss"),
        ("s", "tok", None, "tok/s"),
        ("tok/s", "tok", None, "tok/s"),
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
        ("hfu", "perf/hfu"),
        ("goodput", "perf/goodput"),
        ("step_seconds", "perf/step_seconds"),
        ("tokens_per_second", "perf/tokens_per_second"),
        ("tokens_per_sec", "perf/tokens_per_second"),
        ("tok/s", "perf/tokens_per_second"),
        ("samples_per_sec", "perf/samples_per_second"),
        ("throughput_samples_per_sec", "perf/samples_per_second"),
        ("batches_per_sec", "perf/batches_per_second"),
        ("epoch_time_sec", "perf/epoch_seconds"),
        ("gpu_peak_mb", "mem/gpu_peak_mb"),
        ("ema_delta_norm", "ema/delta_norm"),
        ("lr", "lr/lr"),
        ("learning_rate", "lr/lr"),
        ("grad_norm", "grad/norm"),
        ("gradient_norm", "grad/norm"),
    ],
)
def test_training_measurements_have_one_key_in_all_splits(name, expected):
    assert key(name) == key(name, "val") == expected
    assert key(name, keep_slashes=True) == expected


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


@pytest.mark.parametrize("arguments", [(3,), ("a", 3), ("a", "train", 3), (b"a",)])
def test_arguments_other_than_strings_are_refused(arguments):
    with pytest.raises(TypeError, match="a str was expected"):
        key(*arguments)


@pytest.mark.parametrize("split", ["", "a/b", "a\n"])
def test_a_split_without_a_slash_is_required(split):
    with pytest.raises(ValueError, match="split"):
        key("loss", split)


@pytest.mark.parametrize("name", ["loss", "lr", "eval/loss", "val_loss", "perf/x"])
def test_without_a_split_a_name_is_its_key(name):
    assert key(name, split=None) == name


@pytest.mark.parametrize("field", sorted(RECORD_FIELDS))
def test_without_a_split_no_value_takes_the_name_of_a_field(field):
    assert key(field, split=None) == f"train/{field}"


def test_a_dataset_without_a_split_is_refused():
    with pytest.raises(ValueError, match="dataset 'c4' with split=None"):
        key("loss", None, "c4")


def test_slashes_are_kept_on_request():
    assert key("learning/loss", keep_slashes=True) == "learning/loss"
    assert key("eval/loss", "train", "a", keep_slashes=True) == "eval/loss"
    assert key("loss", keep_slashes=True) == "train/loss"


@settings(max_examples=500, deadline=None)
@given(NAMES, SPLITS, DATASETS, st.booleans())
def test_keys_obey_their_laws(name, split, dataset, keep_slashes):
    try:
        full = key(name, split, dataset, keep_slashes=keep_slashes)
    except ValueError:
        # Refused whatever the rules are: empty parts, a dataset of no split.
        assert "" in name.split("/") or (dataset and not split)
        return
    assert key(full, split, dataset, keep_slashes=keep_slashes) == full
    assert full not in RECORD_FIELDS
    assert all(full.split("/"))
    if split is not None:
        assert "/" in full
        assert key(full, keep_slashes=True) == full or full in ALIASES
    if split is None or full.startswith(PREFIXES):
        return
    owners = (f"{split}/", f"{split}_")
    assert full.startswith(owners) or (keep_slashes and full == name)


@pytest.mark.parametrize("split", EVALUATION_SPLITS)
def test_names_of_one_evaluation_choose_its_split(split):
    names = [f"{split}/loss", f"{split}/accuracy/top5"]
    assert split_of(names) == split_of(iter(names)) == split
    assert split_of([*names, "loss"]) is split_of(["loss", *names]) is None
    assert split_of([*names, "other/loss"]) is None
    assert split_of([f"{split}_loss"]) is split_of([split]) is None
    assert split_of([f"{split}_loss", *names], underscores=True) == split
    assert split_of([f"{split}_loss", "loss"], underscores=True) is None
    assert split_of([split], underscores=True) is None
    assert split_of([f"{split}_"], underscores=True) is None


def test_names_of_two_evaluations_choose_no_split():
    assert split_of(["val/loss", "test/loss"]) is None


def test_names_of_the_training_choose_no_split():
    assert split_of([]) is split_of(["train/loss"]) is split_of(["perf/mfu"]) is None
    assert split_of([3, b"a/b"]) is None


def test_every_name_leads_to_its_key_and_back():
    for name, full in ALIASES.items():
        assert key(name) == full
        assert name in SPELLINGS[full] and name in spellings(full)
    for full, name in SHORT_NAMES.items():
        assert key(name) == full
    assert len(set(SHORT_NAMES.values())) == len(SHORT_NAMES)


def test_a_spelling_stands_for_one_quantity():
    all_names = [name for names in SPELLINGS.values() for name in names]
    assert len(all_names) == len(set(all_names))
    assert not set(all_names) & set(SPELLINGS)
    # Memory in MiB is not another spelling of memory in bytes.
    assert not CONVERSIONS.keys() & set(all_names)
    assert not {quantity for quantity, _ in CONVERSIONS.values()} & set(all_names)


def test_spellings_begin_with_the_key_itself():
    assert spellings("lr/lr")[:3] == ("lr/lr", "lr", "learning_rate")
    assert spellings("train/loss")[:3] == (
        "train/loss",
        "train_loss",
        "train/train_loss",
    )
    assert "train/val_loss" in spellings("val/loss")
    assert spellings("health/x") == ("health/x",)
    assert spellings("note") == ("note",)


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
