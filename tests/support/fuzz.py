"""Records for fuzzing the consumers: mostly broken, in every way that a record can be; the same for the same seed."""

import io
import random
import struct
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, NamedTuple

import fastavro

from kafkajourney.avro.catalogue import load
from producer.simulator import simulate

Header = tuple[str, bytes | None]


class Fuzzed(NamedTuple):
    """A record to produce."""

    key: bytes | None
    value: bytes | None
    headers: list[Header]


def records(seed: int, ids: dict[str, int]) -> Iterator[Fuzzed]:
    """Yield records without end; ``ids`` are the schema ids of the newest versions by type name."""
    rng = random.Random(seed)
    schemas = {t.name: fastavro.parse_schema(t.newest.definition) for t in load().values()}
    events = list(islice(simulate(50, seed), 2000))
    while True:
        event = rng.choice(events)
        name = type(event).__name__
        value = _wire(ids[name], schemas[name], event)
        damage = rng.choices(list(DAMAGES), list(DAMAGES.values()))[0]
        yield Fuzzed(_key(rng, event.user_id), damage(rng, value), _headers(rng))


def _wire(schema_id: int, schema: Any, event: Any) -> bytes:
    body = io.BytesIO()
    fastavro.schemaless_writer(body, schema, vars(event))
    return struct.pack(">bI", 0, schema_id) + body.getvalue()


def _key(rng: random.Random, user_id: str) -> bytes | None:
    """Return the right key, or a wrong one, or none."""
    return rng.choice([user_id.encode(), user_id.encode(), rng.randbytes(rng.randrange(40)), b"", None])


def _headers(rng: random.Random) -> list[Header]:
    """Return no headers mostly; some odd ones, also such as dead letters have."""
    odd: list[Header] = [
        ("", b""),
        ("ä\n", None),
        ("kafkajourney.offset", b"x"),
        ("k", rng.randbytes(20)),
        ("k", b"twice"),
    ]
    return rng.sample(odd, rng.randrange(len(odd))) if rng.random() < 0.1 else []


# Ways to damage a record in the wire format.


def good(_rng: random.Random, value: bytes) -> bytes | None:
    return value


def null(_rng: random.Random, _value: bytes) -> bytes | None:
    return None


def random_bytes(rng: random.Random, _value: bytes) -> bytes | None:
    return rng.randbytes(rng.randrange(200))


def random_body(rng: random.Random, value: bytes) -> bytes | None:
    return value[:5] + rng.randbytes(rng.randrange(200))


def flipped_bits(rng: random.Random, value: bytes) -> bytes | None:
    damaged = bytearray(value)
    for _ in range(rng.randint(1, 4)):
        damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
    return bytes(damaged)


def cut(rng: random.Random, value: bytes) -> bytes | None:
    return value[: rng.randrange(len(value))]


def bytes_added(rng: random.Random, value: bytes) -> bytes | None:
    place = rng.randrange(len(value) + 1)
    return value[:place] + rng.randbytes(rng.randint(1, 8)) + value[place:]


def bytes_removed(rng: random.Random, value: bytes) -> bytes | None:
    place = rng.randrange(len(value))
    return value[:place] + value[place + rng.randint(1, 8) :]


def unknown_id(rng: random.Random, value: bytes) -> bytes | None:
    return struct.pack(">bI", 0, 1_000_000 + rng.randrange(5)) + value[5:]


def another_types_id(rng: random.Random, value: bytes) -> bytes | None:
    return struct.pack(">bI", 0, rng.randint(1, 10)) + value[5:]


def huge(rng: random.Random, value: bytes) -> bytes | None:
    """Claim a string of up to 400 kB where the first one is, and have it or not."""
    length = rng.randrange(400_000)
    claimed = io.BytesIO()
    fastavro.schemaless_writer(claimed, "long", length)
    return value[:5] + claimed.getvalue() + (b"x" * length if rng.random() < 0.5 else b"")


DAMAGES: dict[Callable[[random.Random, bytes], bytes | None], float] = {
    good: 30,
    null: 3,
    random_bytes: 10,
    random_body: 10,
    flipped_bits: 25,
    cut: 8,
    bytes_added: 6,
    bytes_removed: 6,
    unknown_id: 1,
    another_types_id: 6,
    huge: 0.1,
}
"""The ways and how often each is taken."""
