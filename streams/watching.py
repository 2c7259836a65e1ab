"""Lists as they arrive: what is in them, and what moved against the user's list before."""

from collections.abc import Collection, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from msgspec import Struct

from streams.connection import consumer, kafka_errors
from streams.errors import ConfigurationError
from streams.events import RecommendationList, Refused, decode_list
from streams.events.refusal import shown, shown_key
from streams.settings import Settings

if TYPE_CHECKING:
    from kafka import KafkaConsumer

POLL_MS = 200
# What is read back of each partition, so that the first list of most users who are active has one before it.
READ_BACK_RECORDS = 2_000
REMEMBERED_USERS = 50_000

Moved = Literal["new", "up", "down", "same"]
MARKS: dict[Moved, str] = {"new": "+", "up": "↑", "down": "↓", "same": "="}


class Arrival(Struct, frozen=True, kw_only=True):
    """A list that arrived, or the word that a user was erased, where `recommendations` is None.

    `before` is the user's list before this one, best first, title by item id; None where none was seen.
    """

    user_id: str
    partition: int
    offset: int
    recommendations: RecommendationList | None
    before: dict[str, str] | None

    @property
    def gone(self) -> dict[str, str]:
        """What was in the list before and is no longer, best first, title by item id."""
        now = _titles(self.recommendations)
        return {item_id: title for item_id, title in (self.before or {}).items() if item_id not in now}

    def place_before(self, item_id: str) -> int | None:
        """Return the place, counted from 1, that an item had in the list before; None if it had none."""
        before = list(self.before or ())
        return before.index(item_id) + 1 if item_id in before else None

    def moved(self, place: int, item_id: str) -> Moved | None:
        """Return how an item at this place moved; None where no list before was seen."""
        return None if self.before is None else moved(self.place_before(item_id), place)


class NoList(Struct, frozen=True):
    """A record that is not a list: where it is, and why."""

    partition: int
    offset: int
    detail: str


def moved(place_before: int | None, place: int) -> Moved:
    """Return how an item moved that had this place in the list before (None: no place), and has that now."""
    if place_before is None:
        return "new"
    return "same" if place_before == place else "up" if place_before > place else "down"


class ListReader:
    """Reads the committed lists that arrive from now on, of all users or of some; a context manager.

    Raises ConfigurationError where the topic does not exist, FreshetError if no Kafka answers. A broker that
    goes away later is waited for.
    """

    def __init__(self, settings: Settings, users: Collection[str] = ()) -> None:
        self._settings = settings
        self._topic = settings.topics.recommendations
        self._keys = {user_id.encode() for user_id in users}
        self._before: dict[str, dict[str, str]] = {}
        self._from: dict[int, int] = {}  # partition -> offset of the first list that arrives from now on

    def __enter__(self) -> Self:
        self._kafka: KafkaConsumer = consumer(self._settings)
        try:
            with kafka_errors(self._settings):
                self._take_place()
        except BaseException:
            self._kafka.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._kafka.close()

    def arrivals(self) -> Iterator[Arrival | NoList]:
        """Yield what arrives, without end."""
        while True:
            with kafka_errors(self._settings):
                polled = self._kafka.poll(timeout_ms=POLL_MS)
            for records in polled.values():
                for record in records:
                    if self._keys and record.key not in self._keys:
                        continue
                    arrived = self._read(record)
                    if record.offset >= self._from[record.partition]:
                        yield arrived

    def _take_place(self) -> None:
        """Note where the topic ends, and stand a little before it."""
        from kafka import TopicPartition

        numbers = self._kafka.partitions_for_topic(self._topic)
        if not numbers:
            raise ConfigurationError(
                f"topic {self._topic!r} (recommendations) does not exist at "
                f"{self._settings.bootstrap_servers}; create it with `freshet topics create`"
            )
        partitions = [TopicPartition(self._topic, number) for number in sorted(numbers)]
        self._kafka.assign(partitions)
        beginnings = self._kafka.beginning_offsets(partitions)
        for at, end in self._kafka.end_offsets(partitions).items():
            self._from[at.partition] = end
            self._kafka.seek(at, max(beginnings[at], end - READ_BACK_RECORDS))

    def _read(self, record: Any) -> Arrival | NoList:  # noqa: ANN401 - kafka-python has no types
        """Read a record, and remember its list as the one before the next."""
        try:
            user_id, recommendations = _decode(record.key, record.value)
        except Refused as refused:
            return NoList(record.partition, record.offset, refused.detail)
        # Taken out and put back, so that the user who has been quiet for longest is the first.
        before = self._before.pop(user_id, None)
        self._before[user_id] = _titles(recommendations)
        if len(self._before) > REMEMBERED_USERS:
            del self._before[next(iter(self._before))]
        return Arrival(
            user_id=user_id,
            partition=record.partition,
            offset=record.offset,
            recommendations=recommendations,
            before=before,
        )


def _titles(recommendations: RecommendationList | None) -> dict[str, str]:
    """Return a list's titles by item id, best first; the id where there is no title."""
    items = recommendations.items if recommendations else ()
    return {item.item_id: item.title or item.item_id for item in items}


def _decode(key: bytes | None, value: bytes | None) -> tuple[str, RecommendationList | None]:
    """Return whose list this is and the list, None for a user who was erased; raises Refused."""
    if value is None:
        return _text_of(key), None
    recommendations = decode_list(value)
    user_id = recommendations.user_id
    if key != user_id.encode():
        raise Refused(
            "key", f"key: expected the text of the user id {shown(user_id)}, found {shown_key(key)}"
        )
    return user_id, recommendations


def _text_of(key: bytes | None) -> str:
    try:
        user_id = (key or b"").decode()
    except UnicodeDecodeError:
        user_id = ""
    if not user_id:
        raise Refused("key", f"key: expected the text of a user id, found {shown_key(key)}")
    return user_id
