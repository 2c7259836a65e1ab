"""aiokafka's fetcher, which here hands out what was fetched a bounded piece at a time.

aiokafka bounds what it fetches in bytes as they come, compressed perhaps, and what it hands out in records.
So a fetch of well-packed messages could be gigabytes of records at once. It leans on internals of aiokafka
0.14.0, which tests/streams/test_transport_contract.py pins.
"""

from aiokafka.consumer import fetcher
from aiokafka.structs import ConsumerRecord

HANDED_OUT_BYTES = 2**20  # of a topic of a partition at once; a larger record comes by itself


class BoundedResult(fetcher.FetchResult):  # type: ignore[misc]
    """What was fetched of one partition of one topic, and is unpacked as it is handed out."""

    def getall(self, max_records: int | None = None) -> list[ConsumerRecord]:
        """Return the next records, as many as that, until they have HANDED_OUT_BYTES."""
        records: list[ConsumerRecord] = []
        size = 0
        while self.has_more() and size < HANDED_OUT_BYTES:
            if max_records is not None and len(records) >= max_records:
                break
            record = self.getone()
            if record is None:
                break
            records.append(record)
            size += len(record.key or b"") + len(record.value or b"")
        return records


def install() -> None:
    """Let every consumer of this process hand out bounded pieces."""
    fetcher.FetchResult = BoundedResult
