"""The event types, generated from the newest schemas by `python -m schemas generate`. Do not edit."""

from dataclasses_avroschema import AvroModel
from dataclasses_avroschema import types
import dataclasses
import datetime
import typing
import uuid


@dataclasses.dataclass
class ButtonClicked(AvroModel):
    """
    A user clicked a button.
    """
    event_id: uuid.UUID = dataclasses.field(metadata={'doc': 'Identifies this event; made once, where it happened.'})
    user_id: str = dataclasses.field(metadata={'doc': "Who it was. Also the record's key: a user's events keep their order."})
    session_id: str = dataclasses.field(metadata={'doc': 'One visit of the user.'})
    page_url: str = dataclasses.field(metadata={'doc': 'The page on which it happened.'})
    occurred_at: datetime.datetime = dataclasses.field(metadata={'doc': 'When it happened, UTC.'})
    button_id: str = dataclasses.field(metadata={'doc': "The button's id within its page."})
    label: typing.Optional[str] = dataclasses.field(metadata={'doc': 'The text on it, where it has one.'}, default=None)


    class Meta:
        namespace = "kafkajourney.events"

@dataclasses.dataclass
class FormSubmitted(AvroModel):
    """
    A user sent a form.
    """
    event_id: uuid.UUID = dataclasses.field(metadata={'doc': 'Identifies this event; made once, where it happened.'})
    user_id: str = dataclasses.field(metadata={'doc': "Who it was. Also the record's key: a user's events keep their order."})
    session_id: str = dataclasses.field(metadata={'doc': 'One visit of the user.'})
    page_url: str = dataclasses.field(metadata={'doc': 'The page on which it happened.'})
    occurred_at: datetime.datetime = dataclasses.field(metadata={'doc': 'When it happened, UTC.'})
    form_id: str = dataclasses.field(metadata={'doc': "The form's id within its page."})
    fields: typing.List[str] = dataclasses.field(metadata={'doc': 'Names of the fields that were filled in; never their contents.'})


    class Meta:
        namespace = "kafkajourney.events"

@dataclasses.dataclass
class PageViewed(AvroModel):
    """
    A user opened a page.
    """
    event_id: uuid.UUID = dataclasses.field(metadata={'doc': 'Identifies this event; made once, where it happened.'})
    user_id: str = dataclasses.field(metadata={'doc': "Who it was. Also the record's key: a user's events keep their order."})
    session_id: str = dataclasses.field(metadata={'doc': 'One visit of the user.'})
    page_url: str = dataclasses.field(metadata={'doc': 'The page on which it happened.'})
    occurred_at: datetime.datetime = dataclasses.field(metadata={'doc': 'When it happened, UTC.'})
    title: typing.Optional[str] = dataclasses.field(metadata={'doc': "The page's title, where it is known."}, default=None)
    referrer: typing.Optional[str] = dataclasses.field(metadata={'doc': 'The page that the user came from, where it is known.'}, default=None)


    class Meta:
        namespace = "kafkajourney.events"

@dataclasses.dataclass
class SearchPerformed(AvroModel):
    """
    A user searched.
    """
    event_id: uuid.UUID = dataclasses.field(metadata={'doc': 'Identifies this event; made once, where it happened.'})
    user_id: str = dataclasses.field(metadata={'doc': "Who it was. Also the record's key: a user's events keep their order."})
    session_id: str = dataclasses.field(metadata={'doc': 'One visit of the user.'})
    page_url: str = dataclasses.field(metadata={'doc': 'The page on which it happened.'})
    occurred_at: datetime.datetime = dataclasses.field(metadata={'doc': 'When it happened, UTC.'})
    query: str = dataclasses.field(metadata={'doc': 'What was searched for.'})
    results: types.Int32 = dataclasses.field(metadata={'doc': 'How many results were found.'})


    class Meta:
        namespace = "kafkajourney.events"

@dataclasses.dataclass
class UrlClicked(AvroModel):
    """
    A user clicked a link.
    """
    event_id: uuid.UUID = dataclasses.field(metadata={'doc': 'Identifies this event; made once, where it happened.'})
    user_id: str = dataclasses.field(metadata={'doc': "Who it was. Also the record's key: a user's events keep their order."})
    session_id: str = dataclasses.field(metadata={'doc': 'One visit of the user.'})
    page_url: str = dataclasses.field(metadata={'doc': 'The page on which it happened.'})
    occurred_at: datetime.datetime = dataclasses.field(metadata={'doc': 'When it happened, UTC.'})
    target_url: str = dataclasses.field(metadata={'doc': 'Where the link leads.'})


    class Meta:
        namespace = "kafkajourney.events"

@dataclasses.dataclass
class VideoPlayed(AvroModel):
    """
    A user played a video.
    """
    event_id: uuid.UUID = dataclasses.field(metadata={'doc': 'Identifies this event; made once, where it happened.'})
    user_id: str = dataclasses.field(metadata={'doc': "Who it was. Also the record's key: a user's events keep their order."})
    session_id: str = dataclasses.field(metadata={'doc': 'One visit of the user.'})
    page_url: str = dataclasses.field(metadata={'doc': 'The page on which it happened.'})
    occurred_at: datetime.datetime = dataclasses.field(metadata={'doc': 'When it happened, UTC.'})
    video_id: str = dataclasses.field(metadata={'doc': 'Which video.'})
    position_seconds: float = dataclasses.field(metadata={'doc': 'Where in the video playing began, in seconds from its start.'})
    playback_rate: float = dataclasses.field(metadata={'doc': 'Speed of playing; 1.0 is the normal one.'}, default=1.0)


    class Meta:
        namespace = "kafkajourney.events"


EVENT_TYPES: dict[str, type[AvroModel]] = {
    "kafkajourney.events.ButtonClicked": ButtonClicked,
    "kafkajourney.events.FormSubmitted": FormSubmitted,
    "kafkajourney.events.PageViewed": PageViewed,
    "kafkajourney.events.SearchPerformed": SearchPerformed,
    "kafkajourney.events.UrlClicked": UrlClicked,
    "kafkajourney.events.VideoPlayed": VideoPlayed,
}
