"""Two datasets that every machine with Python has: its code and its prose."""

from __future__ import annotations

import ast
import codecs
import importlib.util
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import numpy as np

DATASETS = ("code", "prose")
VOCABULARY = 256
_MAX_BYTES = 1_000_000
_HELD_OUT_EVERY = 20


class Text:
    """Sequences of bytes from Python's standard library, from two datasets.

    `code` are its sources, `prose` its licence, its language reference and its
    docstrings. One sequence in 20 is held out for validation.

    Args:
      length: Bytes a sequence; it has one more, so that each byte has a next one.
      folder: Where the library is; None is that of this Python.

    Raises:
      RuntimeError: The library comes without its sources.
    """

    def __init__(self, length: int, folder: Path | None = None) -> None:
        folder = folder or Path(sysconfig.get_path("stdlib"))
        sources = sorted(folder.glob("*.py"))
        self._train: dict[str, np.ndarray] = {}
        self._held_out: dict[str, np.ndarray] = {}
        for name, pieces in zip(DATASETS, (_code(sources), _prose(folder, sources))):
            sequences = _sequences(pieces, length + 1)
            if len(sequences) < 10 * _HELD_OUT_EVERY:
                raise RuntimeError(
                    f"The demo found {len(sequences)} sequences of {name} in {folder}, "
                    f"expected at least {10 * _HELD_OUT_EVERY}. Run it with a Python "
                    "that has the sources of its standard library."
                )
            held_out = np.arange(len(sequences)) % _HELD_OUT_EVERY == 0
            self._train[name] = sequences[~held_out]
            self._held_out[name] = sequences[held_out]

    def batch(self, seed: int, step: int, size: int) -> dict[str, np.ndarray]:
        """The batch of a step, the same whenever it is asked for.

        Args:
          seed: Of the run.
          step: Optimizer updates completed.
          size: Sequences, a multiple of two.

        Returns:
          `tokens` int32 `[size, length + 1]`, and for each dataset a mask `[size]`
          under its name.
        """
        rng = np.random.default_rng([seed, step])
        half = size // len(DATASETS)
        return _mixed(
            {
                name: sequences[rng.integers(len(sequences), size=half)]
                for name, sequences in self._train.items()
            }
        )

    def held_out(self, count: int, size: int) -> list[dict[str, np.ndarray]]:
        """Batches for validation: `count` sequences of each dataset, evenly spread."""
        chosen = {}
        for name, sequences in self._held_out.items():
            at = np.linspace(0, len(sequences) - 1, count).astype(int)
            chosen[name] = sequences[at]
        half = size // len(DATASETS)
        starts = range(0, count, half)
        return [_mixed({n: s[i : i + half] for n, s in chosen.items()}) for i in starts]


def _mixed(parts: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """One batch of all datasets in turn, so that every device gets of each."""
    tokens = np.stack([parts[name] for name in DATASETS], axis=1)
    tokens = tokens.reshape(-1, tokens.shape[-1]).astype(np.int32)
    turn = np.arange(len(tokens)) % len(DATASETS)
    return {"tokens": tokens} | {n: turn == i for i, n in enumerate(DATASETS)}


def _sequences(pieces: Iterator[bytes], length: int) -> np.ndarray:
    text = bytearray()
    for piece in pieces:
        text += piece + b"\n\n"
        if len(text) >= _MAX_BYTES:
            break
    count = min(len(text), _MAX_BYTES) // length
    return np.frombuffer(bytes(text), np.uint8, count * length).reshape(count, length)


def _code(sources: list[Path]) -> Iterator[bytes]:
    return (path.read_bytes() for path in sources)


def _prose(folder: Path, sources: list[Path]) -> Iterator[bytes]:
    for path in (folder / "LICENSE.txt", folder / "LICENSE"):
        if path.exists():
            yield path.read_bytes()
    if importlib.util.find_spec("pydoc_data.topics") is not None:
        topics = importlib.import_module("pydoc_data.topics").topics
        yield from (topics[name].encode() for name in sorted(topics))
    for path in sources:
        tree = ast.parse(path.read_bytes())
        if path.name == "this.py":
            yield _zen(tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                yield (ast.get_docstring(node) or "").encode()


def _zen(tree: ast.Module) -> bytes:
    """The Zen of Python, which its module keeps enciphered, and importing prints."""
    constants = (n.value for n in ast.walk(tree) if isinstance(n, ast.Constant))
    text = next(value for value in constants if isinstance(value, str))
    return codecs.decode(text, "rot13").encode()
