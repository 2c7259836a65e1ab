"""Interactions that are taken back, and those that came before in another record."""

from models.catalog import item_key
from state.overlay import User
from streams.events import ACTIONS, Retraction
from streams.examples import ExamplesRecorder
from streams.settings import Exclude
from streams.steps import Record, Step

_PURCHASE = ACTIONS.index("purchase")


def retract(
    record: Record,
    line: Retraction,
    user: User,
    step: Step,
    exclude: Exclude,
    recorder: ExamplesRecorder | None,
) -> None:
    """Take interactions out of the user's sequence; what they taught stays."""
    key = None if line.item_id is None else item_key(line.item_id)
    taken = user.state.retract(line.event_id, key)
    for each in taken:
        if not _still_excludes(user, each, exclude):
            user.exclusions.remove(each)
    if taken and recorder is not None:
        recorder.restart(user.user_id)
    if user.changed or not user.is_new:  # nobody comes to be by taking back what they never did
        user.state.advance(record.topic, record.offset)
        user.changed = True
    outcome = (record.topic, "removed" if taken else "unmatched")
    step.retractions[outcome] = step.retractions.get(outcome, 0) + 1


def pass_over(record: Record, user: User, step: Step) -> None:
    """Apply nothing of an interaction that came before in another record."""
    user.state.advance(record.topic, record.offset)
    user.changed = True
    step.duplicates[record.topic] = step.duplicates.get(record.topic, 0) + 1


def _still_excludes(user: User, key: int, exclude: Exclude) -> bool:
    """Whether what is left of the user's past, after a retraction, excludes an item."""
    state = user.state
    if exclude == "seen":
        return key in state.item_keys or key in state.repeat_keys
    return (key, _PURCHASE) in zip(state.item_keys, state.actions, strict=True)
