"""Items in a running worker: recommended before their first click, gone with their removal or change."""

import itertools
import json
import time
from collections.abc import Callable

from streams.events import RecommendationList
from streams.settings import Settings
from tests.streams.running import Shop, WorkerProcess

START_MS = 1_700_000_000_000
CATEGORIES, LISTED = 4, 160
CLICKED = 12  # items of each category that everybody of it has clicked
NEWCOMER = 25
WITHIN_MS = 5_000  # from an item's message to lists that follow it

Lists = dict[str, RecommendationList]
Newest = Callable[[Settings], Lists]


class Floor:
    """Users who stay in one category each, a catalogue, and the lists that come back."""

    def __init__(self, shop: Shop, newest: Newest) -> None:
        self._shop = shop
        self._newest = newest
        self._rounds = {user: itertools.count(CLICKED) for user in (1, 2, NEWCOMER)}

    def say(self, item_id: str, category: int | None) -> int:
        """List an item in a category, or remove it; return when that was."""
        value = {"item_id": item_id, "title": f"Thing {item_id}", "categories": [f"c{category}"]}
        data = None if category is None else json.dumps(value).encode()
        self._shop.send_bytes(item_id.encode(), data, self._shop.settings.topics.items)
        self._shop.flush()
        return time.time_ns() // 1_000_000

    def click(self, user: int, number: int) -> int:
        """Let a user click on an item of the own category; return when that was, by the stream's time."""
        time_ms = START_MS + 1000 * self._shop.count
        self._shop.send(f"u{user}", f"i{number * CATEGORIES + user % CATEGORIES}", time_ms)
        return time_ms

    def next_list(self, user: int) -> RecommendationList:
        """Let a user click on what they never had; return the list that follows."""
        time_ms = self.click(user, next(self._rounds[user]))
        self._shop.flush()
        until = time.monotonic() + 30
        while (found := self._newest(self._shop.settings)[f"u{user}"]).event_time != time_ms:
            assert time.monotonic() < until, f"no list follows the event at {time_ms}"
        return found

    def follows(self, said_ms: int, user: int, item_id: str, is_there: bool) -> None:
        """Let a user click until a list has an item, or has it no more; it must not take long."""
        while True:
            found = self.next_list(user)
            if (item_id in {item.item_id for item in found.items}) == is_there:
                break
            assert found.made_at < said_ms + WITHIN_MS, f"{item_id} in the list of u{user}: {not is_there}"


def test_items_come_into_lists_before_their_first_click_and_leave_them(
    settings_for: Callable[..., Settings],
    start_worker: Callable[..., WorkerProcess],
    open_shop: Callable[[Settings], Shop],
    newest_lists: Newest,
) -> None:
    """A new item is soon in a list of its category; removed, or moved to another category, soon in none."""
    settings = settings_for(exclude="seen")
    shop = open_shop(settings)
    floor = Floor(shop, newest_lists)
    for item in range(LISTED):
        floor.say(f"i{item}", item % CATEGORIES)
    for number in range(600):
        floor.click(number % 24, number // 24 % CLICKED)
    worker = start_worker(settings)
    worker.wait_ready()
    worker.wait_until(lambda: worker.has_applied(shop), "applied")

    floor.follows(floor.say("new", category=1), user=1, item_id="new", is_there=True)
    moved_ms = floor.say("new", category=2)
    floor.follows(moved_ms, user=2, item_id="new", is_there=True)
    floor.follows(moved_ms, user=1, item_id="new", is_there=False)
    floor.follows(floor.say("new", None), user=2, item_id="new", is_there=False)
    popular = floor.next_list(NEWCOMER).items[0].item_id
    assert popular in {item_id for each in shop.sent.values() for _, _, _, item_id in each}
    floor.follows(floor.say(popular, None), NEWCOMER, popular, is_there=False)
    assert worker.metric("freshet_item_to_recommendable_seconds_count") == 2


def test_published_lists_lose_a_removed_item_although_nobody_acts(
    settings_for: Callable[..., Settings],
    start_worker: Callable[..., WorkerProcess],
    open_shop: Callable[[Settings], Shop],
    newest_lists: Newest,
) -> None:
    """A removal is followed by lists of quiet users, also one while nobody ran; no event counts again."""
    settings = settings_for(republish="on removal")
    shop = open_shop(settings)
    floor = Floor(shop, newest_lists)
    for item in range(LISTED):
        floor.say(f"i{item}", item % CATEGORIES)
    for number in range(600):
        floor.click(number % 24, number // 24 % CLICKED)
    worker = start_worker(settings)
    worker.wait_ready()
    worker.wait_until(lambda: worker.has_applied(shop), "applied")

    def are_followed(removed: list[str], before: Lists, users: set[str]) -> None:
        """Wait until nobody's list has the items; the users have lists anew, at the positions of before."""
        worker.wait_until(lambda: not having(newest_lists(settings), removed), f"lists without {removed}")
        after = newest_lists(settings)
        assert {user for user in after if after[user].made_at != before[user].made_at} == users
        assert all(after[user].republished and after[user].items for user in users)
        for user in users:
            assert after[user].positions == before[user].positions
            assert after[user].event_time == before[user].event_time

    before = newest_lists(settings)
    popular = [item.item_id for item in before["u1"].items]
    users = having(before, popular[:1])
    floor.say(popular[0], None)
    are_followed(popular[:1], before, users)
    made = worker.metric("freshet_republished_lists_total")
    assert made == len(users)

    before = newest_lists(settings)
    floor.say(popular[1], None)
    worker.wait_until(lambda: worker.metric("freshet_republished_lists_total") > made, "some made again")
    worker.kill()
    # Some had the third item before, others got it in the place of the second.
    users = having(before, popular[1:3]) | having(newest_lists(settings), popular[2:3])
    floor.say(popular[2], None)
    worker = start_worker(settings)
    worker.wait_ready()
    are_followed(popular[1:3], before, users)
    assert worker.has_applied(shop)


def having(lists: Lists, item_ids: list[str]) -> set[str]:
    """Return the users in whose list one of the items is."""
    return {user for user in lists if any(item.item_id in item_ids for item in lists[user].items)}
