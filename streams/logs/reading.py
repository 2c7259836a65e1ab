"""Reads logs: interactions from CSV or JSON lines, items from JSON lines, relations from CSV."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec

from streams.errors import ConfigurationError, FreshetError
from streams.events import ACTIONS, ActionName, Interaction, ItemListed, Refused, decode_item
from streams.events.mapping import Field
from streams.events.values import LARGEST_TIME, event_time_ms, finite, identifier
from streams.logs.lines import first_line, numbered_lines, split_csv

Row = TypeVar("Row")

_USER_ID, _ITEM_ID, _TIMESTAMP, _ACTION, _VALUE, _EVENT_ID = (
    Field(name, name, (name,), None)
    for name in ("user_id", "item_id", "timestamp", "action", "value", "event_id")
)
_REQUIRED = ("user_id", "item_id", "timestamp")
_ITEM_FIELDS = frozenset(ItemListed.__struct_fields__)
_ACTION_NAMES: dict[object, ActionName] = {action: action for action in ACTIONS}
_DEFAULT_ACTION: ActionName = "click"
_NODE_OF_ITEM = "item:"


class BadLine(NamedTuple):
    """A line that cannot be taken: where it is, and what is wrong with it."""

    path: Path
    line: int
    refused: Refused

    def __str__(self) -> str:
        return f"{self.path}, line {self.line}: {self.refused.detail}"


OnBadLine = Callable[[BadLine], None]


def read_log(
    path: Path, limit: int | None = None, on_bad_line: OnBadLine | None = None
) -> Iterator[Interaction]:
    """Return the interactions of a log in the order of the file, at most `limit`; times are milliseconds.

    The file is CSV with a header (`user_id,item_id,timestamp` and, if there, `action,value,event_id`) or JSON
    lines with these names; gzip is recognised. A time is milliseconds since the epoch, or ISO 8601. A line
    without an action is a click.

    Raises ConfigurationError at once for a file that is no log. A bad line goes to `on_bad_line`; without one
    it raises FreshetError, which names file and line.
    """
    is_json = first_line(path).lstrip().startswith("{")
    rows = _json_rows(path) if is_json else _csv_rows(path, _columns(path, _REQUIRED))
    return _limited(_taken(path, rows, _interaction, on_bad_line), limit)


def read_items(path: Path, on_bad_line: OnBadLine | None = None) -> Iterator[ItemListed]:
    """Return the items of a file of JSON lines; what ItemListed has no field for becomes an attribute.

    Raises like `read_log`.
    """
    if not first_line(path).lstrip().startswith("{"):
        raise ConfigurationError(f'{path} has no items: expected JSON lines such as {{"item_id": "i1"}}')
    return _taken(path, _json_rows(path), _item, on_bad_line)


def read_relations(path: Path, on_bad_line: OnBadLine | None = None) -> dict[str, list[tuple[str, str]]]:
    """Return item id -> its (relation, entity), from CSV with the header `head,relation,tail`.

    A node `item:ID` is an item, any other an entity. Where an item is the tail, the relation's name gets a
    `~` before it, which says that it is read backwards. Raises like `read_log`, and ConfigurationError for a
    file that relates no item.
    """
    columns = _columns(path, ("head", "relation", "tail"))
    relations: dict[str, list[tuple[str, str]]] = {}
    for head, relation, tail in _taken(path, _csv_rows(path, columns), _triple, on_bad_line):
        if head.startswith(_NODE_OF_ITEM):
            relations.setdefault(head.removeprefix(_NODE_OF_ITEM), []).append((relation, tail))
        if tail.startswith(_NODE_OF_ITEM):
            relations.setdefault(tail.removeprefix(_NODE_OF_ITEM), []).append((f"~{relation}", head))
    if not relations:
        raise ConfigurationError(
            f"{path} relates no item: write items as item:ID, as in item:i4,made_by,Leaf"
        )
    return relations


def _columns(path: Path, required: tuple[str, ...]) -> dict[str, int]:
    """Return name -> place, from the header of a CSV file."""
    header = first_line(path)
    try:
        names = [name.strip() for name in split_csv(header)]
    except ValueError:
        names = []
    missing = [name for name in required if name not in names]
    if missing:
        raise ConfigurationError(
            f"{path} cannot be read: expected a header with {','.join(required)}, found {header[:60]!r}; "
            "name the columns so"
        )
    if len(set(names)) < len(names):
        raise ConfigurationError(f"{path} cannot be read: a name is twice in its header, {header[:60]!r}")
    return {name: place for place, name in enumerate(names)}


Rows = Iterator[tuple[int, dict[str, Any] | Refused]]


def _csv_rows(path: Path, columns: dict[str, int]) -> Rows:
    """Yield the lines behind the header as name -> text; what is empty is left out."""
    lines = numbered_lines(path)
    next(lines)
    for number, line in lines:
        try:
            fields = split_csv(line)
        except ValueError as error:
            yield number, Refused("line", f"line: {error}")
            continue
        if len(fields) != len(columns):
            yield number, Refused("line", f"line: expected {len(columns)} fields, found {len(fields)}")
            continue
        yield number, {name: fields[place] for name, place in columns.items() if fields[place]}


def _json_rows(path: Path) -> Rows:
    decode = msgspec.json.Decoder(dict[str, Any]).decode
    for number, line in numbered_lines(path):
        try:
            yield number, decode(line)
        except (ValueError, RecursionError) as error:
            yield number, Refused("json", f"json: expected an object on one line: {error}")


def _taken(
    path: Path, rows: Rows, take: Callable[[dict[str, Any]], Row], on_bad_line: OnBadLine | None
) -> Iterator[Row]:
    for number, row in rows:
        try:
            if isinstance(row, Refused):
                raise row
            taken = take(row)
        except Refused as refused:
            bad = BadLine(path, number, refused)
            if on_bad_line is None:
                raise FreshetError(f"{bad}; correct the line or remove it") from None
            on_bad_line(bad)
            continue
        yield taken


def _limited(rows: Iterator[Row], limit: int | None) -> Iterator[Row]:
    """Stop without reading on: what is wrong behind the limit is of no interest."""
    for count, row in enumerate(rows, 1):
        yield row
        if count == limit:
            return


def _interaction(row: dict[str, Any]) -> Interaction:
    action = row.get("action")
    name = _DEFAULT_ACTION if action is None else _ACTION_NAMES.get(action) if type(action) is str else None
    if name is None:
        raise _ACTION.refuse(f"one of {', '.join(ACTIONS)}", action)
    timestamp = _number(row.get("timestamp"))
    if timestamp is None:
        raise _TIMESTAMP.refuse("milliseconds since 1970 or ISO 8601", None)
    event_id = row.get("event_id")
    return Interaction(
        identifier(row.get("user_id"), _USER_ID),
        identifier(row.get("item_id"), _ITEM_ID),
        name,
        event_time_ms(timestamp, _TIMESTAMP, "milliseconds", LARGEST_TIME),
        finite(_number(row.get("value")), _VALUE),
        None if event_id is None else identifier(event_id, _EVENT_ID),
    )


def _number(found: object) -> object:
    """Return the number that a text is, else what was found, which the field's own check refuses."""
    if type(found) is not str:
        return found
    if found.isdecimal() and len(found) < 20:
        return int(found)
    try:
        return float(found)
    except ValueError:
        return found


def _item(row: dict[str, Any]) -> ItemListed:
    row = {name: value for name, value in row.items() if value is not None}
    others = {name: row.pop(name) for name in list(row) if name not in _ITEM_FIELDS}
    if others:
        attributes = row.get("attributes", {})
        row["attributes"] = others | attributes if isinstance(attributes, dict) else attributes
    key = identifier(row.get("item_id"), _ITEM_ID).encode()
    listed = decode_item(key, msgspec.json.encode(row))
    if not isinstance(listed, ItemListed):
        raise _ITEM_ID.refuse("an item", None)
    return listed


def _triple(row: dict[str, Any]) -> tuple[str, str, str]:
    try:
        return row["head"], row["relation"], row["tail"]
    except KeyError:
        raise Refused("line", "line: expected head, relation and tail, found one of them empty") from None
