"""Where a worker can be stopped, as a table; the launcher finds the places, the tests go through all."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from state.keys import NEXT_KEY, POSITION_KEY

# "acknowledged": after what the call returned, a future, is done.
When = Literal["before", "after", "acknowledged"]
Phase = Literal["working", "starting", "stopping"]


def _every_call(*_: Any, **__: Any) -> bool:  # noqa: ANN401 - any call of any function
    return True


def _nothing(*_: Any, **__: Any) -> None:  # noqa: ANN401
    return None


@dataclass(frozen=True)
class Point:
    """The `hit`-th call of `target` (module:name, or module:Class.name) of those that are `counted`.

    `first` is called with the call's arguments before the worker is stopped: what a crash could leave.
    """

    name: str
    target: str
    when: When
    hit: int = 1
    counted: Callable[..., bool] = _every_call
    first: Callable[..., None] = _nothing
    phase: Phase = "working"


def _to(ending: str) -> Callable[..., bool]:
    """Count the batches to topics with this ending."""
    return lambda _producer, _batch, topic, **_: topic.endswith(ending)


def _states(has_next: bool) -> Callable[..., bool]:
    """Count the batches of users' states that have `next` with them, or have not."""

    def counted(_producer: Any, batch: Any, topic: str, **_: object) -> bool:  # noqa: ANN401
        return topic.endswith("-users") and (NEXT_KEY in bytes(batch._build())) == has_next

    return counted


def _with_next(_store: Any, changes: Any) -> bool:  # noqa: ANN401
    """Count the writes of what a transaction has made durable."""
    return NEXT_KEY in changes


def _without_next(_store: Any, changes: Any) -> bool:  # noqa: ANN401
    """Count the writes of a part of what is restored."""
    return POSITION_KEY in changes and len(changes) > 3 and NEXT_KEY not in changes


def _halve(descriptor: int) -> None:
    """Leave half of a file."""
    os.ftruncate(descriptor, os.fstat(descriptor).st_size // 2)


def _of_part(descriptor: int) -> bool:
    """Count the file that a checkpoint is written to: not its folder, and no other file."""
    return os.readlink(f"/proc/self/fd/{descriptor}").endswith(".part")


def _of_checkpoint(_from: object, to: object = None) -> bool:
    """Count the renames to a checkpoint, or the removals of one."""
    return str(to if to is not None else _from).endswith(".checkpoint")


SEND = "aiokafka:AIOKafkaProducer.send_batch"
COMMIT = "aiokafka:AIOKafkaProducer.commit_transaction"
GROUP_COMMIT = "aiokafka:AIOKafkaConsumer.commit"
WRITE = "state:RocksStore.write"
COUNT_EXAMPLES = "streams.recommender:Recommender.count_examples"

# From the stream to the commits, in the order in which a chunk passes them.
LEARNING = (
    Point("an event is in its user's history, nothing else", "state.user:UserState.insert", "after", 7),
    Point("events are accounted for, not counted", "models.ranking:Ranker.teach", "before"),
    Point("events are counted, not learned from", "models.ranking:Ranker.teach", "after"),
    Point("a learner's step is half done", "models.mixer.backends:CompiledBackend.descend", "after"),
    Point("events are learned from, the step goes on", "models.learner:Learner.advance", "after"),
    Point("a step has ended", "streams.recommender:Recommender.step", "after"),
    Point("lists are made, nothing is sent", "streams.recommender:Recommender.recommend", "after"),
)
TRANSACTION = (
    Point("dead letters are sent", SEND, "acknowledged", counted=_to("-dead-letters")),
    Point("lists are sent", SEND, "acknowledged", counted=_to("-recommendations")),
    Point("examples are sent", SEND, "acknowledged", counted=_to("-examples")),
    Point("item ids are sent", SEND, "acknowledged", counted=_to("-item-ids")),
    Point("states are sent, next is not", SEND, "acknowledged", counted=_states(has_next=False)),
    Point("states and next are sent", SEND, "acknowledged", counted=_states(has_next=True)),
    Point("all is sent, the commit is not", COMMIT, "before", 2),
    Point(
        "committed, the answer is lost", "aiokafka.producer.sender:EndTxnHandler.handle_response", "before"
    ),
    Point("committed, not written to the store", COMMIT, "after"),
    Point("written to the store, not done", WRITE, "after", counted=_with_next),
    Point("one topic is done, not committed", "streams.transport:ChunkConsumer.done", "after"),
    Point("the group's commit is not sent", GROUP_COMMIT, "before"),
    Point("the group's commit is sent", GROUP_COMMIT, "after"),
    Point("an example comes back, its position is not noted", COUNT_EXAMPLES, "after"),
)
CHECKPOINT = (
    Point("a checkpoint is half copied", "models.catalog:Catalog.snapshot", "after"),
    Point("a checkpoint is copied, not written", "streams.checkpointing:snapshot", "after"),
    Point("half of a checkpoint is written", "os:fsync", "before", first=_halve, counted=_of_part),
    Point("a checkpoint is written, not renamed", "os:fsync", "after", counted=_of_part),
    Point("a checkpoint is renamed", "os:replace", "after", counted=_of_checkpoint),
    Point("an old checkpoint is removed", "os:unlink", "after", counted=_of_checkpoint),
)
ERASURE = (
    Point("an erasure is applied, nothing is sent", "state.overlay:Overlay.erase", "after"),
    Point("receipts are sent", SEND, "acknowledged", counted=_to("-erasure-receipts")),
    Point("erased users are in the store's files", "state:RocksStore.compact", "before"),
    Point("the store's files are purged, that is not noted", "state:RocksStore.compact", "after"),
)
# With an empty data directory: all users are restored, all examples are counted.
STARTING = (
    Point("an example is counted, its position is not noted", COUNT_EXAMPLES, "after", 3, phase="starting"),
    Point("examples are followed", "streams.replication:Replication.start", "after", phase="starting"),
    Point(
        "older owners are fenced, nothing is restored",
        "aiokafka:AIOKafkaProducer.start",
        "after",
        2,
        phase="starting",
    ),
    Point("a part of the users is read", WRITE, "before", 2, _without_next, phase="starting"),
    Point("a part of the users is restored", WRITE, "after", 2, _without_next, phase="starting"),
    Point(
        "a partition is restored, others are not",
        "streams.partition:Partition.open",
        "after",
        phase="starting",
    ),
    Point(
        "a partition is caught up", "streams.replication:Replication.catch_up", "after", 2, phase="starting"
    ),
)
STOPPING = (
    Point("one partition has let go, others have not", "streams.lane:Lane.drain", "after", phase="stopping"),
    Point("a store is not closed", "state:RocksStore.close", "before", 2, phase="stopping"),
    Point("the last checkpoint is not renamed", "os:fsync", "after", phase="stopping"),
)

POINTS = {
    point.name: point for point in (*LEARNING, *TRANSACTION, *CHECKPOINT, *ERASURE, *STARTING, *STOPPING)
}
