"""The decoders of what was learned: the examples log and the checkpoints."""

import json
import zlib
from collections.abc import Mapping

import numpy as np

from models.checkpoint import (
    MAGIC,
    CorruptCheckpointError,
    NewerCheckpointError,
    _digest,
    decode_checkpoint,
    encode_checkpoint,
)
from models.checkpoint import VERSION as CHECKPOINT_VERSION
from streams.examples import (
    CorruptExamplesError,
    Example,
    ExampleHistory,
    Examples,
    decode_examples,
    encode_examples,
)
from streams.recommender import Recommender
from streams.settings import Settings
from tests.fuzz.outcome import agree, attempt

EXAMPLES_HEADER_BYTES = 8
SETTINGS = Settings(device="cpu")
NOW_MS = 1_763_880_000_000


def sealed_examples(inner: bytes) -> bytes:
    """Compress the columns, and put the head of this version and a checksum before them."""
    head, body = encode_examples(Examples("w", 0))[:4], zlib.compress(inner, 1)
    return head + zlib.crc32(body).to_bytes(4, "little") + body


def _record(events: int) -> Examples:
    return Examples(
        "worker",
        2,
        {"clicks": (0, events), "purchases": (5, 9)},
        [ExampleHistory(2**63 + 1, [1, 2], [0, 3], [5, NOW_MS]), ExampleHistory(7)],
        [
            Example("clicks", number, number % 5, number % 4, NOW_MS + number, number % 3 == 0, number % 2)
            for number in range(events)
        ],
    )


EXAMPLES = tuple(
    zlib.decompress(encode_examples(record)[EXAMPLES_HEADER_BYTES:])
    for record in (Examples("w", 0, {"clicks": (0, 1)}), _record(1), _record(40))
)


def examples(data: bytes) -> bool:
    """Check a record of the examples log: it survives its encoding, and every worker can count it."""
    found = attempt(lambda: decode_examples(data), CorruptExamplesError)
    if found is None:
        return False
    agree("examples", decode_examples(encode_examples(found)), found)
    Recommender(SETTINGS).count_examples(found)
    return True


def sealed_checkpoint(body: bytes) -> bytes:
    """Put the head of this version, with the digest of the body, before it."""
    return MAGIC + CHECKPOINT_VERSION.to_bytes(4, "little") + _digest(body) + body


def _body(arrays: Mapping[str, np.ndarray], facts: dict[str, object]) -> bytes:
    return encode_checkpoint(arrays, facts)[len(sealed_checkpoint(b"")) :]


def _safetensors(header: object, buffer: bytes = b"") -> bytes:
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + buffer


def _array(dtype: str, size: int) -> dict[str, object]:
    return {"dtype": dtype, "shape": [4], "data_offsets": [0, size]}


_FACTS = {"facts": json.dumps({"steps": 4})}
CHECKPOINTS = (
    _body({}, {}),
    _body({"levels": np.arange(12.0).reshape(3, 4), "ids": np.array([1, 2**63], np.uint64)}, {"steps": 4}),
    _body({"none": np.zeros((0, 3), np.float32), "is": np.array(True)}, {"marks": [["clicks", 0, 7]]}),
    *(
        _safetensors({"__metadata__": _FACTS, "a": _array(dtype, size)}, bytes(size))
        for dtype, size in (("BF16", 8), ("F8_E4M3", 4), ("F4", 2), ("I8", 4), ("C64", 32))
    ),
    *(
        _safetensors(header)
        for header in ({}, [], {"__metadata__": {"facts": "7"}}, {"__metadata__": {"facts": "[" * 2000}})
    ),
)


def checkpoint(data: bytes) -> bool:
    """Check a checkpoint: arrays and facts survive their encoding."""
    found = attempt(lambda: decode_checkpoint(data), CorruptCheckpointError, NewerCheckpointError)
    if found is None:
        return False
    arrays, facts = found
    assert isinstance(facts, dict)
    again, facts_again = decode_checkpoint(encode_checkpoint(arrays, facts))
    agree("facts", facts_again, facts)
    agree("the arrays' names", sorted(again), sorted(arrays))
    for name, array in arrays.items():
        agree("an array's type", (again[name].dtype, again[name].shape), (array.dtype, array.shape))
        agree("an array", again[name].tobytes(), array.tobytes())
    return True
