"""The simulator: believable journeys, and the same ones again for the same seed."""

from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count, islice, pairwise

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafkajourney.avro import catalogue
from kafkajourney.events import Event
from producer.simulator import PAGES, SHOP, simulate
from schemas.events import PageViewed, UrlClicked, VideoPlayed

START = datetime(2026, 3, 14, 9, 26, 53, 589793, tzinfo=UTC)

TYPES = {"ButtonClicked", "FormSubmitted", "PageViewed", "SearchPerformed", "UrlClicked", "VideoPlayed"}


def ticking() -> Callable[[], datetime]:
    """Return a clock that goes on by 0.7 ms each time it is read."""
    ticks = count()
    return lambda: START + timedelta(microseconds=700 * next(ticks))


def simulated(events: int, users: int = 20, seed: int | None = 7) -> list[Event]:
    return list(islice(simulate(users, seed, ticking()), events))


@pytest.fixture(scope="module")
def events() -> list[Event]:
    return simulated(10_000)


@pytest.fixture(scope="module")
def sessions(events: list[Event]) -> dict[str, list[Event]]:
    by_session: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        by_session[event.session_id].append(event)
    return by_session


@given(seed=st.integers(), users=st.integers(1, 50))
def test_the_same_seed_gives_the_same_events(seed: int, users: int) -> None:
    assert simulated(40, users, seed) == simulated(40, users, seed)


def test_the_clock_changes_nothing_but_the_time() -> None:
    def timeless(event: Event) -> dict[str, object]:
        return vars(event) | {"occurred_at": None}

    now = [timeless(event) for event in islice(simulate(5, seed=1), 500)]
    assert now == [timeless(event) for event in simulated(500, users=5, seed=1)]


def test_other_seeds_give_other_events() -> None:
    assert simulated(50, seed=1) != simulated(50, seed=2)


def test_event_ids_are_unique_in_a_run_and_without_a_seed_across_runs(events: list[Event]) -> None:
    ids = [e.event_id for run in (events, simulated(500, seed=None), simulated(500, seed=None)) for e in run]
    assert len(set(ids)) == len(ids)
    assert {event_id.version for event_id in ids} == {4}


def test_times_are_those_of_the_clock_in_utc_whole_milliseconds(events: list[Event]) -> None:
    assert events[0].occurred_at == START.replace(microsecond=589000)
    assert all(event.occurred_at.tzinfo is UTC for event in events)
    assert all(event.occurred_at.microsecond % 1000 == 0 for event in events)


def test_the_default_clock_is_the_present() -> None:
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    assert before <= next(simulate(1)).occurred_at <= datetime.now(UTC)


def test_times_never_go_back(events: list[Event]) -> None:
    assert all(earlier.occurred_at <= later.occurred_at for earlier, later in pairwise(events))


def test_users_take_turns(events: list[Event]) -> None:
    expected = {f"user-{number:04}" for number in range(1, 21)}
    assert {event.user_id for event in events[:300]} == expected


def test_a_user_has_one_numbered_session_after_the_other(events: list[Event]) -> None:
    numbers: dict[str, list[int]] = defaultdict(list)
    for event in events:
        user_id, _, number = event.session_id.rpartition("-")
        assert user_id == event.user_id
        numbers[user_id].append(int(number))
    assert all(seen == sorted(seen) and set(seen) == set(range(1, seen[-1] + 1)) for seen in numbers.values())


def test_sessions_start_with_a_page_from_outside(sessions: dict[str, list[Event]]) -> None:
    for first, *_ in sessions.values():
        assert isinstance(first, PageViewed)
        assert first.referrer is None or not first.referrer.startswith(SHOP)


def test_sessions_vary_in_length_and_end(sessions: dict[str, list[Event]]) -> None:
    lengths = [len(session) for session in sessions.values()]
    assert max(lengths) <= 25
    assert len(set(lengths)) > 10


def test_a_followed_link_is_arrived_at_and_only_links_lead_on(sessions: dict[str, list[Event]]) -> None:
    for before, after in (pair for session in sessions.values() for pair in pairwise(session)):
        assert isinstance(before, UrlClicked) == isinstance(after, PageViewed)
        if isinstance(before, UrlClicked) and isinstance(after, PageViewed):
            assert (after.page_url, after.referrer) == (before.target_url, before.page_url)
        else:
            assert after.page_url == before.page_url


def test_all_types_are_there_and_enough_videos(events: list[Event]) -> None:
    shares = {name: number / len(events) for name, number in Counter(type(e).__name__ for e in events).items()}
    assert set(shares) == TYPES
    assert min(shares.values()) > 0.05
    assert 0.15 < shares["VideoPlayed"] < 0.25


def test_most_videos_are_played_at_normal_speed(events: list[Event]) -> None:
    rates = Counter(event.playback_rate for event in events if isinstance(event, VideoPlayed))
    assert rates.most_common(1)[0][0] == 1.0
    assert len(rates) > 1


def test_events_fit_their_schemas(events: list[Event]) -> None:
    schemas = {t.name: fastavro.parse_schema(t.newest.definition) for t in catalogue.load().values()}
    for event in events[:2000]:
        fastavro.validation.validate(vars(event), schemas[type(event).__name__], strict=True)


def test_some_values_are_beyond_ascii_or_null(events: list[Event]) -> None:
    values = [value for event in events for value in vars(event).values()]
    assert any(isinstance(value, str) and not value.isascii() for value in values)
    assert any("🧀" in value for value in values if isinstance(value, str))
    assert any("?" in event.page_url for event in events)
    assert None in values


def test_pages_link_to_each_other_without_a_dead_end() -> None:
    linked = {link for page in PAGES.values() for link in page.links}
    assert linked == set(PAGES)
    assert all(page.links and page.path not in page.links for page in PAGES.values())
