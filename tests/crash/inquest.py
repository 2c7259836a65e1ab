"""After the torment: waits until all is done, reads everything, and compares it with the oracle."""

import time
from collections import Counter
from dataclasses import dataclass, field

from streams.identity import read_identity
from streams.settings import Settings
from tests.crash import reading, verifying
from tests.crash.crew import Slot
from tests.crash.faults import Scene
from tests.crash.oracle import Expected, Position, expect
from tests.crash.verifying import Difference

DRAIN_SECONDS = 120.0
AGREE_SECONDS = 60.0


@dataclass(slots=True)
class Inquest:
    """What was found to be different, and what there was."""

    differences: list[Difference] = field(default_factory=list)
    facts: dict[str, float] = field(default_factory=dict)


def hold_inquest(history_length: int, scene: Scene) -> Inquest:
    """Compare everything with the oracle; the workers are stopped on the way."""
    settings, inquest = scene.settings, Inquest()
    expected = expect(reading.read_sources(settings, settings.inputs), history_length)
    began = time.time()
    commits = _drained(scene, expected)
    inquest.differences += verifying.check_offsets("committed offset", expected.ends, commits)
    inquest.facts["seconds until committed"] = round(time.time() - began, 1)
    taught = reading.read_examples(settings)
    must = verifying.true_occurrences(expected, taught)
    overtaken = verifying.overtaken_occurrences(expected, taught)
    counters = verifying.counters_digest(must)
    described = _agreed(scene, counters, AGREE_SECONDS)
    changelog = reading.read_changelog(settings)
    partitions = settings.topics.partitions
    inquest.differences += verifying.check_workers(described, changelog, counters, partitions)
    inquest.differences += verifying.check_users(expected, changelog.users)
    inquest.differences += verifying.check_exclusions(expected, changelog.excluded)
    inquest.differences += verifying.check_offsets("next offset", expected.ends, changelog.next_offsets)
    inquest.differences += verifying.check_examples(expected, taught)
    dead_letters = reading.read_dead_letters(settings)
    inquest.differences += verifying.check_dead_letters(expected, dead_letters)
    inquest.differences += verifying.check_receipts(expected, reading.read_receipts(settings))
    lists = reading.read_lists(settings)
    inquest.differences += verifying.check_lists(expected, lists)
    for slot in scene.crew.slots:
        _check_worker(slot, settings, expected, must, taught, inquest)
    inquest.facts |= {
        "records": sum(expected.ends.values()),
        "counted": sum(must.values()),
        "users": len(expected.users),
        "duplicates": expected.duplicates,
        "retracted": expected.removed,
        "retractions without a match": expected.unmatched,
        "erasures": sum(map(len, expected.erasures.values())),
        "older than an erasure": len(expected.perhaps_counted),
        "of these dropped": overtaken.total(),
        "bad records": len(expected.dead),
        "dead letters": len(dead_letters),
        "lists": sum(listed.lists for listed in lists.values()),
        "changelog records": changelog.records,
        "changelog offsets": changelog.offsets,
    }
    return inquest


def _drained(scene: Scene, expected: Expected) -> dict[tuple[str, int], int]:
    """Wait until the group has committed everything; return what it has committed by then."""
    deadline = time.time() + DRAIN_SECONDS
    while True:
        commits = reading.read_commits(scene.settings)
        is_done = all(commits.get(at) == end for at, end in expected.ends.items())
        if (is_done and scene.crew.all_ready()) or time.time() > deadline:
            return commits
        scene.crew.tend()
        time.sleep(0.5)


def _agreed(scene: Scene, counters: str, seconds: float) -> dict[str, dict[str, object]]:
    """Wait until every worker's counters are the oracle's; return what each says of itself by then."""
    deadline = time.time() + seconds
    while True:
        described = {slot.name: slot.describe() for slot in scene.crew.slots}
        found = [of.get("digests", {}).get("counters") for of in described.values()]
        if all(digest == counters for digest in found) or time.time() > deadline:
            return described
        time.sleep(0.5)


def _check_worker(
    slot: Slot,
    settings: Settings,
    expected: Expected,
    must: Counter[int],
    taught: dict[str, list[Position]],
    inquest: Inquest,
) -> None:
    """Stop a worker, and look at what it had learned."""
    skipped = slot.listen().get("freshet_skipped_learning_total", 0.0)
    slot.is_wanted = False
    code = slot.terminate()
    if code != 0:
        inquest.differences.append(Difference("exit code", slot.name, 0, code))
    learned = reading.read_checkpoint(settings, slot.data)
    identity = read_identity(slot.data, settings.group)
    applied = len(taught.get(identity.worker_id, ())) if identity else 0
    inquest.differences += verifying.check_marks(slot.name, expected, learned.marks)
    inquest.differences += verifying.check_occurrences(slot.name, must, learned.occurrences)
    inquest.differences += verifying.check_learning(slot.name, applied, skipped, learned)
    inquest.facts |= {
        f"{slot.name} made durable": applied,
        f"{slot.name} learned from": learned.events,
        f"{slot.name} skipped": skipped,
        f"{slot.name} counted of what was dropped": sum(learned.occurrences.values()) - must.total(),
    }
