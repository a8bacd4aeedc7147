"""Errors that keep the problem apart from the advice.

`str(error)` gives both, with the advice in terms of Python arguments, such as
`overwrite=True`. The command line has options instead: it takes `problem` and adds its
own advice (`--force`), without parsing the text.
"""

from __future__ import annotations

import os
from pathlib import Path


class ExistingFileError(FileExistsError):
    """A file exists and may be replaced only on request.

    Attributes:
      path: The file.
      problem: One sentence about the file, without advice.
    """

    def __init__(self, path: str | os.PathLike[str], problem: str) -> None:
        """Store the parts, and build the message."""
        self.path: Path = Path(path)
        self.problem = problem
        super().__init__(
            f"{problem} Move it away, choose another path, or pass overwrite=True to "
            f"replace it."
        )

    def __reduce__(self) -> tuple[type, tuple[Path, str]]:
        """Pickle the parts, not the message."""
        return type(self), (self.path, self.problem)


class RunNotFoundError(FileNotFoundError):
    """No run has the requested name.

    Attributes:
      problem: One sentence that names the run and the places searched.
      suggestion: One sentence that names a similar or the latest run; None if there
        are no runs at all.
    """

    def __init__(self, problem: str, suggestion: str | None = None) -> None:
        """Store the parts, and build the message."""
        self.problem = problem
        self.suggestion = suggestion
        advice = suggestion or (
            "Give a run directory, such as runs/<project>/<run_name>, or pass the "
            "folder of all projects as root=."
        )
        super().__init__(f"{problem} {advice}")

    def __reduce__(self) -> tuple[type, tuple[str, str | None]]:
        """Pickle the parts, not the message."""
        return type(self), (self.problem, self.suggestion)


class UnknownDirectionError(ValueError):
    """It is not known whether higher or lower values of a metric are better.

    Attributes:
      key: The key of the metric.
      problem: One sentence that names the key.
    """

    def __init__(self, key: str, what: str = "a target for ") -> None:
        """Store the parts, and build the message.

        Args:
          key: The key.
          what: What the key was given as.
        """
        self.key = key
        self.what = what
        self.problem: str = (
            f"compare() got {what}{key!r}, of which neither the name nor the metric "
            f"says whether higher or lower values are better."
        )
        super().__init__(f"{self.problem} Pass better={{{key!r}: 'min'}} or 'max'.")

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        """Pickle the parts, not the message."""
        return type(self), (self.key, self.what)
