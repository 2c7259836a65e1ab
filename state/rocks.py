"""A partition's store on RocksDB: one directory, one write-ahead log, one WriteBatch a write.

No write waits for the disk: the changelog is the truth, and what a machine loses with its power is restored
from it. What was written survives the death of the process (the log lies with the operating system), and
because users, next offsets and the changelog position share a batch, what survives a power loss is an older
but whole state.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from rocksdict import (
    BlockBasedOptions,
    BottommostLevelCompaction,
    Cache,
    CompactOptions,
    DBCompressionType,
    Options,
    Rdict,
    WriteBatch,
    WriteBufferManager,
)

from state.errors import StoreError

MEBIBYTE: Final = 2**20
SCAN_PAGE: Final = 1000
"""So many entries are read at a time when everything is read."""

# One of each for all partitions of the process, so that memory does not grow with the partitions.
_BLOCK_CACHE: Final = Cache(32 * MEBIBYTE)
_WRITE_BUFFERS: Final = WriteBufferManager(16 * MEBIBYTE, False)


class RocksStore:
    """A UserStore in the RocksDB of one directory, which is made if it is not there.

    Opening raises StoreError if another process has the directory, or if what lies there is damaged.
    """

    def __init__(self, path: Path | str) -> None:
        self._path = Path(path)
        self._db: Rdict | None = self._open()

    def _open(self) -> Rdict:
        with self._attempt("open"):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            return Rdict(str(self._path), _options())

    def get(self, key: bytes) -> bytes | None:
        """Return the value of a key, None if there is none."""
        with self._attempt("read"):
            value: bytes | None = self._database().get(key)
            return value

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the values of these keys, in their order."""
        with self._attempt("read"):
            values: list[bytes | None] = self._database().get(list(keys))
            return values

    def write(self, changes: Mapping[bytes, bytes | None]) -> None:
        """Set these keys to these values, None deletes: all of them or none.

        After a write that failed, every further one fails until the store was closed and opened again.
        """
        batch = WriteBatch(raw_mode=True)
        for key, value in changes.items():
            if value is None:
                batch.delete(key)
            else:
                batch.put(key, value)
        with self._attempt("write"):
            self._database().write(batch)

    def scan(self, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Yield every key that begins with the prefix, and its value, in order."""
        page = self._page(prefix, prefix)
        while page:
            yield from page
            page = self._page(prefix, page[-1][0] + b"\0")

    def _page(self, prefix: bytes, start: bytes) -> list[tuple[bytes, bytes]]:
        """Read the next entries; an iterator that outlives its page would keep the database open."""
        page: list[tuple[bytes, bytes]] = []
        with self._attempt("read"):
            iterator = self._database().iter()
            try:
                iterator.seek(start)
                while len(page) < SCAN_PAGE and iterator.valid() and iterator.key().startswith(prefix):
                    page.append((iterator.key(), iterator.value()))
                    iterator.next()
                iterator.status()  # a damaged file ends the iteration like the last entry does, but for this
            finally:
                del iterator
        return page

    def compact(self) -> None:
        """Rewrite the files without what was deleted or replaced; reading and writing go on meanwhile."""
        with self._attempt("compact"):
            self._database().flush()
            self._database().compact_range(None, None, _thoroughly())

    def wipe(self) -> None:
        """Forget everything: the files are removed, and the database is made anew."""
        self._database()
        self.close()
        with self._attempt("wipe"):
            Rdict.destroy(str(self._path), _options())
        self._db = self._open()

    def close(self) -> None:
        """Let go of the directory: when this returns, another process can have it."""
        database, self._db = self._db, None
        if database is not None:
            # It closes even if it cannot flush (a full disk): what was written lies in the write-ahead log.
            with suppress(Exception):
                database.close()

    def approximate_bytes(self) -> int:
        """Return the bytes of the files and of what is not in one yet."""
        with self._attempt("read"):
            database = self._database()
            files: int = database.property_int_value("rocksdb.total-sst-files-size")
            memory: int = database.property_int_value("rocksdb.cur-size-all-mem-tables")
            return files + memory

    def _database(self) -> Rdict:
        if self._db is None:
            raise StoreError(f"the database in {self._path} was closed; open it again")
        return self._db

    @contextmanager
    def _attempt(self, verb: str) -> Iterator[None]:
        """Say what a failure means: RocksDB's are bare Exceptions."""
        try:
            yield
        except (StoreError, MemoryError):
            raise
        except Exception as error:
            what = str(error).strip().partition("\n")[0].rstrip(".")
            raise StoreError(f"cannot {verb} the database in {self._path}: {what}; {_advice(what)}") from None


_ADVICE: Final = {
    "corruption": "remove this directory: it is restored from the changelog",
    "lock file": "another process has it: stop that one, or give this one a data directory of its own",
    "no space left": "make room on its disk and start again",
    "file too large": "make room on its disk and start again",
    "lock hold": "close the other store of this directory first",
    "permission denied": "see to it that this process may write there",
    "read-only": "see to it that this process may write there",
}


def _advice(what: str) -> str:
    """Return what to do about a failure of RocksDB."""
    words = what.lower()
    return next((advice for sign, advice in _ADVICE.items() if sign in words), "its file LOG may say more")


def _thoroughly() -> CompactOptions:
    """Also rewrite the lowest level, where the mark of a deletion, with its key, would otherwise stay."""
    options = CompactOptions()
    options.set_bottommost_level_compaction(BottommostLevelCompaction.force())
    return options


def _options() -> Options:
    blocks = BlockBasedOptions()
    blocks.set_block_cache(_BLOCK_CACHE)
    blocks.set_bloom_filter(10, False)
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_block_based_table_factory(blocks)
    options.set_write_buffer_manager(_WRITE_BUFFERS)
    options.set_write_buffer_size(8 * MEBIBYTE)
    options.set_max_write_buffer_number(2)
    options.set_max_background_jobs(2)
    options.set_max_open_files(256)
    options.set_compression_type(DBCompressionType.lz4())
    options.set_keep_log_file_num(2)
    options.set_max_log_file_size(MEBIBYTE)
    return options
