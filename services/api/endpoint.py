"""What a row of the URL table says, and what a handler says of itself."""

from collections.abc import Callable
from dataclasses import dataclass

from aiohttp.typedefs import Handler
from marshmallow import Schema

from services.api.guards import Guard

_DESCRIPTION = "__larder_description__"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One row: who answers what, and who may ask.

    Args:
        methods: in capitals; GET brings HEAD with it.
        guard: required, so that nothing is open by accident.
        is_page: it is for people, who are told of errors in HTML.
    """

    methods: tuple[str, ...]
    path: str
    guard: Guard
    handler: Handler
    is_page: bool = False


@dataclass(frozen=True, slots=True)
class Description:
    """What comes in and goes out, for the API's description of itself.

    Args:
        takes: the parameters that the handler reads, but for those of the path.
        gives: what a good answer holds, once or in a list.
        is_paged: the answer is a list that comes in pages.
        is_list: the answer is a list that comes in one piece.
    """

    takes: type[Schema] | None = None
    gives: type[Schema] | None = None
    is_paged: bool = False
    is_list: bool = False


def described(
    *,
    takes: type[Schema] | None = None,
    gives: type[Schema] | None = None,
    is_paged: bool = False,
    is_list: bool = False,
) -> Callable[[Handler], Handler]:
    """Note a handler's description on it."""

    def note(handler: Handler) -> Handler:
        handler.__dict__[_DESCRIPTION] = Description(takes=takes, gives=gives, is_paged=is_paged, is_list=is_list)
        return handler

    return note


def description_of(handler: Handler) -> Description:
    """Return what was noted on the handler; an empty description when nothing was."""
    found = handler.__dict__.get(_DESCRIPTION)
    return found if isinstance(found, Description) else Description()
