"""Sources of all settings: whatever their fields are called, units are, and words mean."""

import json
import random
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from streams.errors import ConfigurationError
from streams.events import ACTIONS, Interaction, InteractionDecoder, Refused
from streams.feed import encode_for
from streams.settings import Source, SourceFields
from tests.fuzz.mutation import mutate
from tests.fuzz.outcome import attempt
from tests.fuzz.wire import NOW_MS, interactions

patient = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])

names = st.sampled_from(["a", "b", "c", "user_id", "item_id", "id", "é", "line", "x y"])
paths = st.lists(names, min_size=1, max_size=3).map(".".join)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
ids = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60)


@st.composite
def sources(draw: st.DrawFn) -> Source:
    """Draw a source whose fields are anywhere, some of them in lines."""
    root, in_lines = draw(paths), draw(st.booleans())

    def path(may_be_in_lines: bool = True) -> str:
        if in_lines and may_be_in_lines and draw(st.booleans()):
            return f"{root}[].{draw(paths)}"
        return draw(paths)

    item_id = f"{root}[]" + draw(st.sampled_from(["", ".sku", ".item.id"])) if in_lines else draw(paths)
    fields = SourceFields(path(may_be_in_lines=False), item_id, path(), path(), path(), path(), path())
    return Source(
        action=draw(st.sampled_from(ACTIONS)),
        fields=fields,
        actions=draw(st.dictionaries(texts, st.sampled_from(ACTIONS), max_size=3)),
        timestamp_unit=draw(st.sampled_from(["auto", "seconds", "milliseconds"])),
    )


@st.composite
def mapped(draw: st.DrawFn) -> Source:
    """Draw a source that can be followed."""
    source = draw(sources())
    try:
        InteractionDecoder("topic", source)
    except ConfigurationError:
        assume(False)
    return source


@patient
@given(st.lists(st.text(max_size=12), min_size=7, max_size=7))
def test_any_path_is_followed_or_refused_by_its_name(texts: list[str]) -> None:
    """Whatever is written as a path is compiled, or ConfigurationError names the setting."""
    source = Source(fields=SourceFields(*texts))
    try:
        InteractionDecoder("topic", source)
    except ConfigurationError:
        with pytest.raises(ConfigurationError, match=r"setting 'sources\.topic\.fields\."):
            InteractionDecoder("topic", source)


@patient
@given(
    mapped(),
    st.builds(
        Interaction,
        ids,
        ids,
        st.sampled_from(ACTIONS),
        st.integers(10**11, NOW_MS),
        st.none() | st.floats(allow_nan=False, allow_infinity=False),
        st.none() | ids,
    ),
    st.integers(0, 2**32 - 1),
)
def test_what_is_sent_as_a_source_says_is_read_as_it_says(
    source: Source, interaction: Interaction, seed: int
) -> None:
    """An event in a source's own names and unit is read as it was; damaged, it is taken or refused."""
    paths = [getattr(source.fields, name) for name in SourceFields.__struct_fields__]
    try:
        message = encode_for(source, interaction)
    except (AttributeError, KeyError, TypeError):
        message = b"{}"  # two fields are at the same place
    separate = not any(one != other and _overlap(one, other) for one in paths for other in paths)
    if separate and len(set(paths)) == len(paths) and interaction.action not in source.actions:
        again = InteractionDecoder("topic", source).decode(interaction.user_id.encode(), message, NOW_MS)
        assert again == [interaction]
    rng = random.Random(seed)
    interactions(source)(message)
    interactions(source)(mutate(message, message, rng))


def _overlap(one: str, other: str) -> bool:
    """Whether a field lies within another, or beside the lines of a list."""
    lines = {path.partition("[]")[0] for path in (one, other) if "[]" in path}
    if len(lines) == 1 and not ("[]" in one and "[]" in other):
        one, other = (path.partition("[]")[0] for path in (one, other))
    parts, others = one.split("."), other.split(".")
    return parts[: len(others)] == others or others[: len(parts)] == parts


values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just("2025-11-23"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
    max_leaves=15,
)


@patient
@given(mapped(), st.dictionaries(names, values, max_size=6), st.data())
def test_values_of_any_kind_are_taken_or_refused(
    source: Source, message: dict[str, Any], data: st.DataObject
) -> None:
    """Whatever lies where a source's fields are, the record is taken, or refused by a reason."""
    for name in SourceFields.__struct_fields__:
        if data.draw(st.booleans()):
            _plant(message, getattr(source.fields, name), data.draw(values))
    interactions(source)(json.dumps(message).encode())


def _plant(tree: Any, path: str, value: object) -> None:  # noqa: ANN401 - any JSON
    """Put a value where a path leads, as far as what is there can hold it."""
    first, _, rest = path.partition(".")
    name = first.removesuffix("[]")
    if not isinstance(tree, dict):
        return
    if not rest:
        tree[name] = [value] if first.endswith("[]") else value
        return
    below = tree.setdefault(name, [{}] if first.endswith("[]") else {})
    for each in below if isinstance(below, list) else [below]:
        _plant(each, rest, value)


def test_a_source_without_any_message_refuses() -> None:
    """A null value is refused by every source."""
    with pytest.raises(Refused):
        InteractionDecoder("topic", Source()).decode(b"u", None, NOW_MS)
    assert attempt(lambda: InteractionDecoder("topic", Source()).decode(None, b"{}", NOW_MS), Refused) is None
