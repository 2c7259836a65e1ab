"""Writes a log as a folder: interactions, items, and the true interests if somebody knows them."""

from contextlib import ExitStack, suppress
from gzip import GzipFile
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from streams.errors import ConfigurationError, FreshetError
from streams.events import Interaction, ItemListed, encode_item

EVENTS_FILE = "events.csv.gz"
ITEMS_FILE = "items.jsonl.gz"
INTERESTS_FILE = "interests.jsonl.gz"
HEADER = b"user_id,item_id,timestamp,action,value\n"
_LEVEL = 6


class LogWriter:
    """The three files of a new log in a folder: there together, or, if something fails, not at all.

    The same contents give the same bytes. Ids are written as they are: the shop's need no quotes. Raises
    ConfigurationError for a folder that cannot be made or already has a log, FreshetError for a full disk.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, GzipFile] = {}
        self._open = ExitStack()

    def __enter__(self) -> Self:
        names = (EVENTS_FILE, ITEMS_FILE, INTERESTS_FILE)
        for name in names:
            if (self._folder / name).exists():
                raise ConfigurationError(
                    f"{self._folder} already has {name}; name another folder, or remove it"
                )
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            for name in names:
                file = self._open.enter_context(self._part(name).open("wb"))
                # No name and no time inside, so that the same log is the same bytes.
                self._files[name] = self._open.enter_context(GzipFile("", "wb", _LEVEL, file, mtime=0))
        except OSError as error:
            self._discard()
            raise ConfigurationError(
                f"cannot write to {self._folder}: {error.strerror}; name another folder"
            ) from None
        self._write(EVENTS_FILE, HEADER)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._discard()
            return
        try:
            self._open.close()
            for name in self._files:
                self._part(name).replace(self._folder / name)
        except OSError as failure:
            self._discard()
            raise self._failed(failure) from None

    def interaction(self, interaction: Interaction) -> None:
        """Add an interaction."""
        user_id, item_id, action, timestamp_ms, value, _ = msgspec.structs.astuple(interaction)
        amount = "" if value is None else f"{value:g}"
        self._write(EVENTS_FILE, f"{user_id},{item_id},{timestamp_ms},{action},{amount}\n".encode())

    def item(self, item: ItemListed) -> None:
        """Add an item."""
        self._write(ITEMS_FILE, encode_item(item) + b"\n")

    def interest(self, changed: msgspec.Struct) -> None:
        """Add what is true of a user from a time on."""
        self._write(INTERESTS_FILE, msgspec.json.encode(changed) + b"\n")

    def _write(self, name: str, line: bytes) -> None:
        try:
            self._files[name].write(line)
        except OSError as error:
            raise self._failed(error) from None

    def _part(self, name: str) -> Path:
        return self._folder / f"{name}.part"

    def _discard(self) -> None:
        """Remove what was begun, but leave the folder."""
        with suppress(OSError):  # what does not fit is removed anyway
            self._open.close()
        for name in self._files:
            self._part(name).unlink(missing_ok=True)

    def _failed(self, error: OSError) -> FreshetError:
        return FreshetError(f"cannot write to {self._folder}: {error.strerror}; make room and try again")
