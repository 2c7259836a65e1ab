"""Snapshots of parts inside a snapshot of the whole: the names of a part's arrays begin with its room."""

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[Any]]


def with_rooms(rooms: Mapping[str, Arrays]) -> dict[str, NDArray[Any]]:
    """Return all arrays of all rooms."""
    return {f"{room}_{name}": array for room, arrays in rooms.items() for name, array in arrays.items()}


def of_room(room: str, arrays: Arrays) -> dict[str, NDArray[Any]]:
    """Return the arrays of a room, by the names that they have there; none if there is no such room."""
    start = f"{room}_"
    return {name.removeprefix(start): each for name, each in arrays.items() if name.startswith(start)}
