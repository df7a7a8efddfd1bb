"""Users on the pages of a small web shop: endless, believable events. Pure: time and chance are arguments.

A visitor begins a session on some page, does what it offers, follows its links, and leaves after a while.
"""

import random
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

from kafkajourney.events import Event
from schemas.events import ButtonClicked, FormSubmitted, PageViewed, SearchPerformed, UrlClicked, VideoPlayed

SHOP = "https://shop.example.com"

SESSION_EVENTS = (4, 24)
"""Least and most events of a session; a followed link is still arrived at, which may make it one more."""


@dataclass(frozen=True, eq=False)
class Page:
    """A page of the shop with all that can be done on it."""

    path: str
    title: str | None
    links: tuple[str, ...]
    """Paths of other pages."""
    buttons: tuple[tuple[str, str | None], ...]
    """Ids, and labels where a button has one."""
    videos: tuple[tuple[str, float], ...] = ()
    """Ids and lengths in seconds."""
    forms: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Ids and names of the fields, from the top."""
    has_search: bool = False

    @property
    def url(self) -> str:
        """Return the absolute address."""
        return SHOP + self.path

    @cached_property
    def actions(self) -> "tuple[Action, ...]":
        """Return what a visitor can do here, each action as often as its weight."""
        offers = (
            (_follow_link, 5, self.links),
            (_click_button, 3, self.buttons),
            (_play_video, 8, self.videos),
            (_search, 3, self.has_search),
            (_submit_form, 4, self.forms),
        )
        return tuple(action for action, weight, offered in offers if offered for _ in range(weight))


_NEWSLETTER = ("newsletter", ("email",))
_MENU = ("menu", None)

PAGES = {
    page.path: page
    for page in (
        Page(
            "/",
            "Home",
            links=("/cheese", "/kitchen", "/search?q=K%C3%A4se&sort=price", "/videos", "/help"),
            buttons=(_MENU, ("accept-cookies", "Accept"), ("carousel-next", None)),
            videos=(("welcome", 95.0),),
            forms=(_NEWSLETTER,),
            has_search=True,
        ),
        Page(
            "/cheese",
            "Käse & Co. 🧀",
            links=("/", "/cheese/gruyere", "/cheese/queso-a%C3%B1ejo?ref=list", "/cart"),
            buttons=(_MENU, ("sort-by-price", "Price ↑"), ("filter", "Filter")),
            has_search=True,
        ),
        Page(
            "/cheese/gruyere",
            "Gruyère, 12 months",
            links=("/cheese", "/cart", "/videos"),
            buttons=(("add-to-cart", "Add to cart"), ("zoom", None), ("share", "Share")),
            videos=(("alpine-dairy", 412.5), ("cutting-cheese", 73.0)),
        ),
        Page(
            "/cheese/queso-a%C3%B1ejo?ref=list",
            "Queso añejo",
            links=("/cheese", "/cart"),
            buttons=(("add-to-cart", "Add to cart"), ("zoom", None)),
            forms=(("review", ("stars", "text", "name")),),
        ),
        Page(
            "/kitchen",
            "Kitchen 台所",
            links=("/", "/kitchen/fondue-set", "/videos"),
            buttons=(_MENU, ("filter", "Filter")),
            has_search=True,
        ),
        Page(
            "/kitchen/fondue-set",
            "Fondue set for six",
            links=("/kitchen", "/cheese/gruyere", "/cart"),
            buttons=(("add-to-cart", "Add to cart"), ("color-red", "Red"), ("color-blue", "Blue")),
            videos=(("fondue-in-ten-minutes", 600.0),),
        ),
        Page(
            "/search?q=K%C3%A4se&sort=price",
            None,
            links=("/", "/cheese/gruyere", "/cheese/queso-a%C3%B1ejo?ref=list"),
            buttons=(("next-page", "More →"), ("clear", None)),
            has_search=True,
        ),
        Page(
            "/videos",
            "Videos",
            links=("/", "/cheese/gruyere", "/kitchen/fondue-set"),
            buttons=(_MENU, ("load-more", "More")),
            videos=(("welcome", 95.0), ("alpine-dairy", 412.5), ("tour-of-the-cellar", 1834.2)),
        ),
        Page(
            "/cart",
            "Your cart",
            links=("/", "/cheese", "/help"),
            buttons=(("increase", "+"), ("remove", None), ("checkout", "Check out")),
            forms=(("checkout", ("name", "street", "city", "card", "remarks")), ("voucher", ("code",))),
        ),
        Page(
            "/help",
            "Help",
            links=("/", "/videos"),
            buttons=(_MENU, ("chat", "Chat 💬")),
            forms=(("contact", ("email", "message", "order")), _NEWSLETTER),
            has_search=True,
        ),
    )
}

ENTRANCES = ("/", "/", "/", "/cheese", "/cheese/gruyere", "/kitchen/fondue-set", "/videos")
"""Paths on which sessions begin; a path listed more often is entered more often."""

REFERRERS = (
    None,
    None,
    "https://search.example.com/?q=cheese+shop",
    "https://social.example.com/posts/4711",
    "https://news.example.com/k%C3%A4se-des-jahres?utm_source=mail&utm_medium=link",
)
"""Where sessions come from; None where that is unknown."""

QUERIES = (
    ("gruyere", 12),
    ("Käse", 48),
    ("fondue set", 7),
    ("🧀", 3),
    ("チーズ", 0),
    ("blue cheese & pears", 2),
    ("chese", 0),
    ("", 0),
)
"""What is searched for, and how many results there are."""

PLAYBACK_RATES = (1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.75, 1.5, 2.0)


@dataclass(slots=True)
class Visitor:
    """A user, and where in the shop they are."""

    user_id: str
    page: Page
    session_id: str = ""
    sessions: int = 0
    events_left: int = 0
    referrer: str | None = None
    arriving: bool = False
    """Whether the page is about to be viewed."""


Common = tuple[uuid.UUID, str, str, str, datetime]
"""The fields that every event type starts with, in the order of schemas.catalogue.COMMON_FIELDS."""

Action = Callable[[Visitor, Common, random.Random], Event]
"""Makes the event of something done by a visitor, and moves the visitor where it leads elsewhere."""


def utc_now() -> datetime:
    """Return the current time, in UTC."""
    return datetime.now(UTC)


def simulate(users: int, seed: int | None = None, now: Callable[[], datetime] = utc_now) -> Iterator[Event]:
    """Yield events without end, of at least one user, in the order in which they occur.

    Each event occurs at ``now()``, a time in UTC, truncated to milliseconds. All else depends on ``users``
    and ``seed`` alone, event ids too: run with the same seed again, and the same event ids come again.
    Without a seed event ids are unique, across runs and across producers that run side by side.
    """
    rng = random.Random(seed)  # noqa: S311 - chance, not secrets
    visitors = [Visitor(f"user-{number:04}", PAGES["/"]) for number in range(1, users + 1)]
    while True:
        yield _next_event(rng.choice(visitors), now(), rng)


def _next_event(visitor: Visitor, moment: datetime, rng: random.Random) -> Event:
    if visitor.events_left <= 0 and not visitor.arriving:
        _begin_session(visitor, rng)
    visitor.events_left -= 1
    action = _view_page if visitor.arriving else rng.choice(visitor.page.actions)
    return action(visitor, _common(visitor, moment, rng), rng)


def _begin_session(visitor: Visitor, rng: random.Random) -> None:
    visitor.sessions += 1
    visitor.session_id = f"{visitor.user_id}-{visitor.sessions}"
    visitor.events_left = rng.randint(*SESSION_EVENTS)
    visitor.page = PAGES[rng.choice(ENTRANCES)]
    visitor.referrer = rng.choice(REFERRERS)
    visitor.arriving = True


def _common(visitor: Visitor, moment: datetime, rng: random.Random) -> Common:
    event_id = uuid.UUID(int=rng.getrandbits(128), version=4)
    occurred_at = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    return event_id, visitor.user_id, visitor.session_id, visitor.page.url, occurred_at


def _view_page(visitor: Visitor, common: Common, _: random.Random) -> Event:
    visitor.arriving = False
    return PageViewed(*common, visitor.page.title, visitor.referrer)


def _follow_link(visitor: Visitor, common: Common, rng: random.Random) -> Event:
    visitor.referrer = visitor.page.url
    visitor.page = PAGES[rng.choice(visitor.page.links)]
    visitor.arriving = True
    return UrlClicked(*common, visitor.page.url)


def _click_button(visitor: Visitor, common: Common, rng: random.Random) -> Event:
    button_id, label = rng.choice(visitor.page.buttons)
    return ButtonClicked(*common, button_id, label)


def _play_video(visitor: Visitor, common: Common, rng: random.Random) -> Event:
    video_id, seconds = rng.choice(visitor.page.videos)
    position = rng.choice((0.0, round(rng.uniform(0.0, seconds), 2)))
    return VideoPlayed(*common, video_id, position, rng.choice(PLAYBACK_RATES))


def _search(_: Visitor, common: Common, rng: random.Random) -> Event:
    query, results = rng.choice(QUERIES)
    return SearchPerformed(*common, query, results)


def _submit_form(visitor: Visitor, common: Common, rng: random.Random) -> Event:
    form_id, fields = rng.choice(visitor.page.forms)
    filled_in = rng.randint(1, len(fields))
    return FormSubmitted(*common, form_id, list(fields[:filled_in]))
