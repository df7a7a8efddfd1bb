"""FastStream: ``python -m benchmarks.peers.fast_stream TOPIC EVENTS DATABASE_URL``.

Its Confluent broker with batches of 2,000, acknowledged after the handler; the handler inserts with the driver's
``executemany`` and commits. Repeated records are ignored by their key.
"""

import asyncio
import os
import sys
from typing import Any

from faststream import AckPolicy, FastStream
from faststream.confluent import KafkaBroker
from faststream.confluent.annotations import KafkaMessage

from benchmarks.bare import BATCH, connect
from benchmarks.peers.rows import NAMES, deserializer, row


async def run(topic: str, events: int, url: str) -> None:
    """Move ``events`` records of the topic into ``journey_events``."""
    connection, statement, moment = connect(url)
    broker = KafkaBroker(os.environ["KAFKAJOURNEY_BOOTSTRAP_SERVERS"], logger=None)
    application = FastStream(broker, logger=None)
    deserialize = deserializer(topic)
    left = events

    async def undecoded(message: Any) -> Any:
        return message.body

    @broker.subscriber(  # type: ignore[untyped-decorator]
        topic,
        group_id=f"faststream-{os.getpid()}",
        auto_offset_reset="earliest",
        batch=True,
        max_records=BATCH,
        ack_policy=AckPolicy.NACK_ON_ERROR,
        decoder=undecoded,
    )
    async def store(_values: list[Any], message: KafkaMessage) -> None:
        nonlocal left
        rows = [row(topic, m.partition(), m.offset(), deserialize(m.value())) for m in message.raw_message]
        for values in rows:
            values |= {name: moment(values[name]) for name in ("occurred_at", "stored_at")}
        batch = [tuple(values[name] for name in NAMES) for values in rows]
        connection.cursor().executemany(f"{statement} ON CONFLICT DO NOTHING", batch)
        connection.commit()
        left -= len(rows)
        if left <= 0:
            application.exit()

    await application.run()


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
