"""One recommender, or several that share the users and follow each other's examples, in one process."""

import time
from array import array
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.prequential import BASELINES
from models.text import EncoderError
from models.trial import Trial
from state.memory import MemoryStore
from state.overlay import Overlay
from streams.encoding import OnProgress, open_encoding, wrong_encoder
from streams.evaluation.catalogue import Listing
from streams.evaluation.outcome import UNRANKED, UNSCORED
from streams.events import Interaction
from streams.examples import Examples, ExamplesRecorder, decode_examples
from streams.garbage import collect_seldom
from streams.identity import TEXTS
from streams.learned import digests
from streams.metrics import Metrics
from streams.recommender import Recommender, Record, Step
from streams.scoreboard import INTEREST, SCORER
from streams.settings import Settings

Put = Callable[[int, str, int | None], None]  # number of the event in the log, scorer, rank
_TRANSACTIONS = 4


@dataclass(frozen=True, slots=True)
class Sharing:
    """How many workers share the users, and by how many events of the log they hear of each other late."""

    workers: int = 1
    late_events: int = 100

    @property
    def transaction_events(self) -> int | None:
        """Events of the log whose examples are written together; None: nobody has to hear of them."""
        return None if self.workers == 1 else max(1, self.late_events // _TRANSACTIONS)

    def worker_of(self, user_id: str) -> int:
        """Return whose user this is: the same on every run."""
        digest = blake2b(user_id.encode(), digest_size=8).digest()
        return int.from_bytes(digest, "little") % self.workers


@dataclass(frozen=True, slots=True)
class _Message:
    """What a worker told the others: known to them from event `due` of the log on."""

    due: int
    sender: int
    examples: Examples
    item_ids: dict[int, str]


class RankTable:
    """The ranks of every scorer by the number of the event in the log."""

    def __init__(self) -> None:
        self._ranks = {scorer: array("i") for scorer in (SCORER, INTEREST, *BASELINES)}

    def grow(self, events: int) -> None:
        """Make room: what is not put is not scored."""
        for ranks in self._ranks.values():
            ranks.extend([UNSCORED] * (events - len(ranks)))

    def put(self, event: int, scorer: str, rank: int | None) -> None:
        """Take in a rank; None says that the event is scored and has none."""
        self._ranks[scorer][event] = rank or UNRANKED

    def by_scorer(self) -> dict[str, NDArray[np.int32]]:
        """Return scorer -> int32[events], without INTEREST where there was no interest model."""
        found = {scorer: np.array(ranks, np.int32) for scorer, ranks in self._ranks.items()}
        if (found[INTEREST] == UNSCORED).all():
            del found[INTEREST]
        return found


def texts_directory(settings: Settings) -> Path:
    """Return where vectors of texts are kept: with a worker's, or, without one, in the user's cache."""
    data = Path(settings.data_directory)
    return (data if data.is_dir() else Path.home() / ".cache" / "freshet") / TEXTS


class Team:
    """Takes chunks of a log: each event goes to the worker of its user, whose examples the others count."""

    def __init__(
        self,
        settings: Settings,
        sharing: Sharing,
        listing: Listing,
        put: Put,
        on_encoded: OnProgress = lambda _done, _total: None,
    ) -> None:
        """`on_encoded` hears of texts; raises ConfigurationError for an encoder that cannot be loaded."""
        self._sharing = sharing
        self._members = [
            _Member(settings, number, listing, put, on_encoded) for number in range(sharing.workers)
        ]
        for member in self._members:
            member.recommender.learner.share = 1 / sharing.workers
        self._messages: deque[_Message] = deque()
        collect_seldom()  # as a worker does

    @property
    def step_cpu_seconds(self) -> float:
        """CPU time of the steps that `step_events` counts."""
        return sum(member.step_cpu_seconds for member in self._members)

    @property
    def step_events(self) -> int:
        """Events of all steps but the first of each worker, in which compiled code is loaded."""
        return sum(member.step_events for member in self._members)

    @property
    def device(self) -> str:
        """Where the models compute."""
        return self._members[0].recommender.device

    @property
    def trial(self) -> Trial | None:
        """The first worker's trial of its interest model."""
        return self._members[0].recommender.learner.trial

    def step(self, first: int, chunk: Sequence[Interaction]) -> int:
        """Apply a chunk whose first event has this number in the log; return how many events were late."""
        self._deliver(first)
        if len(self._members) == 1:
            step = self._members[0].step([*enumerate(chunk, first)], None)
            return sum(step.late.values())
        late = 0
        shares: list[list[tuple[int, Interaction]]] = [[] for _ in self._members]
        for number, interaction in enumerate(chunk, first):
            shares[self._sharing.worker_of(interaction.user_id)].append((number, interaction))
        due = first + len(chunk) + self._sharing.late_events
        for member, share in zip(self._members, shares, strict=True):
            if share:
                step, examples = member.teach(share)
                late += sum(step.late.values())
                self._messages.append(_Message(due, member.number, examples, dict(step.new_item_ids)))
        return late

    def finish(self) -> list[str]:
        """Let everybody hear of everything; return the digest of each worker's counters."""
        while self._messages:
            self._deliver(self._messages[0].due)
        return [digests(member.recommender)["counters"] for member in self._members]

    def _deliver(self, event: int) -> None:
        """Let the others count what is due by this event, in the order in which it was told."""
        while self._messages and self._messages[0].due <= event:
            message = self._messages.popleft()
            for member in self._members:
                member.recommender.learn_item_ids(message.item_ids.items())
                if member.number != message.sender:
                    member.recommender.count_examples(message.examples)


class _Member:
    """One worker: a recommender, its own users, and the numbers that its events have in the log."""

    def __init__(
        self, settings: Settings, number: int, listing: Listing, put: Put, on_encoded: OnProgress
    ) -> None:
        self.number = number
        self.recommender = Recommender(settings, f"worker-{number}")
        self._enlist(settings, listing, on_encoded)
        self.step_cpu_seconds = 0.0
        self.step_events = 0
        self._store = MemoryStore()
        self._overlay = Overlay(self._store)
        self._numbers = array("q")
        self._put = put
        self.recommender.scoreboard.on_rank = self._take_rank

    def _enlist(self, settings: Settings, listing: Listing, on_encoded: OnProgress) -> None:
        """Take in what is listed, and bring all of its texts to vectors."""
        texts = open_encoding(settings, texts_directory(settings), Metrics()) if listing.items else None
        if texts is not None:
            self.recommender.assortment.read_texts(texts)
        for item in listing.items:
            self.recommender.assortment.enlist(item, listing.is_open)
        if texts is not None:
            try:
                texts.drain(on_encoded)
            except EncoderError as error:  # only its first text shows what is wrong with a model
                raise wrong_encoder(settings, error) from None
            finally:
                texts.stop()

    def step(self, share: Sequence[tuple[int, Interaction]], recorder: ExamplesRecorder | None) -> Step:
        """Apply events of one's own users, as a worker does, and write them into the store."""
        records = [self._record(number, interaction) for number, interaction in share]
        is_first = not self._numbers
        self._numbers.extend(number for number, _ in share)
        started = time.process_time()
        step = self.recommender.step(records, self._overlay, recorder)
        if not is_first:
            self.step_cpu_seconds += time.process_time() - started
            self.step_events += len(share)
        self.recommender.scoreboard.take_waiting()
        self._store.write(self._overlay.changes())
        self._overlay.settle()
        return step

    def teach(self, share: Sequence[tuple[int, Interaction]]) -> tuple[Step, Examples]:
        """Apply events like `step`; return also what a worker would have written of them for the others."""
        recommender = self.recommender
        recorder = ExamplesRecorder(recommender.settings.group, recommender.worker_id, self.number)
        step = self.step(share, recorder)
        spans: dict[str, tuple[int, int]] = {}
        for number, interaction in share:
            topic = recommender.settings.source_of(interaction.action)
            spans[topic] = (spans.get(topic, (number, 0))[0], number + 1)
        record = recorder.close(spans)
        if record is None:
            raise RuntimeError(f"events {share[0][0]} to {share[-1][0]} taught nothing")
        return step, decode_examples(record)

    def _record(self, number: int, interaction: Interaction) -> Record:
        """Return the record of a worker's source: the one of its action, at the log's number as offset."""
        topic = self.recommender.settings.source_of(interaction.action)
        return Record(topic, self.number, number, [interaction])

    def _take_rank(self, event: int, scorer: str, rank: int | None) -> None:
        self._put(self._numbers[event], scorer, rank)
