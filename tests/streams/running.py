"""Workers in processes of their own, an oracle that knows what was sent, and questions to both."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from streams.connection import admin, producer
from streams.guard import Guarded
from streams.identity import read_address
from streams.settings import Settings
from streams.topics import create_topics
from tests.streams.forking import Forked

START_SECONDS = 60.0
APPLY_SECONDS = 60.0


@dataclass
class WorkerProcess:
    """A `freshet worker`, and questions to it."""

    settings: Settings
    process: Guarded | Forked
    log: Path

    def get(self, path: str) -> tuple[int, str]:
        """Return the status and the body of an endpoint; status 0 while nothing answers."""
        address = read_address(Path(self.settings.data_directory))
        if address is None:
            return 0, ""
        try:
            with urllib.request.urlopen(f"http://{address.host}:{address.port}{path}", timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def wait_until(self, condition: Callable[[], bool], what: str, seconds: float = APPLY_SECONDS) -> None:
        """Wait for a condition; fails with the worker's log if it does not come true or the worker ends."""
        deadline = time.monotonic() + seconds
        while not condition():
            ended = self.process.returncode
            if ended is not None or time.monotonic() > deadline:
                told = self.log.read_text(encoding="utf-8")[-4000:]
                state = f"ended with {ended}" if ended is not None else f"{self.get('/ready')}"
                pytest.fail(f"{what}: not within {seconds} s; worker {state}\n{told}")
            time.sleep(0.1)

    def wait_ready(self) -> None:
        """Wait until the worker says that it is ready."""
        self.wait_until(lambda: self.get("/ready")[0] == 200, "ready", START_SECONDS)

    def metric(self, name: str) -> float:
        """Return the sum of a series over its labels."""
        lines = self.get("/metrics")[1].splitlines()
        return sum(
            float(line.rsplit(" ", 1)[1]) for line in lines if line.split("{")[0].split(" ")[0] == name
        )

    def user(self, user_id: str) -> dict[str, Any] | None:
        """Return what the worker remembers of a user."""
        status, body = self.get(f"/inspect/user/{user_id}")
        return json.loads(body) if status == 200 else None

    def describe(self) -> dict[str, Any]:
        """Return what the worker says of itself; empty while it does not answer."""
        status, body = self.get("/inspect/worker")
        return dict(json.loads(body)) if status == 200 else {}

    def partitions(self) -> set[int]:
        """Return the partitions of the worker."""
        return {lane["partition"] for lane in self.describe().get("partitions", [])}

    def lag(self) -> int:
        """Return the lag of all its topics and partitions; 1 while that is unknown."""
        lanes = self.describe().get("partitions", [])
        return sum(events for lane in lanes for events in lane["lag"].values()) if lanes else 1

    def has_applied(self, shop: "Shop") -> bool:
        """Whether every user's sequence here is as long as it has to be, and nothing waits."""
        return self.lag() == 0 and all(
            (found := self.user(user_id)) is not None
            and len(found["sequence"]) == len(shop.sequence(user_id))
            for user_id in shop.sent
        )

    def kill(self) -> None:
        """Kill the worker with SIGKILL, and wait for its end."""
        self.process.kill()
        self.process.wait(10)

    def stop(self) -> int:
        """Ask the worker to stop, and return its exit code."""
        self.process.terminate()
        return self.process.wait(30)


def expel(settings: Settings) -> None:
    """Let the group's coordinator forget all members, as it does when their sessions time out."""
    from kafka.admin import MemberToRemove

    with admin(settings) as client:
        (described,) = client.describe_groups([settings.group]).values()
        members = [MemberToRemove(member_id=member["member_id"]) for member in described["members"]]
        client.remove_group_members(settings.group, members)


@dataclass
class Shop:
    """Sends interactions to the source topics of some settings, and remembers them: the oracle."""

    settings: Settings
    sent: dict[str, list[tuple[int, str, int, str]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        create_topics(self.settings)
        self._producer = producer(self.settings, max_request_size=4 * 2**20)
        self.topics = dict(zip(("click", "purchase"), self.settings.sources, strict=True))

    def send(self, user_id: str, item_id: str, time_ms: int, action: str = "click") -> None:
        """Send one good interaction."""
        message = {"user_id": user_id, "item_id": item_id, "timestamp": time_ms}
        topic = self.topics[action]
        self._producer.send(topic, key=user_id.encode(), value=json.dumps(message).encode())
        self.sent.setdefault(user_id, []).append((time_ms, topic, len(self.sent.get(user_id, [])), item_id))

    def send_bytes(self, key: bytes | None, value: bytes | None, topic: str) -> None:
        """Send a record as it is."""
        self._producer.send(topic, key=key, value=value)

    def close(self) -> None:
        """Let go of the broker."""
        self._producer.close()

    def flush(self) -> None:
        """Wait until the broker has everything."""
        self._producer.flush()

    def sequence(self, user_id: str) -> list[str]:
        """Return the user's items in the order that a worker must keep them."""
        return [item for _, _, _, item in sorted(self.sent[user_id])][-self.settings.history_length :]

    @property
    def count(self) -> int:
        """How many good interactions were sent."""
        return sum(map(len, self.sent.values()))
