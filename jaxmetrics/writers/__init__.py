"""Writers: what becomes of a run's records.

Each has `open(run_dir, resume_step)`, `write(record)`, `flush()` and `close()`, and
takes `every=`, `keys=` and `rename=`.
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
