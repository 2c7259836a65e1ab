"""How the content's arrays grow, by doubling, so that an event's cost stays constant; and their copies."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.arrays import NONE
from models.columns import KINDS
from models.content.layout import ContentTables, Shelves, empty_content
from models.counts.layout import POOL_USED

_BY_ROW = ("values", "following", "preceding")
_BY_VALUE = ("first", "leaders", "cold", "warm", "takes")
_NONE_AT_FIRST = (*_BY_ROW, "first", "leaders")
_PARTS = ("shelves", "texts", "kindless", "tables")
_ALONE = ("used", "weights", "squares", "near", "nearness")


def with_rows(content: ContentTables, rows: int) -> ContentTables:
    """Return it with room for so many items."""
    size = _doubled(content.shelves.values.shape[1], rows)
    if size == content.shelves.values.shape[1]:
        return content
    return content._replace(
        shelves=_with_rows(content.shelves, size),
        texts=_with_rows(content.texts, size),
        kindless=_with_rows(content.kindless, size),
    )


def with_values(content: ContentTables, values: int) -> ContentTables:
    """Return it with room for so many values of each kind."""
    size = _doubled(content.shelves.first.shape[1], values)
    if size == content.shelves.first.shape[1]:
        return content
    tables = content.tables
    return content._replace(
        shelves=_with_values(content.shelves, size),
        tables=tables._replace(values=_longer(tables.values, size, 1), facts=_longer(tables.facts, size, 1)),
        scratch=content.scratch._replace(marks=_longer(content.scratch.marks, size, 1)),
    )


def with_texts(content: ContentTables, texts: int) -> ContentTables:
    """Return it with room for so many texts."""
    size = _doubled(len(content.near), texts)
    if size == len(content.near):
        return content
    return content._replace(
        texts=_with_values(content.texts, size),
        near=_longer(content.near, size, 0, NONE),
        nearness=_longer(content.nearness, size, 0),
        sums=_longer(content.sums, size, 0),
        queries=np.zeros(size + 1, np.int64),
    )


def clear_kind(content: ContentTables, kind: int) -> None:
    """Forget all that is known by one kind."""
    fresh, shelves = empty_content(1), content.shelves
    for name in (*_BY_ROW, *_BY_VALUE, "usual"):
        getattr(shelves, name)[kind] = NONE if name in _NONE_AT_FIRST else 0
    empty: NDArray[Any]
    for name, empty in fresh.tables._asdict().items():
        mine = getattr(content.tables, name)
        mine[kind] = 0
        mine[kind, : len(empty[0])] = empty[0]
    content.weights[kind], content.squares[kind] = fresh.weights[0], fresh.squares[0]


def copied(content: ContentTables) -> dict[str, NDArray[Any]]:
    """Return a copy of everything that lasts beyond a query."""
    arrays = {name: getattr(content, name).copy() for name in _ALONE}
    used = int(content.tables.clock[:, POOL_USED].max())
    for part in _PARTS:
        for name, array in getattr(content, part)._asdict().items():
            end = used if name in ("neighbours", "pairs") else None
            arrays[f"{part}_{name}"] = array[:, :end].copy() if name != "states" else array.copy()
    return arrays


def from_copy(arrays: Mapping[str, NDArray[Any]]) -> ContentTables:
    """Return the content that a copy was made of. Raises ValueError for one of other sizes."""
    content = empty_content(KINDS)
    content = with_rows(content, arrays["shelves_values"].shape[1])
    content = with_values(content, arrays["shelves_first"].shape[1])
    content = with_texts(content, len(arrays["near"]))
    for part in _PARTS:
        if part == "kindless" and "kindless_values" not in arrays:  # which there was not always
            content.kindless.states[:] = content.shelves.states
            continue
        for name, array in getattr(content, part)._asdict().items():
            _write(f"{part}_{name}", array, arrays[f"{part}_{name}"])
    for name in _ALONE:
        _write(name, getattr(content, name), arrays[name])
    return content


def _write(name: str, array: NDArray[Any], theirs: NDArray[Any]) -> None:
    """Write what was copied over the beginning of an array."""
    if array.ndim != theirs.ndim or any(a < b for a, b in zip(array.shape, theirs.shape, strict=True)):
        raise ValueError(f"{name} of shape {theirs.shape}, expected {array.shape}")
    array[tuple(slice(size) for size in theirs.shape)] = theirs


def _with_rows(shelves: Shelves, size: int) -> Shelves:
    grown = {name: _longer(getattr(shelves, name), size, 1, NONE) for name in _BY_ROW}
    return shelves._replace(**grown, states=_longer(shelves.states, size, 0))


def _with_values(shelves: Shelves, size: int) -> Shelves:
    filling = {name: NONE if name in _NONE_AT_FIRST else 0 for name in _BY_VALUE}
    return shelves._replace(
        **{name: _longer(getattr(shelves, name), size, 1, filling[name]) for name in _BY_VALUE}
    )


def _doubled(size: int, least: int) -> int:
    while size < least:
        size *= 2
    return size


def _longer(array: NDArray[Any], size: int, axis: int, filling: int = 0) -> NDArray[Any]:
    """Return a copy that is `size` long on an axis, filled up at its end."""
    shape = list(array.shape)
    shape[axis] = size
    longer = np.zeros(shape, array.dtype) if filling == 0 else np.full(shape, filling, array.dtype)
    longer[tuple(slice(each) for each in array.shape)] = array
    return longer
