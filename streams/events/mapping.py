"""Where a source's messages keep what Freshet needs: the `fields` of a source, compiled once.

A path is dotted: `customer.id` is the field `id` of the object `customer`. `lines[].sku` is the field `sku`
of each element of the list `lines`, `skus[]` each element itself. Names that hold a dot, a bracket, a quote
or a backslash cannot be written. Everything in lines must be in the same list, and if anything is, the item
id is. The user is the record's key, so the user id cannot be in lines; any other field may be in the lines,
one value a line, or outside, one value for all of them.
"""

from typing import NamedTuple

from streams.errors import ConfigurationError
from streams.events.refusal import Refused, shown
from streams.settings import Source

LINES = "[]"


class Field(NamedTuple):
    """One field of an interaction: its name in Freshet, and the way to it in the source's messages."""

    name: str
    path: str
    shared: tuple[str, ...]  # the names down to the value, or down to the list of lines
    line: tuple[str, ...] | None  # the names from a line down to the value; None outside of lines

    def refuse(self, expected: str, found: object) -> Refused:
        """Return the refusal that names this field, as the source calls it."""
        return Refused(self.name, f"{self.path}: expected {expected}, found {shown(found)}")

    def walk(self, found: object, names: tuple[str, ...]) -> object:
        """Follow names into nested objects, to None where one is absent or null; raises Refused."""
        for name in names:
            if found is None:
                return None
            if not isinstance(found, dict):
                raise self.refuse(f"an object that holds {name!r}", found)
            found = found.get(name)
        return found


class Mapping(NamedTuple):
    """The fields of a source."""

    user_id: Field
    item_id: Field
    timestamp: Field
    value: Field
    action: Field
    event_id: Field
    retract: Field


def compile_mapping(topic: str, source: Source) -> Mapping:
    """Return the source's fields; raises ConfigurationError, which names the setting, for what is no path."""
    names = Mapping._fields
    mapping = Mapping(*(_field(topic, name, getattr(source.fields, name)) for name in names))
    in_lines = [field for field in mapping if field.line is not None]
    if mapping.user_id.line is not None:
        raise _wrong(topic, mapping.user_id, "the user is the record's key, so it cannot differ by line")
    for field in in_lines:
        if mapping.item_id.line is None:
            raise _wrong(
                topic, field, "is in lines and fields.item_id is not; map item_id into the same lines"
            )
        if field.shared != mapping.item_id.shared:
            raise _wrong(topic, field, f"its lines are others than those of {mapping.item_id.path!r}")
    return mapping


def _field(topic: str, name: str, path: str) -> Field:
    shared, lines, line = path.partition(LINES)
    field = Field(
        name=name,
        path=path,
        shared=tuple(shared.split(".")),
        line=tuple(line.removeprefix(".").split(".") if line else ()) if lines else None,
    )
    parts = [*field.shared, *(field.line or ())]
    if not all(parts) or any(set(part) & set('[]"\\') or not part.isprintable() for part in parts):
        raise _wrong(topic, field, "is no path; expected names with dots between, as in 'customer.id'")
    if line and not line.startswith("."):
        raise _wrong(topic, field, "expected a dot after '[]', as in 'lines[].sku'")
    return field


def _wrong(topic: str, field: Field, complaint: str) -> ConfigurationError:
    return ConfigurationError(f"setting 'sources.{topic}.fields.{field.name}' = {field.path!r}: {complaint}")
