"""Changes that bytes suffer: flipped, overwritten, cut out, doubled, spliced, made longer."""

import random

INTERESTING = (
    *(b"\0", b"\xff", b"\x7f", b"\x80", b"\xff\xff", b"\xff" * 4, b"\xff" * 8, b"\0" * 8),
    *(b"\xff" * 7 + b"\x7f", b"\x91" * 80, b"\xcf" + b"\xff" * 8),
    *(kind + b"\xff" * 4 for kind in (b"\xdd", b"\xdf", b"\xc6", b"\xdb")),  # long MessagePack
    *(b"[" * 80, b'{"a":' * 80, b"1e999", b"NaN", b"-", b"\\ud800", b"9" * 700, b"null", b"true"),
    *(b"[]", b"{}", b'"', "é😀".encode(), b"\xed\xa0\x80", b"\r\n", b",", b'""'),
)


def mutate(data: bytes, other: bytes, rng: random.Random) -> bytes:
    """Return data after one to four changes; `other` lends pieces."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        place = rng.randint(0, len(changed))
        end = min(len(changed), place + rng.choice((1, 2, 4, 8, 30, 10_000)))
        kind = rng.randrange(8)
        if kind == 0 and place < len(changed):
            changed[place] ^= 1 << rng.randrange(8)
        elif kind == 1 and place < len(changed):
            changed[place] = rng.randrange(256)
        elif kind == 2:
            del changed[place:end]
        elif kind == 3:
            changed[place:place] = changed[place:end]
        elif kind == 4:
            changed[place:end] = rng.choice(INTERESTING)
        elif kind == 5:
            changed[place:place] = rng.choice(INTERESTING)
        elif kind == 6 and other:
            start = rng.randrange(len(other))
            changed[place:end] = other[start : start + rng.choice((1, 4, 8, 50, 10_000))]
        else:
            changed += rng.randbytes(rng.randint(1, 9))
    return bytes(changed)
