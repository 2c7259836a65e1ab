"""A worker whose disk does as a file says.

The file has a number, the seconds that every write of users takes longer, or what the operating system says
of a write that failed. Like RocksDB, a store on which a write failed takes none until it was opened again.
"""

import time
from collections.abc import Mapping
from pathlib import Path

from state import RocksStore, StoreError
from streams.cli import main


def install(control: Path) -> None:
    """Let every store of this process ask the file before it writes."""
    write = RocksStore.write
    broken: set[int] = set()

    def asked(store: RocksStore, changes: Mapping[bytes, bytes | None]) -> None:
        told = control.read_text(encoding="utf-8").strip() or "0"
        if not told.replace(".", "").isdigit():
            broken.add(id(store))
            raise StoreError(f"cannot write the database: IO error: {told}")
        if id(store) in broken:
            raise StoreError("cannot write the database: it failed before and was not opened again")
        time.sleep(float(told))
        write(store, changes)

    opened = RocksStore.__init__

    def reopened(store: RocksStore, path: Path | str) -> None:
        broken.discard(id(store))
        opened(store, path)

    RocksStore.write = asked  # type: ignore[method-assign]
    RocksStore.__init__ = reopened  # type: ignore[method-assign]


def run_on_disk(control: Path, words: list[str]) -> None:
    """Run a command of Freshet's whose stores ask the file; for a process of its own."""
    install(control)
    main(words)
