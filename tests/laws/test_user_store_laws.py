"""What every UserStore promises, on every UserStore."""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from state import MemoryStore, RocksStore, StoreError, UserStore
from state.rocks import SCAN_PAGE

OPENERS: dict[str, Callable[[Path], UserStore]] = {
    "memory": lambda _: MemoryStore(),
    "rocks": lambda directory: RocksStore(directory / "partition-0"),
}

keys = st.binary(max_size=4)
values = st.binary(max_size=40)
changes = st.dictionaries(keys, st.none() | values, max_size=8)


@pytest.fixture(params=OPENERS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[UserStore]:
    """Every kind of store, empty."""
    opened = OPENERS[request.param](tmp_path)
    yield opened
    opened.close()


class _StoreLikeDict(RuleBasedStateMachine):
    """A store answers like a dict of the same writes, whatever the order of writes, wipes and reopenings."""

    opener: Callable[[Path], UserStore]
    survives_closing: bool

    written = Bundle("written")

    @initialize()
    def start(self) -> None:
        self.directory = tempfile.TemporaryDirectory()
        self.store = self.opener(Path(self.directory.name))
        self.expected: dict[bytes, bytes] = {}

    @rule(target=written, batch=changes)
    def write(self, batch: dict[bytes, bytes | None]) -> list[bytes]:
        self.store.write(batch)
        for key, value in batch.items():
            if value is None:
                self.expected.pop(key, None)
            else:
                self.expected[key] = value
        return list(batch)

    @rule(known=written, others=st.lists(keys, max_size=3))
    def read(self, known: list[bytes], others: list[bytes]) -> None:
        asked = [*others, *known, *known]
        assert self.store.get_many(asked) == [self.expected.get(key) for key in asked]
        for key in asked:
            assert self.store.get(key) == self.expected.get(key)

    @rule(prefix=st.binary(max_size=2))
    def scan(self, prefix: bytes) -> None:
        inside = sorted(pair for pair in self.expected.items() if pair[0].startswith(prefix))
        assert list(self.store.scan(prefix)) == inside

    @rule()
    def wipe(self) -> None:
        self.store.wipe()
        self.expected = {}

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.store = self.opener(Path(self.directory.name))
        if not self.survives_closing:
            self.expected = {}

    @invariant()
    def holds_the_same(self) -> None:
        assert dict(self.store.scan()) == self.expected

    def teardown(self) -> None:
        self.store.close()
        self.directory.cleanup()


class _MemoryLikeDict(_StoreLikeDict):
    opener = staticmethod(OPENERS["memory"])
    survives_closing = False


class _RocksLikeDict(_StoreLikeDict):
    opener = staticmethod(OPENERS["rocks"])
    survives_closing = True


TestMemoryLikeDict = _MemoryLikeDict.TestCase
TestRocksLikeDict = _RocksLikeDict.TestCase
TestMemoryLikeDict.settings = TestRocksLikeDict.settings = settings(
    max_examples=12, stateful_step_count=15, deadline=None
)


def test_a_store_starts_empty(store: UserStore) -> None:
    """A new store has no key."""
    assert list(store.scan()) == []
    assert store.get(b"u1") is None
    assert store.get_many([b"u1", b"u2"]) == [None, None]


def test_reading_nothing_gives_nothing(store: UserStore) -> None:
    """No keys have no values, and an empty write changes nothing."""
    store.write({})
    assert store.get_many([]) == []


def test_an_empty_value_is_a_value(store: UserStore) -> None:
    """An empty value is told from no value."""
    store.write({b"u1": b""})
    assert store.get(b"u1") == b""


def test_a_write_is_all_or_nothing(store: UserStore) -> None:
    """A write whose changes turn out unreadable half-way leaves the store as it was."""

    class Breaking(Mapping[bytes, bytes | None]):
        def __iter__(self) -> Iterator[bytes]:
            return iter((b"u1", b"u2"))

        def __len__(self) -> int:
            return 2

        def __getitem__(self, key: bytes) -> bytes:
            if key == b"u2":
                raise RuntimeError("half-way")
            return b"new"

    store.write({b"u1": b"old"})
    with pytest.raises(RuntimeError, match="half-way"):
        store.write(Breaking())
    assert dict(store.scan()) == {b"u1": b"old"}


def test_a_scan_goes_beyond_its_pages(store: UserStore) -> None:
    """However many keys have a prefix, a scan yields each once, in order, and no other."""
    inside = {b"u%05d" % number: b"%d" % number for number in range(2 * SCAN_PAGE + 1)}
    store.write({**inside, b"t": b"before", b"v": b"behind"})
    assert list(store.scan(b"u")) == sorted(inside.items())


def test_writing_during_a_scan_is_allowed(store: UserStore) -> None:
    """What is not written during a scan is yielded exactly once, even if the scan sees the store change."""
    untouched = {b"u%05d" % number: b"old" for number in range(SCAN_PAGE + 10)}
    store.write(untouched)
    seen = []
    for key, _ in store.scan():
        seen.append(key)
        store.write({b"a%d" % len(seen): b"new"})
    assert [key for key in seen if key in untouched] == sorted(untouched)


def test_approximate_bytes_follow_what_is_stored(store: UserStore) -> None:
    """A store says that it is larger after a megabyte was written to it."""
    before = store.approximate_bytes()
    store.write({b"u%d" % number: bytes(range(256)) * 4 for number in range(1024)})
    assert store.approximate_bytes() > before + 2**19


@pytest.mark.parametrize(
    "use",
    [
        lambda store: store.get(b"u1"),
        lambda store: store.get_many([b"u1"]),
        lambda store: store.write({b"u1": b"1"}),
        lambda store: list(store.scan()),
        lambda store: store.wipe(),
        lambda store: store.approximate_bytes(),
    ],
    ids=["get", "get_many", "write", "scan", "wipe", "approximate_bytes"],
)
def test_a_closed_store_says_so(store: UserStore, use: Callable[[UserStore], object]) -> None:
    """Every use of a closed store raises StoreError; closing it again does not."""
    store.close()
    with pytest.raises(StoreError, match="was closed"):
        use(store)
    store.close()


def test_closing_ends_a_scan(store: UserStore) -> None:
    """A scan that is under way when the store is closed raises StoreError instead of going on."""
    store.write({b"u%05d" % number: b"1" for number in range(SCAN_PAGE + 1)})
    scan = store.scan()
    next(scan)
    store.close()
    with pytest.raises(StoreError, match="was closed"):
        list(scan)
