"""The topics: what each is for, how it must be, creating what is missing, refusing what would not work.

What comes from partition p of a source is written to partition p of the others, so all but the catalogue and
the item ids have the sources' number of partitions. An existing topic is never changed.
"""

from streams.topics.planning import Role, TopicPlan, plan_topics
from streams.topics.verifying import (
    TopicLayout,
    TopicReport,
    check_topics,
    create_topics,
    verify_topics,
)

__all__ = [
    "Role",
    "TopicLayout",
    "TopicPlan",
    "TopicReport",
    "check_topics",
    "create_topics",
    "plan_topics",
    "verify_topics",
]
