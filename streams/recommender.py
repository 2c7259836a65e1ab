"""From interactions to lists: applies, scores before it learns, counts, ranks. Plain and synchronous.

The worker and `freshet evaluate` drive the same `step`. It knows no Kafka and no Faust, only decoded records
with their positions; it changes no store, only the overlay of a partition's users.
"""

from collections.abc import Iterable, Sequence

from models.catalog import UNKNOWN, Catalog, KeyCollision
from models.counts import Counts
from models.effort import EFFORTS, FULL, Effort, Pace
from models.learner import Learner
from models.lessons import Lesson, Past
from models.ranking import Ranker
from state.overlay import Overlay, User
from streams.assortment import Assortment
from streams.device import device_of
from streams.durable_ids import DurableIds
from streams.events import (
    ACTIONS,
    Interaction,
    Line,
    RecommendationList,
    Refused,
    Retraction,
)
from streams.examples import Examples, ExamplesRecorder
from streams.hearsay import count_examples
from streams.instants import Event, are_tied
from streams.interest import interest_of
from streams.listing import NOTHING, Lister
from streams.scoreboard import Scoreboard
from streams.settings import Settings
from streams.steps import Record, Step
from streams.teaching import Teaching
from streams.withdrawal import pass_over, retract

__all__ = ["ACTION_CODES", "Recommender", "Record", "Step"]

ACTION_CODES = {name: code for code, name in enumerate(ACTIONS)}


class Recommender:
    """One worker's model over the users of all its partitions. Every call belongs to one thread."""

    def __init__(self, settings: Settings, worker_id: str = "local") -> None:
        self.settings = settings
        self.worker_id = worker_id
        self.catalog = Catalog()
        self.counts = Counts(self.catalog)
        self.ranker = Ranker(self.catalog, self.counts)
        interest = interest_of(settings, device_of(settings))
        self.learner = Learner(device=settings.device, seed=settings.seed, interest=interest)
        self.assortment = Assortment(self.catalog, self.counts, self.ranker, self.learner, settings.content)
        self._pace = Pace()
        self.effort = EFFORTS.get(settings.effort, FULL)
        self.scoreboard = Scoreboard(self.learner)
        self.teaching = Teaching(self.catalog, self.ranker, self.learner, self.scoreboard.put)
        self._lister = Lister(
            *(self.catalog, self.ranker, self.learner, settings.list_length, settings.exclude != "nothing")
        )
        self.variant = {"seen": "new", "nothing": "all", "purchased": "unpurchased"}[settings.exclude]
        self.examples_positions: dict[int, int] = {}  # partition of the examples log -> where to go on
        self.durable_ids = DurableIds(self.catalog)
        self.stream_time_ms: dict[int, int] = {}  # partition -> the newest event time

    @property
    def effort(self) -> Effort:
        """How much work an event may cost; it can be set at any time between two steps."""
        return self.ranker.effort

    @effort.setter
    def effort(self, effort: Effort) -> None:
        self.ranker.effort = self.learner.effort = effort

    @property
    def events(self) -> int:
        """How many interactions taught something: the number of the next one."""
        return self.teaching.events

    @property
    def skipped(self) -> int:
        """How many of our own interactions a crash kept the ranker from learning, ever."""
        return self.teaching.skipped

    @property
    def marks(self) -> dict[tuple[str, int], int]:
        """(topic, partition) -> the offset after the last record that was counted and learned from."""
        return self.teaching.marks

    @property
    def device(self) -> str:
        """Where the model computes, but for what is quicker on a CPU anyway."""
        interest = self.learner.interest
        return self.learner.device if interest is None else interest.device

    @property
    def model_version(self) -> str:
        """worker:steps, comparable within one worker."""
        return f"{self.worker_id}:{self.learner.steps}"

    def keep_pace(self, behind_seconds: float, now_seconds: float) -> None:
        """With `effort = "auto"`, do less for an event while the oldest that waits is this old."""
        if self.settings.effort == "auto":
            self.effort = self._pace.choose(behind_seconds, now_seconds)

    def step(
        self, records: Sequence[Record], overlay: Overlay, recorder: ExamplesRecorder | None = None
    ) -> Step:
        """Apply records in order: score each event before it is learned, count it, put it in its history.

        `recorder` takes down what every event teaches, for the other workers.
        """
        step, instant, settings = Step(), list[Event](), self.settings
        overlay.load(line.user_id for record in records for line in record.interactions)
        self.teaching.open(is_told=recorder is not None)
        for record in records:
            try:
                rows = [self._admit(line) for line in record.interactions]
            except KeyCollision as collision:
                step.refused.append((record, Refused("item_id", f"item_id: {collision}")))
                continue
            is_taught = self.teaching.is_taught(record)
            if not is_taught:
                self.teaching.begin(record, sum(not event.is_taught for event in instant))
            for number, (row, line) in enumerate(zip(rows, record.interactions, strict=True)):
                user = overlay.user(line.user_id)
                if isinstance(line, Retraction):
                    self._apply_instant(instant, step, recorder)
                    instant = []
                    retract(record, line, user, step, settings.exclude, recorder)
                    continue
                weight = settings.weight_of(line.action, record.topic)
                event = Event(record, number, line, user, row, self.catalog.key(row), weight, is_taught)
                if instant and not are_tied(instant, event):
                    self._apply_instant(instant, step, recorder)
                    instant = []
                if line.event_id is not None and user.state.has_event(
                    line.event_id, record.topic, record.offset
                ):
                    pass_over(record, user, step)
                elif settings.batch_ties:
                    instant.append(event)
                else:
                    self._apply_alone(event, step, recorder)
        self._apply_instant(instant, step, recorder)
        self.teaching.close()
        self.scoreboard.take_scored()
        return step

    def recommend(self, users: Iterable[User], partition: int) -> list[RecommendationList]:
        """Rank for the users, for the time of their partition's stream; empty where nothing can be said."""
        stream_ms = self.stream_time_ms.get(partition, 0)
        return self._lister.make([*users], partition, stream_ms, self.model_version)

    def count_examples(self, examples: Examples) -> int:
        """Count what another's transaction taught, and our own of before a crash, each event once.

        Returns the events counted. A crash kept our ranker from learning those of them that are our own.
        """
        for erased in examples.erased:
            self.forget(erased)
        counted = count_examples(
            *(examples, self.catalog, self.counts, self.assortment.content, self.teaching),
            history_length=self.settings.history_length,
        )
        if examples.worker_id == self.worker_id:
            self.teaching.skipped += counted
        return counted

    def forget(self, whose: int) -> None:
        """Learn no longer from what an erased user did: what is kept to be learned from is thrown away.

        `whose` is the hash of the user.
        """
        self.learner.forget(whose)

    def learn_item_ids(self, ids: Iterable[tuple[int, str]]) -> None:
        """Take in item ids that are durable: the catalogue of other workers, or one's own of before."""
        self.durable_ids.learn(ids)

    def item_id(self, key: int) -> str | None:
        """Return the id of an item key, None if it was never heard of."""
        row = self.catalog.row(key)
        return self.catalog.item_id(row) if row >= 0 else None

    def _admit(self, line: Line) -> int:
        """Return an item's row. What was gathered is taught before it could tell what the item is called."""
        if isinstance(line, Retraction):
            return UNKNOWN
        if self.catalog.is_nameless(line.item_id):
            self.teaching.hand_over()
        return self.catalog.admit(line.item_id)

    def _apply_instant(self, instant: Sequence[Event], step: Step, recorder: ExamplesRecorder | None) -> None:
        """Apply the events in order; each is to be tested by what was there before any of them."""
        if len(instant) == 1:
            self._apply_alone(instant[0], step, recorder)
            return
        pasts = {event.user.user_id: self._past(event.user) for event in instant}
        before = [(pasts[event.user.user_id], self._is_tested(event)) for event in instant]
        lessons = []
        for event, (asked, is_tested) in zip(instant, before, strict=True):
            counted = self._past(event.user)._replace(excluded=NOTHING)
            lesson = self._apply(event, asked, counted, is_tested, step, recorder)
            if not event.is_taught:
                lessons.append((event.record, lesson))
        if lessons:
            self.teaching.add_instant(lessons)

    def _apply_alone(self, event: Event, step: Step, recorder: ExamplesRecorder | None) -> None:
        """Apply an event that is an instant of its own."""
        past = self._past(event.user)
        lesson = self._apply(event, past, past, self._is_tested(event), step, recorder)
        if not event.is_taught:
            self.teaching.add(event.record, lesson)

    def _is_tested(self, event: Event) -> bool:
        """Whether an event was to be predicted: it is a target, not late, and may be recommended."""
        if event.is_taught or event.weight == 0:
            return False
        if event.interaction.timestamp_ms < event.user.state.newest_time_ms:
            return False
        return self.settings.exclude == "nothing" or not event.user.exclusions.contains(event.key)

    def _apply(
        self,
        event: Event,
        asked: Past,
        counted: Past,
        is_tested: bool,
        step: Step,
        recorder: ExamplesRecorder | None,
    ) -> Lesson:
        """Apply an event that is to be tested by `asked`, and counted after `counted`; return its lesson."""
        interaction = event.interaction
        action, time_ms = ACTION_CODES[interaction.action], interaction.timestamp_ms
        whose = 0 if recorder is None else self._record(event, action, recorder)
        is_late = self._remember(event, action, step)
        return Lesson(
            row=event.row,
            action=action,
            time_ms=time_ms,
            asked=asked,
            counted=counted,
            known=len(self.catalog),
            is_tested=is_tested,
            is_late=is_late,
            weight=event.weight,
            whose=whose,
        )

    def _record(self, event: Event, action: int, recorder: ExamplesRecorder) -> int:
        """Take down what an event teaches; return the hash of its user.

        Whose it is matters only where others are told of it: there its user may be erased.
        """
        record, time_ms = event.record, event.interaction.timestamp_ms
        return recorder.add(event.user, record.topic, record.offset, event.key, action, time_ms)

    def _remember(self, event: Event, action: int, step: Step) -> bool:
        """Put an event into its user's history; return whether it was late."""
        record, interaction, user, topic = event.record, event.interaction, event.user, event.record.topic
        is_late = user.state.insert(
            item_key=event.key,
            action_code=action,
            time_ms=interaction.timestamp_ms,
            topic=topic,
            offset=record.offset,
            line=event.line,
            event_id=interaction.event_id,
            history_length=self.settings.history_length,
        )
        if self._excludes(interaction):
            user.exclusions.add(event.key)
        user.changed = True
        if interaction.timestamp_ms > self.stream_time_ms.get(record.partition, 0):
            self.stream_time_ms[record.partition] = interaction.timestamp_ms
        if event.row not in self.durable_ids:
            step.new_item_ids[event.key] = interaction.item_id
        applied = (topic, interaction.action)
        step.applied[applied] = step.applied.get(applied, 0) + 1
        if is_late:
            step.late[topic] = step.late.get(topic, 0) + 1
        return is_late

    def _past(self, user: User) -> Past:
        """Return a user's past as it is now; the state replaces its columns, and never changes them."""
        state = user.state
        return Past(
            state.item_keys,
            state.actions,
            state.times_ms,
            state.repeat_keys,
            state.repeat_counts,
            state.repeat_times_ms,
            self._lister.excluded(user),
        )

    def _excludes(self, interaction: Interaction) -> bool:
        """Whether what the user did excludes the item from their lists."""
        exclude = self.settings.exclude
        return exclude == "seen" or (exclude == "purchased" and interaction.action == "purchase")
