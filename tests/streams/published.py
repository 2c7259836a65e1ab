"""Lists as a worker publishes them, for tests that watch."""

from streams.events import RecommendationList, RecommendedItem, encode_list

MADE_AT = 1_763_880_000_123


def list_of(user_id: str, *item_ids: str, republished: bool = False, made_at: int = MADE_AT) -> bytes:
    """Return the message of a list; only items whose id begins with t have a title."""
    items = [
        RecommendedItem(
            item_id=item_id,
            score=0.5,
            title=f"Title {item_id}" if item_id[0] == "t" else None,
            reasons=["rising"],
        )
        for item_id in item_ids
    ]
    return encode_list(
        RecommendationList(
            user_id=user_id,
            made_at=made_at,
            event_time=made_at - 22,
            model_version="7f3a:1",
            positions={"clicks": (0, 1)},
            items=items,
            republished=republished,
        )
    )
