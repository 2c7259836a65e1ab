"""Logs made by chance, for tests that evaluate."""

from pathlib import Path

import numpy as np

from streams.events import ActionName, Interaction

START_MS = 1_700_000_000_000


def random_log(seed: int, events: int, items: int = 60, users: int = 12) -> list[Interaction]:
    """Return events of skewed items; users come back to what they had, some moments hold several events."""
    random = np.random.default_rng(seed)
    pasts: list[list[int]] = [[] for _ in range(users)]
    log, now_ms = [], START_MS
    for _ in range(events):
        user = int(random.integers(users))
        past = pasts[user]
        item = int(min(random.geometric(0.08) - 1, items - 1))
        if past and random.random() < 0.4:
            item = past[int(random.integers(len(past)))]
        past.append(item)
        now_ms += int(random.integers(0, 3)) * 10_000
        action: ActionName = "purchase" if random.random() < 0.1 else "click"
        log.append(interaction(f"u{user}", f"i{item}", now_ms, action))
    return log


def interaction(user_id: str, item_id: str, time_ms: int, action: ActionName = "click") -> Interaction:
    """Return an interaction as the wire decodes it."""
    return Interaction(user_id=user_id, item_id=item_id, timestamp_ms=time_ms, action=action)


def write_log(folder: Path, log: list[Interaction]) -> Path:
    """Write a log as CSV."""
    path = folder / "events.csv"
    lines = [f"{e.user_id},{e.item_id},{e.timestamp_ms},{e.action}," for e in log]
    path.write_text("\n".join(["user_id,item_id,timestamp,action,value", *lines]) + "\n")
    return path
