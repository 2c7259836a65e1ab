"""What can happen to workers, their disks, the broker and the changelog; each fault is one function.

A fault takes the scene and its own chance, does its work (which may take seconds) and returns what it did, or
None if it makes no sense now. It leaves everything on the way back to work.
"""

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from streams.broker import OwnedBroker
from streams.connection import admin
from streams.identity import CHECKPOINTS
from streams.settings import Settings
from streams.topics.planning import COMPACTED
from tests.crash.crew import Crew, Slot

FROZEN_SECONDS = (7.0, 13.0)  # longer than a worker's session of 6 s
AWAY_SECONDS = (0.0, 4.0)
BROKER_AWAY_SECONDS = (0.5, 10.0)
COMPACTION_SECONDS = 25.0  # the broker's cleaner looks every 15 s
COMPACTING = {"segment.ms": "1000", "min.cleanable.dirty.ratio": "0.001", "max.compaction.lag.ms": "1000"}


@dataclass(slots=True)
class Scene:
    """Everything that faults can happen to."""

    settings: Settings
    broker: OwnedBroker
    crew: Crew
    outages: list[tuple[float, float]] = field(default_factory=list)  # when the broker was away
    compacting_until: float | None = None


@dataclass(slots=True)
class Done:
    """What a fault did, in words, and for how many seconds it kept something away."""

    what: str
    away_seconds: float = 0.0


Fault = Callable[[Scene, random.Random], Done | None]


def kill_worker(scene: Scene, rng: random.Random) -> Done | None:
    """SIGKILL, and back after a moment."""
    return _ended_and_back(scene, rng, Slot.kill, "killed")


def terminate_worker(scene: Scene, rng: random.Random) -> Done | None:
    """SIGTERM, and back after a moment."""
    codes: list[int | None] = []
    told = _ended_and_back(scene, rng, lambda slot: codes.append(slot.terminate()), "told to end")
    if told is not None and codes != [0]:
        told.what += f"; IT ENDED WITH {codes[0]}"
    return told


def wipe_disk(scene: Scene, rng: random.Random) -> Done | None:
    """SIGKILL, and back without its disk."""

    def kill_and_wipe(slot: Slot) -> None:
        slot.kill()
        slot.wipe()

    return _ended_and_back(scene, rng, kill_and_wipe, "killed, its disk wiped")


def damage_checkpoint(scene: Scene, rng: random.Random) -> Done | None:
    """SIGKILL, and back with the newest checkpoint cut in half, or with flipped bytes."""
    damage = rng.choice([_cut, _flip])
    damaged: list[Path] = []

    def kill_and_damage(slot: Slot) -> None:
        slot.kill()
        files = sorted((slot.data / CHECKPOINTS).glob("*.checkpoint"))
        for file in files[-1:]:
            damage(file, rng)
            damaged.append(file)

    what = f"killed, newest checkpoint {'cut in half' if damage is _cut else 'with flipped bytes'}"
    told = _ended_and_back(scene, rng, kill_and_damage, what)
    if told is not None and not damaged:
        told.what += "; there was none"
    return told


def freeze_worker(scene: Scene, rng: random.Random) -> Done | None:
    """SIGSTOP for longer than its session, then SIGCONT: the zombie."""
    slot = _any_running(scene, rng)
    if slot is None:
        return None
    seconds = rng.uniform(*FROZEN_SECONDS)
    slot.freeze()
    time.sleep(seconds)
    slot.thaw()
    return Done(f"{slot.name} frozen for {seconds:.1f} s", seconds)


def leave(scene: Scene, rng: random.Random) -> Done | None:
    """Let a worker leave in order and stay away."""
    if len(scene.crew.running) < 2:
        return None
    slot = rng.choice(scene.crew.running)
    slot.is_wanted = False
    code = slot.terminate()
    return Done(f"{slot.name} left" + ("" if code == 0 else f"; IT ENDED WITH {code}"))


def join(scene: Scene, rng: random.Random) -> Done | None:
    """Let a worker join."""
    absent = [slot for slot in scene.crew.slots if not slot.is_wanted]
    if not absent:
        return None
    slot = rng.choice(absent)
    slot.start()
    return Done(f"{slot.name} joined")


def stop_broker(scene: Scene, rng: random.Random) -> Done | None:
    """Stop the broker with SIGTERM, and start it again."""
    return _broker_away(scene, rng, scene.broker.stop, "stopped")


def kill_broker(scene: Scene, rng: random.Random) -> Done | None:
    """Kill the broker, and start it again."""
    return _broker_away(scene, rng, scene.broker.kill, "killed")


def compact_changelog(scene: Scene, rng: random.Random) -> Done | None:
    """Have the users' changelog cut into tiny segments and compacted; `end_compaction` undoes it."""
    if scene.compacting_until is not None:
        return None
    alter_changelog(scene.settings, COMPACTING)
    scene.compacting_until = time.time() + COMPACTION_SECONDS
    return Done(f"changelog compacted for {COMPACTION_SECONDS:.0f} s")


FAULTS: dict[str, tuple[Fault, int]] = {
    "kill worker": (kill_worker, 6),
    "terminate worker": (terminate_worker, 3),
    "freeze worker": (freeze_worker, 4),
    "worker leaves": (leave, 2),
    "worker joins": (join, 4),
    "wipe disk": (wipe_disk, 2),
    "damage checkpoint": (damage_checkpoint, 2),
    "stop broker": (stop_broker, 2),
    "kill broker": (kill_broker, 3),
    "compact changelog": (compact_changelog, 2),
}
"""Name -> the fault and how often it is drawn, relative to the others."""


def end_compaction(scene: Scene) -> None:
    """Let the changelog be as it was."""
    alter_changelog(scene.settings, dict.fromkeys(COMPACTING))
    scene.compacting_until = None


def alter_changelog(settings: Settings, changes: Mapping[str, str | None]) -> None:
    """Set settings of the changelog; None: the topic's own again."""
    from kafka.admin import AlterConfigOp, ConfigResource, ConfigResourceType

    configs = {}
    for name, value in changes.items():
        wanted = COMPACTED.get(name) if value is None else value
        configs[name] = (AlterConfigOp.DELETE, None) if wanted is None else (AlterConfigOp.SET, wanted)
    with admin(settings) as client:
        client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, settings.users_topic, configs)])


def _any_running(scene: Scene, rng: random.Random) -> Slot | None:
    running = scene.crew.running
    return rng.choice(running) if running else None


def _ended_and_back(
    scene: Scene, rng: random.Random, end: Callable[[Slot], object], what: str
) -> Done | None:
    slot = _any_running(scene, rng)
    if slot is None:
        return None
    seconds, began = rng.uniform(*AWAY_SECONDS), time.time()
    end(slot)
    time.sleep(seconds)
    slot.start()
    return Done(f"{slot.name} {what}, started again after {seconds:.1f} s", time.time() - began)


def _broker_away(scene: Scene, rng: random.Random, end: Callable[[], None], what: str) -> Done:
    seconds, since = rng.uniform(*BROKER_AWAY_SECONDS), time.time()
    end()
    time.sleep(seconds)
    starting = time.time()
    scene.broker.start()
    now = time.time()
    scene.outages.append((since, now))
    told = f"broker {what}, started again after {seconds:.1f} s, answered {now - starting:.1f} s later"
    return Done(told, now - since)


def _cut(file: Path, rng: random.Random) -> None:
    data = file.read_bytes()
    file.write_bytes(data[: len(data) // 2])


def _flip(file: Path, rng: random.Random) -> None:
    data = bytearray(file.read_bytes())
    for _ in range(3):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    file.write_bytes(data)
