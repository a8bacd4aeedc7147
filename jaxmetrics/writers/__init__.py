"""Writers of a run's records: console, JSON lines, CSV, TensorBoard, W&B, memory.

All take `every=`, `keys=` and `rename=`. To write another one, derive from `Writer`;
`jaxmetrics.record` has the types that it receives.
"""

from jaxmetrics.writers._console import Console
from jaxmetrics.writers._csv import CSV
from jaxmetrics.writers._jsonl import JSONL
from jaxmetrics.writers._memory import Memory
from jaxmetrics.writers._settings import WriterSettings
from jaxmetrics.writers._tensorboard import TensorBoard
from jaxmetrics.writers._wandb import WandB
from jaxmetrics.writers._writer import Writer

__all__ = [
    "CSV",
    "Console",
    "JSONL",
    "Memory",
    "TensorBoard",
    "WandB",
    "Writer",
    "WriterSettings",
]
