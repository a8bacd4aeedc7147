"""Hostile and careless input: secrets, names, formulas, pickles, pipes, limits.

Markup in names and values is tested with the reports.
"""

import ast
import csv
import io
import json
import logging
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from support.processes import run_python

import jaxmetrics
from jaxmetrics import Run, TrainingLogger
from jaxmetrics.record import CorruptLineError, atomic_write, hparams_of, read_lines
from jaxmetrics.writers import CSV, Console, Memory, TensorBoard

PACKAGE = Path(jaxmetrics.__file__).parent


@pytest.fixture
def make(tmp_path):
    """Return a function that opens loggers of one run, closed at the end."""
    opened = []

    def make(*writers, **options):
        options = {"root": tmp_path / "runs", "run_name": "run"} | options
        opened.append(TrainingLogger("p", writers=writers, console=False, **options))
        return opened[-1]

    yield make
    for logger in opened:
        logger.close()


def rows(logger):
    lines, _ = read_lines(logger.run_dir / "metrics.jsonl")
    return lines[1:]


def close_event(logger):
    """Return the event that the close of the logger writes."""
    return read_lines(logger.run_dir / "events.jsonl")[0][-1]


# Secrets that pass through all writers; the bytes of all files are searched for them.
SECRETS_BY_NAME = {
    "api_key": "hush-api-key",
    "WANDB_API_KEY": "hush-wandb",
    "hf_token": "hush-hf",
    "password": "hush-password",
    "client_secret": "hush-secret",
    "auth": "hush-auth",
    "private_key": "hush-private",
    "aws_access_key_id": "hush-aws",
    "credential": "hush-credential",
    "cookie": "hush-cookie",
    "dsn": "hush-dsn",
    "connection_string": "hush-connection",
}
SECRETS_BY_FORM = [
    "hf_" + "hushA0" * 5,
    "ghp_" + "hushB0" * 6,
    "sk-" + "hushC0" * 8,
    "AKIA" + "HUSHD0EF" * 2,
    "-----BEGIN PRIVATE KEY-----\nhushE0hushE0\n-----END PRIVATE KEY-----",
    "eyJhushF0hush.eyJhushF0hush.hushF0",
    "postgres://me:hushG0@host/db",
    "Bearer hushH0hushH0",
]
ENVIRONMENT = {"TOKEN_OF_A_SERVICE": "hush-environment"}
ARGUMENT = "--password=hush-argument"
KEPT = {"max_tokens": 4096, "tokenizer": "seen", "num_key_value_heads": 8, "monkey": 1}

TRAIN = """
import dataclasses, json, logging, sys
from jaxmetrics import TrainingLogger
from jaxmetrics.logger import _run_directory
from jaxmetrics.writers import CSV, Console, TensorBoard, WandB

root, named, formed, kept = sys.argv[1], *map(json.loads, sys.argv[2:5])

@dataclasses.dataclass
class Login:
    user: str = "seen"
    password: str = "hush-dataclass"

def make(name, hparams, **options):
    writers = [Console(), CSV(), TensorBoard(), WandB("offline", every=1)]
    return TrainingLogger("p", name, root=root, writers=writers, hparams=hparams,
                          **options)

hparams = {"named": named, "formed": formed, "login": Login(), **kept}
print("hush-output")
with make("run", hparams, tags=("seen", formed[0])) as logger:
    logger.log_step(1, loss=0.5)
    logger.log_text(1, {f"t{i}": t for i, t in
                    enumerate(formed)}, **named)
    cells = [[text, "hush-cell", "seen"] for text in formed]
    logger.log_table(1, table=(["text", "password", "other"], cells))
    logger.log_hparams({"late": named, "more": formed})
    logger.ledger.event("note", texts=formed, **named)
    logging.getLogger("jaxmetrics").warning("a warning is seen")

_run_directory.plain_config = lambda config: (config, "")
with make("control", {"api_key": "seen-by-all"}) as logger:
    logger.log_step(1, loss=0.5)
# hush-source
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Root of a run with secrets, and its output without the line it prints itself."""
    root = tmp_path_factory.mktemp("trained")
    script = root / "train.py"
    script.write_text(TRAIN)
    clean = {k: v for k, v in os.environ.items() if not k.startswith("WANDB_")}
    arguments = [
        str(root / "runs"),
        *map(json.dumps, (SECRETS_BY_NAME, SECRETS_BY_FORM, KEPT)),
        ARGUMENT,
    ]
    finished = subprocess.run(
        [sys.executable, str(script), *arguments],
        capture_output=True,
        text=True,
        cwd=root,
        env=clean | ENVIRONMENT | {"HOME": str(root), "PYTHONWARNINGS": "error"},
        timeout=120,
    )
    assert finished.returncode == 0, finished.stderr
    script.unlink()
    return root, finished.stdout.replace("hush-output\n", "") + finished.stderr


def kinds_of_files_with(root, text):
    """Return the kinds of the files that contain a text."""
    files = [path for path in root.rglob("*") if path.is_file()]
    matching = [path for path in files if text.encode() in path.read_bytes()]
    return {
        path.suffix if "tfevents" not in path.name else "events" for path in matching
    }


@pytest.mark.parametrize("name", SECRETS_BY_NAME)
def test_a_secret_is_hidden_by_its_name_in_configuration_texts_and_events(
    trained, name
):
    root, output = trained
    assert not kinds_of_files_with(root, SECRETS_BY_NAME[name])
    assert SECRETS_BY_NAME[name] not in output


@pytest.mark.parametrize("number", range(len(SECRETS_BY_FORM)))
def test_a_secret_is_hidden_by_its_form_in_configuration_media_tags_and_events(
    trained, number
):
    root, output = trained
    secret = next(s for s in ("hush", "HUSH") if s in SECRETS_BY_FORM[number])
    secret += "ABCDEFGH"[number] + "0"
    assert secret in SECRETS_BY_FORM[number]
    assert not kinds_of_files_with(root, secret)
    assert secret not in output


def test_values_that_only_look_like_secrets_are_kept(trained):
    run = json.loads((trained[0] / "runs" / "p" / "run" / "run.json").read_text())
    hparams = hparams_of(run)
    assert KEPT.items() <= hparams.items()
    assert hparams["login"] == {"user": "seen", "password": "<redacted>"}
    assert run["tags"] == ["seen", "<redacted>"]


def test_output_arguments_environment_and_code_are_not_captured(trained):
    root, output = trained
    for text in (*ENVIRONMENT.values(), "hush-argument", "hush-output", "hush-source"):
        assert not kinds_of_files_with(root, text), text
    assert not kinds_of_files_with(root, "hush")  # the prefix of all secrets
    assert "hush" not in output and "seen" in output


def test_without_redaction_the_same_search_finds_a_secret(trained):
    kinds = kinds_of_files_with(trained[0] / "runs" / "p" / "control", "seen-by-all")
    assert {".json", "events", ".wandb"} <= kinds


@pytest.mark.parametrize("what", ["run_name", "project"])
@pytest.mark.parametrize(
    "name",
    ["../../x", "/etc/x", "..", ".hidden", "", "a\0b", "a\nb", "x" * 300, "a/b", "é"],
)
def test_a_name_that_leaves_its_folder_is_refused(tmp_path, what, name):
    names = {"project": "p", "run_name": "run"} | {what: name}
    with pytest.raises(ValueError, match=what):
        TrainingLogger(**names, root=tmp_path / "runs")
    assert not list(tmp_path.iterdir())


def test_formulas_are_escaped_in_csv_files(make):
    attacks = ["=1+1", "+1", "-1", "@SUM(A1)"]
    renamed = {"train/loss": '=cmd|" /C calc"!A0'}
    with make(CSV(rename=renamed)) as logger:
        logger.log_step(1, loss=-0.5, small=1e-30, low=float("-inf"))
        for step, split in enumerate(attacks, 2):
            logger.log_step(step, split=split, loss=-0.5)
    text = (logger.run_dir / "metrics.csv").read_text()
    header, first, *rest = csv.reader(io.StringIO(text))
    assert header[3:6] == ["'" + renamed["train/loss"], "train/small", "train/low"]
    assert first[3:6] == ["-0.5", "1e-30", "-inf"]
    assert [row[1] for row in rest] == ["'" + attack for attack in attacks]
    assert header[6:] == [f"'{attack}/loss" for attack in attacks]


@pytest.mark.parametrize(
    "text", ["\x1b]0;owned\x07", "\x1b[2J", "a\rb", "\u202eevil", "\x9b31m", "a\nb"]
)
def test_escape_sequences_do_not_reach_terminals_or_logs(make, text, caplog):
    shown = io.StringIO()
    console = Console(file=shown, rename={"train/loss": text})
    logger = make(console, print_every=1)
    logger.log_step(1, loss=0.5)
    for options in ({"metrics": {text: 1.0}}, {"split": text, "x": 1.0}):
        with pytest.raises(ValueError) as error:
            logger.log_step(2, **options)
        assert str(error.value).isprintable()
    with caplog.at_level(logging.WARNING, "jaxmetrics"):
        logger.log_text(2, note=text)
        logger.close()
    assert shown.getvalue().replace("\n", "").isprintable()
    assert shown.getvalue().count("\n") == 1
    assert caplog.text.replace("\n", "").isprintable()


def test_a_pickle_in_place_of_a_file_is_not_loaded(make, tmp_path):
    class Attack:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "owned"),)

    attack = pickle.dumps(Attack())
    run = make().run_dir
    for name in ("run.json", "metrics.jsonl"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / name).write_bytes(attack + b"\n")
        with pytest.raises(ValueError):
            Run.load(folder)
    (run / "run.json").write_bytes(attack)
    with pytest.raises((ValueError, RuntimeError)):
        make()
    assert not (tmp_path / "owned").exists()


def test_no_code_of_the_package_unpickles_or_loads_yaml_objects():
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [alias.name.split(".")[0] for alias in node.names]
                module = getattr(node, "module", None) or ""
                bad = {"pickle", "marshal", "shelve", "dill", "cloudpickle"}
                assert not bad & {*names, module.split(".")[0]}, path
            elif isinstance(node, ast.Attribute) and node.attr in (
                "load",
                "load_all",
                "unsafe_load",
                "full_load",
            ):
                assert ast.unparse(node.value) not in ("yaml", "np", "numpy"), path


def test_nested_yaml_aliases_in_a_configuration_are_cut(make, caplog):
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10)
    )
    logger = make(hparams={"lr": 0.5, "bomb": yaml.safe_load(bomb)})
    assert "more than 10000 values" in caplog.text
    description = (logger.run_dir / "run.json").read_bytes()
    assert len(description) < 2**20
    assert hparams_of(json.loads(description))["lr"] == 0.5


@pytest.mark.parametrize(
    ("bomb", "reason"),
    [
        (b"[" * 10**6, "nested too deep"),
        (b'{"step":' + b"9" * 5000 + b"}", "not JSON"),
        (b'{"step":1,"split":"\xff"}', "not JSON"),
        (b'{"step":1,"x":"' + b"x" * 18 * 2**20 + b'"}', "longer than"),
        (b'{"step":1,"split":"train","time":NaN}', "bare NaN"),
    ],
)
def test_a_line_that_exhausts_a_parser_is_damage(make, bomb, reason):
    with make() as logger:
        for step in (1, 2):
            logger.log_step(step, loss=0.5)
    file = logger.run_dir / "metrics.jsonl"
    header, first, second = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(header + first + bomb + b"\n" + second)
    with pytest.raises(CorruptLineError, match=f"line 3: .*{reason}"):
        Run.load(logger.run_dir)
    assert Run.load(logger.run_dir, errors="skip")["train/loss"][0].tolist() == [1, 2]
    with make() as logger:  # a damaged line does not stop a run from continuing
        logger.log_step(3, loss=0.5)
    (logger.run_dir / "run.json").write_bytes(bomb)
    with pytest.raises(ValueError, match=r"run\.json is not the description of a run"):
        make()


@pytest.mark.parametrize(
    "name", ["metrics.jsonl", "metrics.csv", "events.jsonl", "run.json"]
)
def test_a_symbolic_link_in_place_of_a_file_is_refused(make, tmp_path, name):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    folder = tmp_path / "runs" / "p" / "run"
    folder.mkdir(parents=True)
    (folder / name).symlink_to(victim)
    with pytest.raises((OSError, ValueError), match=name):
        make(CSV())
    assert victim.read_text() == "precious"


@pytest.mark.parametrize("name", ["run.json", "wandb.json"])
def test_a_symbolic_link_in_place_of_a_replaced_file_is_not_followed(tmp_path, name):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / name).symlink_to(victim)
    atomic_write(tmp_path / name, b"new")
    assert victim.read_text() == "precious"
    assert (tmp_path / name).read_text() == "new"


PIPES = """
import os, sys
from pathlib import Path
from jaxmetrics import Run, TrainingLogger
from jaxmetrics.writers import CSV
from jaxmetrics.writers._wandb_file import read_state

for name in ("metrics.jsonl", "metrics.csv", "events.jsonl", "run.json", "wandb.json"):
    folder = Path(sys.argv[1], "p", name)
    folder.mkdir(parents=True)
    os.mkfifo(folder / name)
    calls = [lambda: TrainingLogger("p", name, root=sys.argv[1],
                                    writers=[CSV()])]
    if name == "wandb.json":
        calls = [lambda: read_state(folder / name)]
    for call in calls:
        try:
            call()
        except OSError as error:
            assert "not a regular file" in str(error), error
        else:
            raise AssertionError(name)
    try:
        Run.load(folder)
    except OSError as error:
        print(type(error).__name__)
"""


def test_a_pipe_in_place_of_a_file_is_refused_without_hanging(tmp_path):
    finished = run_python(PIPES, tmp_path)  # it ends a process that hangs
    assert finished.returncode == 0, finished.stderr


DERIVED = """
import os, resource, sys
from pathlib import Path
import jaxmetrics as jm
from jaxmetrics import cli

root, kind = sys.argv[1:]
with jm.TrainingLogger("p", "run", root=root, console=False) as logger:
    logger.log_step(1, loss=1.0)
folder = logger.run_dir
used = int(Path("/proc/self/statm").read_text().split()[0]) * 4096
resource.setrlimit(resource.RLIMIT_AS, (used + 2**30, -1))

def damaged(name):
    path = folder / name
    path.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.touch()
        os.truncate(path, 2**33)
    return path

def report(*options):
    return cli.main(["report", str(folder), "--no-plots", *options])

def refused(call, error):
    try:
        call()
    except (ValueError, OSError) as caught:
        assert name in str(caught), caught
    else:
        raise AssertionError(f"{name} was read")

for name in ("training_report.md", "report.html"):
    path = damaged(name)
    assert report() == 1, name
    assert report("--force") == 0, name
name = "training_metrics.json"
path = damaged(name)
assert report("--force") == 1
refused(lambda: jm.EpochTracker(folder), name)
path.unlink()
name = "run.json"
damaged(name)
refused(lambda: jm.Run.load(folder), name)
refused(lambda: jm.TrainingLogger("p", "run", root=root, console=False), name)
"""


@pytest.mark.parametrize("kind", ["pipe", "device", "sparse"])
def test_files_that_have_no_end_are_refused_in_little_memory(tmp_path, kind):
    finished = run_python(DERIVED, tmp_path, kind)
    assert finished.returncode == 0, finished.stderr
    assert "Traceback" not in finished.stderr


def number_of_cuts(logger, limit):
    """Return how many values the close event counts as cut because of a limit."""
    cuts = close_event(logger)["cuts"]
    return sum(number for name, number in cuts.items() if limit in name)


@pytest.mark.parametrize(
    ("values", "kept", "limit"),
    [
        ({f"k{n}": float(n) for n in range(10_003)}, 10_000, "10,000 values"),
        ({f"{n:0240d}": float(n) for n in range(5000)}, 3800, "1,048,576 bytes"),
        ({"a": 1.0, "huge": 10**5000, "b": 2.0}, 2, "1023 bits"),
    ],
)
def test_a_row_beyond_its_limits_is_cut_and_counted(make, caplog, values, kept, limit):
    logger = make(CSV(), TensorBoard())
    with caplog.at_level(logging.WARNING, "jaxmetrics"):
        for step in (1, 2):
            logger.log_step(step, values)
        logger.log_step(3, loss=0.5)
        assert logger.close()
    one, two, three = ((len(row) - 3, row) for row in rows(logger))
    assert one[0] == two[0] == pytest.approx(kept, rel=0.02)
    assert three[1]["train/loss"] == 0.5
    assert list(one[1])[3] == "train/" + next(iter(values))
    assert number_of_cuts(logger, limit) == 2 * (len(values) - one[0])
    assert caplog.text.count("the first value to be cut") == 1
    assert limit in caplog.text
    for counts in close_event(logger)["writers"].values():
        assert counts["written"] == counts["offered"] == 3


def test_a_text_beyond_its_limit_is_cut_and_counted(make, caplog):
    memory = Memory()
    logger = make(memory)
    with caplog.at_level(logging.WARNING, "jaxmetrics"):
        for step in (1, 2):
            logger.log_text(step, note="x" * 2**17, short="y")
            logger.log_table(step, t=(["a"], [["x" * 2**17]]))
        logger.close()
    note, short = memory.records[0].values.values()
    assert len(note) == 2**16 and note.endswith("characters>") and short == "y"
    assert number_of_cuts(logger, "65536 characters") == 4
    assert caplog.text.count("the first value to be cut") == 1


def test_a_key_beyond_its_limit_is_refused(make):
    logger = make()
    with pytest.raises(ValueError, match="of 300 characters"):
        logger.log_step(1, {"k" * 300: 1.0, "loss": 0.5})
    logger.close()
    assert list(rows(logger)[0])[3:] == ["train/loss"]


def test_a_configuration_beyond_its_limits_is_cut_with_one_warning(make, caplog):
    large = {f"n{n}": n for n in range(12_000)}
    logger = make(hparams={"lr": 0.5, "large": large, "long": "x" * 100_000})
    (warned,) = caplog.messages
    assert "65536 characters" in warned
    assert "10000 values" in warned
    hparams = hparams_of(json.loads((logger.run_dir / "run.json").read_text()))
    assert hparams["lr"] == 0.5 and len(hparams["large"]) < 10_001


def test_conversions_of_unknown_objects_are_not_called(make):
    called = []

    class Lazy:
        def refuse(self, *_):
            called.append(1)
            raise RuntimeError("owned")

        __repr__ = __str__ = __format__ = __iter__ = __len__ = __bool__ = refuse
        __float__ = __int__ = __eq__ = __hash__ = refuse

    lazy = Lazy()
    cycle = {"lr": 0.5, "lazy": lazy, "list": [lazy]}
    cycle["self"] = cycle
    logger = make(TensorBoard(), hparams=cycle)
    logger.log_table(1, t=(["a", lazy], [[lazy, 1]]))
    logger.ledger.event("note", what=lazy)
    for call in (
        lambda: logger.log_step(1, loss=lazy),
        lambda: logger.log_step(1, lazy),
        lambda: logger.log_text(1, note=lazy),
    ):
        with pytest.raises(TypeError):
            call()
    assert logger.close()
    assert not called
    run = json.loads((logger.run_dir / "run.json").read_text())
    shown = f"<type {__name__}.{Lazy.__qualname__}>"
    expected = {"lr": 0.5, "lazy": shown, "list": [shown], "self": "<cycle>"}
    assert hparams_of(run) == expected
    table = rows(logger)[0]["train/t"]
    assert table == {"columns": ["a", shown], "rows": [[shown, 1]]}


OPEN = """
import os, sys
os.umask(0)
from jaxmetrics import TrainingLogger
from jaxmetrics.writers import CSV, TensorBoard
for name in ("run", None):
    with TrainingLogger("p", name, root=sys.argv[1] + "/a/b",
                        writers=[CSV(), TensorBoard()]) as logger:
        logger.log_step(1, loss=0.5)
        logger.log_step(2, more=0.5)
"""


def test_files_are_not_writable_by_others(tmp_path):
    finished = run_python(OPEN, tmp_path)
    assert finished.returncode == 0, finished.stderr
    created = list(tmp_path.rglob("*"))
    assert {path.name for path in created} >= {"a", "tensorboard", "run.json"}
    for path in created:
        assert not path.stat().st_mode & 0o022, path


def test_temporary_names_cannot_be_predicted(tmp_path, monkeypatch):
    names, replace = [], os.replace

    def recorded_replace(source, target):
        names.append(Path(source).name)
        replace(source, target)

    monkeypatch.setattr(os, "replace", recorded_replace)
    for _ in range(2):
        atomic_write(tmp_path / "run.json", b"{}")
    assert len(set(names)) == 2
    assert all(len(name) > len("run.json") + 16 for name in names)
