"""What goes wrong with what is remembered, as one line for a person.

StateError
├── CorruptState  bytes that are no valid encoding: nothing of them is used
└── StoreError    the database cannot be opened, read or written
"""


class StateError(Exception):
    """Something is wrong with what is remembered."""


class CorruptState(StateError):  # noqa: N818 - it names what was found, as an answer does
    """Bytes that are not what was once encoded; says what is wrong with them, and where."""


class StoreError(StateError):
    """The database cannot be opened, read or written; names its directory and says what to do."""
