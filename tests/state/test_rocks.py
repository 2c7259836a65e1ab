"""What RocksDB adds to the laws of every store: it survives, and says what is wrong with it."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from state import RocksStore, StoreError
from state.rocks import SCAN_PAGE


def _child(program: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_what_was_written_is_there_after_reopening(tmp_path: Path) -> None:
    """A store that was closed has everything when it is opened again."""
    store = RocksStore(tmp_path / "new" / "partition-0")
    store.write({b"u1": b"1", b"u2": b"2"})
    store.write({b"u2": None})
    store.close()
    again = RocksStore(tmp_path / "new" / "partition-0")
    assert dict(again.scan()) == {b"u1": b"1"}
    again.close()


@pytest.mark.parametrize("seen_writes", [1, 40, 400])
def test_a_killed_process_leaves_whole_writes(tmp_path: Path, seen_writes: int) -> None:
    """After kill -9 in the middle of writes, every finished one is there, and none in part."""
    writer = """
        import sys
        from state import RocksStore
        store = RocksStore(sys.argv[1])
        for number in range(1, 1_000_000):
            value = b"%d " % number * 50
            store.write({b"user%02d" % key: value for key in range(50)} | {b"next": b"%d" % number})
            print(number, flush=True)
    """
    with _child(writer, str(tmp_path / "partition-0")) as child:
        assert child.stdout is not None
        finished = 0
        for line in child.stdout:
            finished = int(line)
            if finished >= seen_writes:
                child.send_signal(signal.SIGKILL)
        child.wait()
    store = RocksStore(tmp_path / "partition-0")
    number = int(store.get(b"next") or 0)
    assert finished <= number <= finished + 1
    assert {value for key, value in store.scan(b"user")} == {b"%d " % number * 50}
    assert len(list(store.scan())) == 51
    store.close()


def test_a_database_has_one_owner(tmp_path: Path) -> None:
    """A directory that another process has open is refused by name with advice, and free once it closes."""
    owner = """
        import sys
        from state import RocksStore
        store = RocksStore(sys.argv[1])
        print("open", flush=True)
        sys.stdin.read()
    """
    path = tmp_path / "partition-0"
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(owner), str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with child:
        assert child.stdout is not None
        assert child.stdin is not None
        child.stdout.readline()
        with pytest.raises(StoreError) as refusal:
            RocksStore(path)
        child.stdin.close()
    assert str(path) in str(refusal.value)
    assert "another process has it" in str(refusal.value)
    assert "\n" not in str(refusal.value)
    RocksStore(path).close()


def test_closing_frees_the_directory_at_once(tmp_path: Path) -> None:
    """After close the directory can be opened, even if a scan is left hanging or a read has failed."""
    store = RocksStore(tmp_path / "partition-0")
    store.write({b"u%05d" % number: b"1" for number in range(2 * SCAN_PAGE)})
    hanging = store.scan()
    next(hanging)
    with pytest.raises(StoreError) as failed:
        store.get(7)  # type: ignore[arg-type]
    store.close()
    RocksStore(tmp_path / "partition-0").close()
    assert "cannot read" in str(failed.value)
    hanging.close()


def _database_file(path: Path, pattern: str) -> Path:
    return next(path.glob(pattern))


def _damaged(path: Path, pattern: str) -> None:
    """Make a database with one table file, and overwrite the middle of a file of it."""
    store = RocksStore(path)
    store.write({b"u%05d" % number: os.urandom(500) for number in range(4000)})
    store.close()
    RocksStore(path).close()
    file = _database_file(path, pattern)
    content = bytearray(file.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 600] = b"?" * len(content[middle : middle + 600])
    file.write_bytes(content)


@pytest.mark.parametrize("pattern", ["CURRENT", "MANIFEST-*"])
def test_a_damaged_database_is_refused(tmp_path: Path, pattern: str) -> None:
    """A damaged directory is refused with its name, and with the advice to have it restored."""
    _damaged(tmp_path / "partition-0", pattern)
    with pytest.raises(StoreError, match="restored from the changelog") as refusal:
        RocksStore(tmp_path / "partition-0")
    assert str(tmp_path / "partition-0") in str(refusal.value)


def test_a_damaged_table_never_looks_like_the_end(tmp_path: Path) -> None:
    """A scan over a damaged file raises StoreError, rather than ending before the last key."""
    _damaged(tmp_path / "partition-0", "*.sst")
    store = RocksStore(tmp_path / "partition-0")
    with pytest.raises(StoreError, match="restored from the changelog"):
        list(store.scan())
    with pytest.raises(StoreError, match="restored from the changelog"):
        store.get_many([b"u%05d" % number for number in range(4000)])
    store.close()


def test_a_file_in_the_way_is_refused(tmp_path: Path) -> None:
    """A directory that cannot be made is one clear line."""
    (tmp_path / "data").write_text("")
    with pytest.raises(StoreError, match=r"cannot open the database in .*data"):
        RocksStore(tmp_path / "data" / "partition-0")


def test_a_full_disk_loses_nothing_that_was_written(tmp_path: Path) -> None:
    """On a full disk a write raises StoreError with advice; all finished ones are there after reopening."""
    writer = """
        import resource, sys
        from state import RocksStore, StoreError
        store = RocksStore(sys.argv[1])
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
        for number in range(1000):
            try:
                store.write({b"u%03d" % number: b"x" * 2000, b"last": b"%d" % number})
            except StoreError as error:
                print(number)
                print(error)
                break
        store.close()
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        store = RocksStore(sys.argv[1])
        print(store.get(b"last").decode())
        print(len(list(store.scan(b"u"))))
    """
    with _child(writer, str(tmp_path / "partition-0")) as child:
        output, errors = child.communicate()
    assert errors == ""
    failed, message, last, users = output.splitlines()
    assert "make room on its disk" in message
    assert int(last) == int(failed) - 1
    assert int(users) == int(failed)


def test_compaction_leaves_no_trace_of_what_was_deleted(tmp_path: Path) -> None:
    """Neither value nor key is in any file, but for RocksDB's own log of files, until it is opened again."""
    store = RocksStore(tmp_path / "store")
    for number in range(100):
        store.write({b"kept %d" % number: b"value"})
    store.write({b"deleted key": b"deleted value"})
    store.compact()
    store.write({b"deleted key": None})
    store.compact()

    def holders() -> list[str]:
        files = [file for file in (tmp_path / "store").iterdir() if file.is_file()]
        return [file.name for file in files if b"deleted" in file.read_bytes()]

    assert all(name.startswith("MANIFEST") for name in holders())
    store.close()
    again = RocksStore(tmp_path / "store")
    assert holders() == []
    assert again.get(b"kept 5") == b"value"
    again.close()
