"""Tell all open pages which runs have changed, with one look at the files a second."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

from jaxmetrics.record import EVENTS_JSONL, METRICS_JSONL, RUN_JSON
from jaxmetrics.runs.reading import FileState, file_state, version_of
from jaxmetrics.runs.view._cache import Loaded, RunCache
from jaxmetrics.runs.view._root import OTHER_FILES, Root, folders

MAX_CLIENTS = 64
_SECONDS = 1.0
_HEARTBEAT_SECONDS = 15.0
_READ_SECONDS = 0.2  # of a run that is shown
_QUIET_LOOKS = 120  # after so many looks without a change a run is quiet
_QUIET_RUNS = 100  # about so many of the quiet runs are checked per look


class Change(NamedTuple):
    """A run that changed.

    Attributes:
      id: Id of the run.
      version: Its version; None if the run is not there any more.
      reset: True if its record was cut back or replaced, so that all is loaded anew.
    """

    id: str
    version: str | None
    reset: bool


class _Seen:
    """State of the files of a run directory when they were last read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.files = [str(path / name) for name in (METRICS_JSONL, EVENTS_JSONL)]
        self.others = [str(path / name) for name in (RUN_JSON, *OTHER_FILES)]
        self.state: tuple[FileState, ...] = ()
        self.version = ""
        self.generation = 0
        self.quiet = 0

    def look(self) -> tuple[FileState, ...]:
        states = tuple(map(file_state, self.files))
        if states[0][0]:
            return states
        return (*states, *map(file_state, self.others))


class Watcher:
    """Looks for changes below a root while somebody listens.

    Folders are listed again only when they have changed. Of the runs that have not
    changed for two minutes, at most about 100 are checked each second, in turn.

    Args:
      root: Folder of the runs.
      cache: Runs in memory, which are read further when they have grown.
    """

    def __init__(self, root: Root, cache: RunCache) -> None:
        """Begin without clients."""
        self._root = root
        self._cache = cache
        self._clients: set[_Client] = set()
        self._task: asyncio.Task[None] | None = None
        self._is_ready = asyncio.Event()
        self._runs: dict[str, _Seen] = {}
        self._folders: dict[str, FileState] | None = None
        self._looks = 0
        self._is_stopped = False

    def stop(self) -> None:
        """End the streams of all clients."""
        self._is_stopped = True
        for client in self._clients:
            client.wake()

    @property
    def is_full(self) -> bool:
        """True if no further client can listen."""
        return len(self._clients) >= MAX_CLIENTS

    async def listen(self) -> AsyncIterator[list[Change]]:
        """Yield changes as they are found, and an empty list now and then.

        Changes that a slow client has not taken are joined, one for each run.
        """
        client = _Client()
        self._clients.add(client)
        try:
            if self._task is None:
                self._is_ready = asyncio.Event()
                self._task = asyncio.create_task(self._watch())
            await self._is_ready.wait()
            yield []
            while not self._is_stopped:
                yield await client.take(_HEARTBEAT_SECONDS)
        finally:
            self._clients.discard(client)
            if not self._clients and self._task is not None:
                self._task.cancel()
                self._task = None

    async def _watch(self) -> None:
        self._looks = 0  # look at quiet runs as well
        await asyncio.to_thread(self.look)  # what is there already is no change
        self._is_ready.set()
        while True:
            changes = await asyncio.to_thread(self.look)
            for client in self._clients:
                client.add(changes)
            await asyncio.sleep(_SECONDS)

    def look(self) -> list[Change]:
        """Look at the files once, and return the runs that changed."""
        changes = self._list_folders()
        shown = {loaded.id for loaded in self._cache}
        quiet, due = [], []
        for id, seen in self._runs.items():
            is_quiet = seen.quiet > _QUIET_LOOKS and id not in shown
            (quiet if is_quiet else due).append((id, seen))
        turns = -(-len(quiet) // _QUIET_RUNS) if self._looks else 1
        due += quiet[self._looks % turns :: turns] if quiet else []
        for id, seen in due:
            if (change := self._look_at(id, seen)) is not None:
                changes.append(change)
        self._looks += 1
        return changes

    def _look_at(self, id: str, seen: _Seen) -> Change | None:
        before, state = seen.state, seen.look()
        loaded = self._cache.peek(id)
        if state == before:
            seen.quiet += 1
            if loaded is None:
                return None
        else:
            seen.state, seen.quiet = state, 0
        is_first = not before
        if is_first and time.time() - state[0][2] / 1e9 > _QUIET_LOOKS:
            seen.quiet = _QUIET_LOOKS + 1
        if not any(one[0] for one in state):
            is_known, seen.version = bool(seen.version), ""
            return Change(id, None, False) if is_known else None
        reset = not is_first and bool(before[0][0]) and _was_cut(before[0], state[0])
        if loaded is not None:
            with contextlib.suppress(OSError, ValueError):
                self._root.folder(seen.path)  # a run in a mirror is copied again
                self._cache.update(loaded, _READ_SECONDS)
            generation = loaded.growing.generation
            reset = reset or generation != seen.generation
            seen.generation = generation
        version = _version(state, loaded)
        if version == seen.version:
            return None
        seen.version = version
        return Change(id, version, reset)

    def _list_folders(self) -> list[Change]:
        """List the folders anew if one of them has changed."""
        known = self._folders
        if known is not None and all(
            file_state(path) == state for path, state in known.items()
        ):
            return []
        paths = [self._root.path, *folders(self._root.path)]
        self._folders = {str(path): file_state(path) for path in paths}
        listed = dict(self._root.candidates())
        gone = [id for id in self._runs if id not in listed]
        changes = [Change(id, None, False) for id in gone if self._runs.pop(id).version]
        for id, path in listed.items():
            if id not in self._runs:
                self._runs[id] = _Seen(path)
        return changes


class _Client:
    """Changes that one client has not taken yet."""

    def __init__(self) -> None:
        self._waiting: dict[str, Change] = {}
        self._event = asyncio.Event()

    def wake(self) -> None:
        self._event.set()

    def add(self, changes: list[Change]) -> None:
        for change in changes:
            earlier = self._waiting.get(change.id)
            reset = change.reset or (earlier is not None and earlier.reset)
            self._waiting[change.id] = change._replace(reset=reset)
        if changes:
            self._event.set()

    async def take(self, seconds: float) -> list[Change]:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._event.wait(), seconds)
        self._event.clear()
        changes, self._waiting = list(self._waiting.values()), {}
        return changes


def _was_cut(before: FileState, after: FileState) -> bool:
    return before[0] != after[0] or after[1] < before[1]


def _version(state: tuple[FileState, ...], loaded: Loaded | None) -> str:
    if loaded is not None:
        return loaded.growing.version
    return version_of(state[:2] if state[0][0] or state[1][0] else state)
