"""Confluent's HTTP API over a RegistryStore: a function for each route."""

import json
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from werkzeug.exceptions import HTTPException
from werkzeug.routing import BaseConverter, Map, Rule
from werkzeug.wrappers import Request, Response

from kafkajourney.embedded.registry_model import Definition, Reference, Refusal, Registered, RegistryError
from kafkajourney.embedded.registry_store import RegistryStore

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


MEDIA_TYPE = "application/vnd.schemaregistry.v1+json"


Json = dict[str, Any]


Answer = Json | list[Any] | int | str
"""What becomes the body: JSON, but text as it is."""


class RegistryApp:
    """The WSGI application: finds the function for a request, and turns its answer or error into JSON."""

    def __init__(self, store: RegistryStore) -> None:
        self._store = store

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer one request."""
        request = Request(environ)
        try:
            response = _response(self._answer(request))
        except RegistryError as error:
            response = _response({"error_code": error.code, "message": str(error)}, error.status)
        except HTTPException as error:
            status = error.code or 500
            response = _response({"error_code": status, "message": f"HTTP {status} {error.name}"}, status)
        return response(environ, start_response)

    def _answer(self, request: Request) -> Answer:
        # The path as it was sent: a subject may have an encoded slash.
        path = urlsplit(request.environ["REQUEST_URI"]).path
        function, arguments = _URLS.bind("").match(path, method=request.method)
        answer: Answer = function(self._store, request, **arguments)
        return _page(request, answer) if isinstance(answer, list) else answer


def _response(answer: Answer, status: int = 200) -> Response:
    body = answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)
    return Response(body, status, content_type=MEDIA_TYPE)


def _page(request: Request, items: list[Any]) -> list[Any]:
    offset, limit = (request.args.get(name, 0, type=int) for name in ("offset", "limit"))
    return items[max(offset, 0) :][: limit if limit > 0 else None]


def _flag(request: Request, name: str) -> bool:
    return request.args.get(name, "").lower() == "true"  # the Python client sends True and False


def _body(request: Request) -> Json:
    body = request.get_json(force=True)
    return body if isinstance(body, dict) else {}


def _definition(request: Request) -> Definition:
    body = _body(request)
    text, kind = body.get("schema"), body.get("schemaType") or "AVRO"
    if kind != "AVRO" or not isinstance(text, str):
        raise RegistryError(Refusal.INVALID_SCHEMA, f"Either the schema is missing or its type {kind} is not AVRO.")
    if extra := [name for name in ("metadata", "ruleSet") if body.get(name)]:
        raise RegistryError(Refusal.INVALID_SCHEMA, f"The embedded registry knows no {' and no '.join(extra)}.")
    references = body.get("references") or []
    return Definition(text, tuple(map(_reference, references if isinstance(references, list) else [references])))


def _reference(item: object) -> Reference:
    match item:
        case {"name": str(name), "subject": str(subject), "version": int(version)}:
            return Reference(name, subject, version)
    raise RegistryError(Refusal.INVALID_SCHEMA, f"A reference has a name, a subject and a version, unlike {item}.")


def _definition_json(definition: Definition) -> Json:
    references = [vars(reference) for reference in definition.references]
    return {"schema": definition.text} | ({"references": references} if references else {})


def _registered_json(entry: Registered) -> Json:
    numbers = {"subject": entry.subject, "version": entry.version, "id": entry.id}
    return numbers | _definition_json(entry.definition)


# One function for each path and method; the arguments after ``request`` come from the path.


def _get_root(_store: RegistryStore, _request: Request) -> Answer:
    return {}


def _get_subjects(store: RegistryStore, request: Request) -> Answer:
    prefix = request.args.get("subjectPrefix", "")
    return [name for name in store.subjects(deleted=_flag(request, "deleted")) if name.startswith(prefix)]


def _look_up(store: RegistryStore, request: Request, subject: str) -> Answer:
    return _registered_json(store.lookup(subject, _definition(request), deleted=_flag(request, "deleted")))


def _delete_subject(store: RegistryStore, request: Request, subject: str) -> Answer:
    return store.delete_subject(subject, permanent=_flag(request, "permanent"))


def _get_versions(store: RegistryStore, request: Request, subject: str) -> Answer:
    return store.versions(subject, deleted=_flag(request, "deleted"))


def _register(store: RegistryStore, request: Request, subject: str) -> Answer:
    return _registered_json(store.register(subject, _definition(request)))


def _get_version(store: RegistryStore, request: Request, subject: str, version: str) -> Answer:
    return _registered_json(store.version(subject, version, deleted=_flag(request, "deleted")))


def _delete_version(store: RegistryStore, request: Request, subject: str, version: str) -> Answer:
    return store.delete_version(subject, version, permanent=_flag(request, "permanent"))


def _get_version_schema(store: RegistryStore, request: Request, subject: str, version: str) -> Answer:
    return store.version(subject, version, deleted=_flag(request, "deleted")).definition.text


def _get_referenced_by(store: RegistryStore, request: Request, subject: str, version: str) -> Answer:
    return store.referenced_by(subject, version, deleted=_flag(request, "deleted"))


def _get_id(store: RegistryStore, _request: Request, schema_id: int) -> Answer:
    return _definition_json(store.with_id(schema_id)[0].definition)


def _get_id_schema(store: RegistryStore, _request: Request, schema_id: int) -> Answer:
    return store.with_id(schema_id)[0].definition.text


def _get_id_subjects(store: RegistryStore, request: Request, schema_id: int) -> Answer:
    return list(dict.fromkeys(entry.subject for entry in _seen_with_id(store, request, schema_id)))


def _get_id_versions(store: RegistryStore, request: Request, schema_id: int) -> Answer:
    entries = _seen_with_id(store, request, schema_id)
    return [{"subject": entry.subject, "version": entry.version} for entry in entries]


def _seen_with_id(store: RegistryStore, request: Request, schema_id: int) -> list[Registered]:
    return [entry for entry in store.with_id(schema_id) if _flag(request, "deleted") or not entry.deleted]


def _get_types(_store: RegistryStore, _request: Request) -> Answer:
    return ["AVRO"]


def _test(store: RegistryStore, request: Request, subject: str, version: str | None = None) -> Answer:
    findings = store.findings(subject, _definition(request), version)
    return {"is_compatible": not findings} | ({"messages": findings} if _flag(request, "verbose") else {})


def _get_level(store: RegistryStore, request: Request, subject: str | None = None) -> Answer:
    default_to_global = _flag(request, "defaultToGlobal")
    return {"compatibilityLevel": store.level(subject, default_to_global=default_to_global)}


def _put_level(store: RegistryStore, request: Request, subject: str | None = None) -> Answer:
    name = _body(request).get("compatibility")
    return {"compatibility": store.set_level(subject, name if isinstance(name, str) else "")}


def _delete_level(store: RegistryStore, _request: Request, subject: str | None = None) -> Answer:
    return {"compatibilityLevel": store.delete_level(subject)}


def _get_mode(_store: RegistryStore, _request: Request, **_path: str) -> Answer:
    return {"mode": "READWRITE"}


class _Encoded(BaseConverter):
    """A part of the path: what is between two slashes, decoded."""

    def to_python(self, value: str) -> str:
        return unquote(value)


_ROUTES: tuple[tuple[str, str, Callable[..., Answer]], ...] = (
    ("GET", "/", _get_root),
    ("GET", "/subjects", _get_subjects),
    ("POST", "/subjects/<subject>", _look_up),
    ("DELETE", "/subjects/<subject>", _delete_subject),
    ("GET", "/subjects/<subject>/versions", _get_versions),
    ("POST", "/subjects/<subject>/versions", _register),
    ("GET", "/subjects/<subject>/versions/<version>", _get_version),
    ("DELETE", "/subjects/<subject>/versions/<version>", _delete_version),
    ("GET", "/subjects/<subject>/versions/<version>/schema", _get_version_schema),
    ("GET", "/subjects/<subject>/versions/<version>/referencedby", _get_referenced_by),
    ("GET", "/schemas/ids/<int:schema_id>", _get_id),
    ("GET", "/schemas/ids/<int:schema_id>/schema", _get_id_schema),
    ("GET", "/schemas/ids/<int:schema_id>/subjects", _get_id_subjects),
    ("GET", "/schemas/ids/<int:schema_id>/versions", _get_id_versions),
    ("GET", "/schemas/types", _get_types),
    ("POST", "/compatibility/subjects/<subject>/versions", _test),
    ("POST", "/compatibility/subjects/<subject>/versions/<version>", _test),
    ("GET", "/config", _get_level),
    ("PUT", "/config", _put_level),
    ("DELETE", "/config", _delete_level),
    ("GET", "/config/<subject>", _get_level),
    ("PUT", "/config/<subject>", _put_level),
    ("DELETE", "/config/<subject>", _delete_level),
    ("GET", "/mode", _get_mode),
    ("GET", "/mode/<subject>", _get_mode),
)


_URLS = Map(
    [Rule(path, methods=[method], endpoint=function) for method, path, function in _ROUTES],
    converters={"default": _Encoded},
    strict_slashes=False,
    merge_slashes=False,
)
