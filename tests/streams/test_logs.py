"""Logs in files: what was written is read, and what is wrong is said with its file and line."""

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.errors import ConfigurationError, FreshetError
from streams.events import ACTIONS, Interaction, ItemListed
from streams.logs import BadLine, LogWriter, read_items, read_log, read_relations
from streams.logs.lines import split_csv

HEADER = "user_id,item_id,timestamp,action,value\n"
GOOD = "u1,i1,1700000000000,click,\n"


def _file(folder: Path, content: str | bytes, name: str = "events.csv") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_csv_is_read_in_the_order_of_the_file(tmp_path: Path) -> None:
    """Each line is an interaction; what is empty is absent, and a quantity is a number."""
    path = _file(tmp_path, HEADER + "u1,i1,1700000000000,purchase,2\n7,8,1600000000000,,\n")
    assert list(read_log(path)) == [
        Interaction("u1", "i1", "purchase", 1_700_000_000_000, 2.0),
        Interaction("7", "8", "click", 1_600_000_000_000),
    ]


def test_json_lines_are_read(tmp_path: Path) -> None:
    """Integers are ids, too, and times may be ISO 8601."""
    path = _file(
        tmp_path,
        '{"user_id": 7, "item_id": "i", "timestamp": 1700000000000, "action": "cart", "value": 1.5, "x": 1}\n'
        '{"user_id": "u", "item_id": 8, "timestamp": "2023-11-14T22:13:20Z", "event_id": "e"}\n',
    )
    assert list(read_log(path)) == [
        Interaction("7", "i", "cart", 1_700_000_000_000, 1.5),
        Interaction("u", "8", "click", 1_700_000_000_000, None, "e"),
    ]


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_how_the_file_was_saved_does_not_matter(
    tmp_path: Path, compress: bool, line_end: str, mark: str
) -> None:
    """Compression, line ends, a byte order mark, blank lines and the order of columns are all the same."""
    text = mark + "item_id,timestamp,extra,user_id\n\ni1,1700000000000,x,u1\n\n".replace("\n", line_end)
    content = gzip.compress(text.encode()) if compress else text.encode()
    assert list(read_log(_file(tmp_path, content, "any.name"))) == [
        Interaction("u1", "i1", "click", 1_700_000_000_000)
    ]


def test_times_are_milliseconds_however_small(tmp_path: Path) -> None:
    """A number that would be seconds on the wire is milliseconds in a log."""
    path = _file(tmp_path, HEADER + "u1,i1,1000,click,\n")
    assert [interaction.timestamp_ms for interaction in read_log(path)] == [1000]


def test_a_limit_stops_the_reading(tmp_path: Path) -> None:
    """No more than the limit is read: what is wrong behind it does not matter."""
    path = _file(tmp_path, HEADER + GOOD * 3 + "broken\n")
    assert len(list(read_log(path, limit=3))) == 3


BAD_LINES = {
    "u1,i1,1700000000000,click": "expected 5 fields, found 4",
    "u1,i1,1700000000000,click,,": "expected 5 fields, found 6",
    ",i1,1700000000000,click,": "user_id: expected a string of 1 to 256 bytes",
    "u1,,1700000000000,click,": "item_id: expected a string of 1 to 256 bytes",
    f"{'u' * 257},i1,1700000000000,click,": "user_id: expected a string of 1 to 256 bytes",
    "u1,i1,,click,": "timestamp: expected milliseconds",
    "u1,i1,soon,click,": "timestamp: expected",
    "u1,i1,-5,click,": "timestamp: expected a time since 1970",
    "u1,i1,nan,click,": "timestamp: expected a time since 1970",
    "u1,i1,99999999999999999999,click,": "timestamp: expected a time since 1970",
    "u1,i1,1700000000000,dance,": "action: expected one of click, cart, favorite, purchase, found 'dance'",
    "u1,i1,1700000000000,click,much": "value: expected a finite number",
    "u1,i1,1700000000000,click,inf": "value: expected a finite number",
    'u1,"i1,1700000000000,click,': "quotes do not match",
    "u\udcff,i1,1700000000000,click,": "user_id: expected a string of whole Unicode characters",
}


@pytest.mark.parametrize("line", BAD_LINES)
def test_a_bad_line_is_named_and_the_rest_goes_on(tmp_path: Path, line: str) -> None:
    """A bad line is told with file, line, field and what was expected; the lines around it are read."""
    path = _file(tmp_path, (HEADER + GOOD + line + "\n" + GOOD).encode(errors="surrogateescape"))
    bad: list[BadLine] = []
    assert len(list(read_log(path, on_bad_line=bad.append))) == 2
    assert [(entry.path, entry.line) for entry in bad] == [(path, 3)]
    assert BAD_LINES[line] in str(bad[0])
    assert str(bad[0]).startswith(f"{path}, line 3: ")
    with pytest.raises(FreshetError, match="line 3: "):
        list(read_log(path))


BAD_JSON = {
    "[1]": "json: expected an object",
    '{"user_id": "u1"': "json: expected an object",
    '{"user_id": "u1", "item_id": "i1"}': "timestamp: expected milliseconds",
    '{"user_id": true, "item_id": "i1", "timestamp": 1}': "user_id: expected",
    '{"user_id": "u1", "item_id": {}, "timestamp": 1}': "item_id: expected",
    '{"user_id": "u1", "item_id": "i1", "timestamp": []}': "timestamp: expected",
    '{"user_id": "u1", "item_id": "i1", "timestamp": 1, "action": 3}': "action: expected one of",
    '{"user_id": "u1", "item_id": "i1", "timestamp": 1, "action": ["click"]}': "action: expected one of",
    '{"user_id": "u1", "item_id": "i1", "timestamp": 1, "value": true}': "value: expected a finite number",
    '{"user_id": "u1", "item_id": "i1", "timestamp": 1, "event_id": 1.5}': "event_id: expected",
    "[" * 5000: "json: expected an object",
}


@pytest.mark.parametrize("line", BAD_JSON, ids=lambda line: line[:60])
def test_a_bad_json_line_is_named(tmp_path: Path, line: str) -> None:
    """The same for JSON lines."""
    good = '{"user_id": "u1", "item_id": "i1", "timestamp": 1700000000000}\n'
    bad: list[BadLine] = []
    path = _file(tmp_path, good + line + "\n" + good)
    assert len(list(read_log(path, on_bad_line=bad.append))) == 2
    assert [entry.line for entry in bad] == [2]
    assert BAD_JSON[line] in str(bad[0])


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b"some text\n", "expected a header with user_id,item_id,timestamp, found 'some text'"),
        (b"user_id,timestamp\n", "expected a header"),
        (b'"user_id,item_id,timestamp\n', "expected a header"),
        (gzip.compress(b"", mtime=0), "is empty"),
    ],
)
def test_what_is_no_log_is_refused_at_once(tmp_path: Path, content: bytes, complaint: str) -> None:
    """A file that is no log is a wrong call, told before anything is read from it."""
    with pytest.raises(ConfigurationError, match=complaint):
        read_log(_file(tmp_path, content))


@pytest.mark.parametrize("name", ["missing.csv", "."])
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, name: str) -> None:
    """A missing file or a folder is a wrong call."""
    for read in (read_log, read_items, read_relations):
        with pytest.raises(ConfigurationError, match="cannot read"):
            read(tmp_path / name)


def test_a_cut_file_is_told_from_a_whole_one(tmp_path: Path) -> None:
    """A compressed file that ends in the middle raises FreshetError after what could be read."""
    whole = gzip.compress(
        (HEADER + "".join(f"u{n},i{n},170000000000{n},click,\n" for n in range(9))).encode()
    )
    path = _file(tmp_path, whole[:-12])
    with pytest.raises(FreshetError, match="is damaged behind line"):
        list(read_log(path))


def test_items_keep_what_has_no_field(tmp_path: Path) -> None:
    """An item's year or maker becomes an attribute; a bad item is named by its line."""
    path = _file(
        tmp_path,
        '{"item_id": "1", "title": "Toy Story", "year": "1995", "categories": ["Animation"], "brand": null}\n'
        '{"title": "no id"}\n'
        '{"item_id": 2, "maker": "69", "attributes": {"size": "L"}}\n'
        '{"item_id": "3", "categories": "none"}\n',
    )
    bad: list[BadLine] = []
    assert list(read_items(path, bad.append)) == [
        ItemListed("1", "Toy Story", categories=["Animation"], attributes={"year": "1995"}),
        ItemListed("2", attributes={"maker": "69", "size": "L"}),
    ]
    assert [entry.line for entry in bad] == [2, 4]
    assert "item_id: expected" in str(bad[0])
    assert "categories" in str(bad[1])


def test_items_are_json_lines(tmp_path: Path) -> None:
    """A file of items in CSV is a wrong call."""
    with pytest.raises(ConfigurationError, match="expected JSON lines"):
        read_items(_file(tmp_path, "item_id,title\n1,x\n"))


def test_relations_go_to_the_items_of_both_ends(tmp_path: Path) -> None:
    """A relation is told of its head, and backwards of its tail, as far as they are items."""
    path = _file(
        tmp_path,
        "head,relation,tail\nm.1,film.producer,item:94\nitem:94,goes with,item:5\nm.1,is,m.2\nitem:94,,m.3\n",
    )
    bad: list[BadLine] = []
    assert read_relations(path, bad.append) == {
        "94": [("~film.producer", "m.1"), ("goes with", "item:5")],
        "5": [("~goes with", "item:94")],
    }
    assert [entry.line for entry in bad] == [5]
    with pytest.raises(ConfigurationError, match=r"header with head,relation,tail.*; name the columns so$"):
        read_relations(_file(tmp_path, HEADER + GOOD))


@pytest.mark.parametrize("lines", ["", "i4,made_by,Leaf\ni5,made_by,Leaf\n", "item:i4,,Leaf\n"])
def test_relations_of_no_item_are_a_wrong_call(tmp_path: Path, lines: str) -> None:
    """A file in which nothing is written as an item says how items are written."""
    path = _file(tmp_path, f"head,relation,tail\n{lines}")
    with pytest.raises(ConfigurationError, match="relates no item: write items as item:ID"):
        read_relations(path, lambda _: None)


names = st.text("abcäöü-_.019", min_size=1, max_size=12)
interactions = st.builds(
    Interaction,
    names,
    names,
    st.sampled_from(ACTIONS),
    st.integers(0, 4 * 10**12),
    st.none() | st.integers(0, 1000).map(float),
)


@given(st.lists(interactions, max_size=10))
def test_what_was_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, stream: list[Interaction]
) -> None:
    """A log that was written is read back as it was, and written again it is the same bytes."""
    folder = tmp_path_factory.mktemp("log")
    item = ItemListed("i1", "A title", categories=["a", "b"], relations=[("goes with", "item:i2")])
    contents = []
    for copy in ("first", "second"):
        with LogWriter(folder / copy) as log:
            log.item(item)
            for interaction in stream:
                log.interaction(interaction)
        contents.append({path.name: path.read_bytes() for path in (folder / copy).iterdir()})
    assert list(read_log(folder / "first" / "events.csv.gz")) == stream
    assert list(read_items(folder / "first" / "items.jsonl.gz")) == [item]
    assert contents[0] == contents[1]


def test_a_log_that_fails_is_not_there(tmp_path: Path) -> None:
    """If writing ends with an error, no file of the log remains."""

    def write() -> None:
        with LogWriter(tmp_path / "log") as log:
            log.item(ItemListed("i1"))
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        write()
    assert list((tmp_path / "log").iterdir()) == []


def test_an_existing_log_is_left_alone(tmp_path: Path) -> None:
    """A folder that has a log, or cannot be a folder, is refused."""
    with LogWriter(tmp_path / "log"):
        pass
    with pytest.raises(ConfigurationError, match=r"already has events.csv.gz"), LogWriter(tmp_path / "log"):
        pass
    _file(tmp_path, "", "file")
    with pytest.raises(ConfigurationError, match="name another folder"), LogWriter(tmp_path / "file"):
        pass


@given(st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=30))
def test_any_line_is_split_or_refused(line: str) -> None:
    """Splitting a line gives fields or ValueError, whatever the line."""
    try:
        fields = split_csv(line)
    except ValueError:
        return
    assert all(isinstance(field, str) for field in fields)
