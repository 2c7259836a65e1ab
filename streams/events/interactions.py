"""Interactions on the wire: from a source's own messages, by its mapping, or in Freshet's own names."""

import operator
from typing import Any, get_args

import msgspec

from streams.events.mapping import Field, compile_mapping
from streams.events.reading import UNREADABLE, salvage, text_of
from streams.events.refusal import Refused, shown, shown_key
from streams.events.values import FIRST_MILLISECONDS, event_time_ms, finite, identifier
from streams.settings import ActionName, Source

ACTIONS: tuple[ActionName, ...] = get_args(ActionName)
MAXIMUM_LINES = 1000


class Interaction(
    msgspec.Struct, frozen=True, gc=False, rename={"timestamp_ms": "timestamp"}, omit_defaults=True
):
    """A user did something to an item at a time (milliseconds since the epoch)."""

    user_id: str
    item_id: str
    action: ActionName
    timestamp_ms: int
    value: float | None = None
    event_id: str | None = None


class Retraction(msgspec.Struct, frozen=True, gc=False):
    """A user takes back what they did: a refund, a mis-click.

    It means every interaction of the user with this event id, or, where the lines of an order share one, the
    lines of this item.
    """

    user_id: str
    event_id: str
    item_id: str | None = None


Line = Interaction | Retraction

_encode = msgspec.json.Encoder().encode


def encode_interaction(interaction: Interaction) -> bytes:
    """Return the message of an interaction, with the default names of its fields; its key is the user id."""
    if interaction.timestamp_ms >= FIRST_MILLISECONDS:
        return _encode(interaction)
    # A number this small would be read as seconds.
    tree = msgspec.to_builtins(interaction)
    return _encode(tree | {"timestamp": interaction.timestamp_ms / 1000})


class InteractionDecoder:
    """Reads the records of one source topic, as its section of the settings says.

    Raises ConfigurationError for a mapping that cannot be followed.
    """

    def __init__(self, topic: str, source: Source) -> None:
        self._mapping = mapping = compile_mapping(topic, source)
        self._action = source.action
        words = {action: action for action in ACTIONS} | source.actions
        self._actions: dict[str, ActionName] = words
        self._unit = source.timestamp_unit
        self._nested = any(field.line is not None or len(field.shared) > 1 for field in mapping)
        self._in_lines = mapping.item_id.line is not None
        path = ".".join(mapping.item_id.shared)
        self._lines = Field("lines", path, mapping.item_id.shared, None)
        self._shared = [self._lines if field.line is not None else field for field in mapping]
        # msgspec builds only the values of the outermost names that the mapping mentions, and skips the rest.
        roots = sorted({field.shared[0] for field in mapping})
        fields = [(f"root_{n}", Any, msgspec.field(default=None, name=root)) for n, root in enumerate(roots)]
        message = msgspec.defstruct("Message", fields, gc=False)
        self._read = msgspec.json.Decoder(message).decode
        self._roots_of = operator.attrgetter(*(f"root_{roots.index(field.shared[0])}" for field in mapping))

    def decode(self, key: bytes | None, value: bytes | None, record_timestamp_ms: int) -> list[Line]:
        """Return what a record says: one line, or one for each line of an order, in their order.

        Raises Refused for the whole record if anything in it cannot be taken. An event id outside of the
        lines is the order's: all its interactions carry it, and retracting it retracts them all.
        """
        if value is None:
            raise Refused("key", "key: expected a message for this key, found a null value")
        text = text_of(value)
        flaw: Refused | None = None
        try:
            found = self._roots_of(self._read(text))
        except UNREADABLE:
            tree, flaw = salvage(text)
            found = tuple(tree.get(field.shared[0]) for field in self._mapping)
        if self._nested:
            found = tuple(
                field.walk(root, field.shared[1:]) for field, root in zip(self._shared, found, strict=True)
            )
        interactions = self._interactions(key, found, record_timestamp_ms)
        if flaw is not None:
            raise flaw
        return interactions

    def _interactions(
        self, key: bytes | None, found: tuple[object, ...], record_timestamp_ms: int
    ) -> list[Line]:
        """Check what is shared by all lines, then each line."""
        user_id = identifier(found[0], self._mapping.user_id)
        if key != user_id.encode():
            raise Refused(
                "key", f"key: expected the text of the user id {shown(user_id)}, found {shown_key(key)}"
            )
        if not self._in_lines or self._retracts_all(found):
            return [self._line(user_id, found, record_timestamp_ms)]
        lines = []
        for number, line in enumerate(self._lines_of(found)):
            try:
                lines.append(self._line(user_id, self._values(found, line), record_timestamp_ms))
            except Refused as refused:
                raise Refused(refused.reason, f"line {number}: {refused.detail}") from None
        return lines

    def _retracts_all(self, found: tuple[object, ...]) -> bool:
        """Whether an order is taken back as a whole: by an event id and a word that are the order's own."""
        mapping = self._mapping
        if mapping.retract.line is not None or not _is_true(found[6], mapping.retract):
            return False
        return mapping.event_id.line is None

    def _lines_of(self, found: tuple[object, ...]) -> list[object]:
        """Return the lines of an order: between 1 and 1,000 of them."""
        lines = found[1]
        expected = f"a list of 1 to {MAXIMUM_LINES} lines"
        if not isinstance(lines, list):
            raise self._lines.refuse(expected, lines)
        if not 1 <= len(lines) <= MAXIMUM_LINES:
            raise self._lines.refuse(expected, len(lines))
        return lines

    def _values(self, found: tuple[object, ...], line: object) -> tuple[object, ...]:
        """Return the values of one line: its own, and the shared ones."""
        if self._mapping.item_id.line and not isinstance(line, dict):
            raise self._lines.refuse("an object in each line", line)
        return tuple(
            value if field.line is None else field.walk(line, field.line)
            for field, value in zip(self._mapping, found, strict=True)
        )

    def _line(self, user_id: str, found: tuple[object, ...], record_timestamp_ms: int) -> Line:
        """Check the values of one line, in the order of Mapping's fields."""
        mapping = self._mapping
        _, item_id, timestamp, value, action, event_id, retract = found
        if retract is not None and _is_true(retract, mapping.retract):
            is_shared = mapping.event_id.line is None and mapping.retract.line is not None
            return Retraction(
                user_id,
                identifier(event_id, mapping.event_id),
                identifier(item_id, mapping.item_id) if is_shared else None,
            )
        return Interaction(
            user_id,
            identifier(item_id, mapping.item_id),
            self._action if action is None else self._action_of(action),
            event_time_ms(timestamp, mapping.timestamp, self._unit, record_timestamp_ms),
            None if value is None else finite(value, mapping.value),
            None if event_id is None else identifier(event_id, mapping.event_id),
        )

    def _action_of(self, word: object) -> ActionName:
        action = self._actions.get(word) if type(word) is str else None
        if action is None:
            raise self._mapping.action.refuse(f"one of {', '.join(self._actions)}", word)
        return action


def _is_true(found: object, field: Field) -> bool:
    """Return whether a field is true; absent, null and false are not. Raises Refused for anything else."""
    if found is not None and not isinstance(found, bool):
        raise field.refuse("true or false", found)
    return found is True
