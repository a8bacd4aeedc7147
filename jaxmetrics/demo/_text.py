"""Two datasets that come with Python: its source code and its prose."""

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
    """Byte sequences from two datasets of Python's standard library.

    `code` has the sources, `prose` the licence, the language reference and the
    docstrings. One sequence in 20 is held out for validation.

    Args:
      length: Bytes per sequence. Each has one more, so that every byte has a next one.
      folder: Folder of the library. Default: that of this Python.

    Raises:
      RuntimeError: The library has no sources.
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
        """Return the batch of a step; it depends on seed and step alone.

        Args:
          seed: Seed of the run.
          step: Number of completed optimizer steps.
          size: Number of sequences, a multiple of two.

        Returns:
          `tokens` int32 `[size, length + 1]`, and a mask `[size]` for each dataset by
          its name.
        """
        rng = np.random.default_rng([seed, step])
        half = size // len(DATASETS)
        return _interleaved(
            {
                name: sequences[rng.integers(len(sequences), size=half)]
                for name, sequences in self._train.items()
            }
        )

    def held_out(self, count: int, size: int) -> list[dict[str, np.ndarray]]:
        """Return batches of `count` held-out sequences of each dataset."""
        selected = {}
        for name, sequences in self._held_out.items():
            indices = np.linspace(0, len(sequences) - 1, count).astype(int)
            selected[name] = sequences[indices]
        half = size // len(DATASETS)
        return [
            _interleaved({name: x[i : i + half] for name, x in selected.items()})
            for i in range(0, count, half)
        ]


def _interleaved(parts: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return a batch with the datasets in turn, so that every device gets both."""
    tokens = np.stack([parts[name] for name in DATASETS], axis=1)
    tokens = tokens.reshape(-1, tokens.shape[-1]).astype(np.int32)
    dataset = np.arange(len(tokens)) % len(DATASETS)
    masks = {name: dataset == i for i, name in enumerate(DATASETS)}
    return {"tokens": tokens} | masks


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
    """Return the Zen of Python, which its module enciphers and prints on import."""
    constants = (n.value for n in ast.walk(tree) if isinstance(n, ast.Constant))
    text = next(value for value in constants if isinstance(value, str))
    return codecs.decode(text, "rot13").encode()
