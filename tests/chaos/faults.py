"""The faults, each a function that does its damage and mends what others cannot mend by themselves."""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.chaos.fleet import Fleet, Member
from tests.stack import RealStack

SESSION_TIMEOUT = 6.0
"""Seconds after which the stack's broker takes a silent consumer's partitions."""


@dataclass
class Chaos:
    """What a fault can reach, and what was done so far."""

    stack: RealStack
    fleet: Fleet
    producer: Member
    rng: random.Random
    wait: Callable[[float], None]
    """Lets this many seconds pass, supervising meanwhile."""
    done: Counter[str] = field(default_factory=Counter)


Fault = Callable[[Chaos], None]


def kill_consumer(chaos: Chaos) -> None:
    """A consumer dies."""
    chaos.rng.choice(chaos.fleet.members).kill()


def kill_all_consumers(chaos: Chaos) -> None:
    """All consumers die at once."""
    for member in chaos.fleet.members:
        member.kill()


def kill_producer(chaos: Chaos) -> None:
    """The producer dies; the next one goes on with other events."""
    chaos.producer.kill()


def freeze_consumer(chaos: Chaos) -> None:
    """A consumer hangs until its partitions have moved, then wakes as a zombie."""
    member = chaos.rng.choice(chaos.fleet.members)
    member.freeze()
    chaos.wait(SESSION_TIMEOUT + chaos.rng.uniform(1, 4))
    member.wake()


def scale(chaos: Chaos) -> None:
    """A consumer joins and another one leaves."""
    group = chaos.rng.choice(("journey", "analytic"))
    chaos.fleet.add(group)
    chaos.wait(chaos.rng.uniform(0, 3))
    chaos.fleet.remove(chaos.rng.choice([m for m in chaos.fleet.members if m.name.startswith(group)]))


def cut_connections(chaos: Chaos) -> None:
    """Every connection to the database is cut, in the middle of whatever it does."""
    chaos.stack.database.cut()


def restart_database(chaos: Chaos) -> None:
    """The database server dies or stops, and comes back."""
    server = chaos.stack.database
    chaos.rng.choice((server.kill, server.stop))()
    chaos.wait(chaos.rng.uniform(0.5, 5))
    server.start()


def restart_broker(chaos: Chaos) -> None:
    """A broker is killed and comes back."""
    broker = chaos.rng.choice(chaos.stack.kafka.brokers)
    broker.kill()
    chaos.wait(chaos.rng.uniform(0.5, 3))
    broker.start()


def stop_registry(chaos: Chaos) -> None:
    """The registry is gone for a while; consumers that start meanwhile have to wait for it."""
    chaos.stack.registry.kill()
    chaos.wait(chaos.rng.uniform(1, 4))
    chaos.stack.registry.start()


WEIGHTS: dict[Fault, int] = {
    kill_consumer: 60,
    kill_all_consumers: 2,
    kill_producer: 6,
    freeze_consumer: 5,
    scale: 6,
    cut_connections: 10,
    restart_database: 4,
    restart_broker: 3,
    stop_registry: 4,
}
"""The faults of a mixed campaign, and how often each comes."""


def kills(done: Counter[str], consumers: int) -> int:
    """Return how many processes of ours were ended by SIGKILL."""
    return done["kill_consumer"] + done["kill_producer"] + consumers * done["kill_all_consumers"]
