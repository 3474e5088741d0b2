"""An answer that may be kept: what its handler says of it, and what is kept in the end."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import hdrs, web

from shared.models import PackageId
from shared.ports.failed_attempts import IpAddress
from shared.usecases.memo import Terms

_ENTRY_BYTES = 2048
_STAMP_BYTES = 200
_DOWNLOADS = frozenset({200, 206})


@dataclass(frozen=True, slots=True)
class Client:
    """Where a request comes from.

    Args:
        name: as the log has it.
    """

    address: IpAddress
    name: bytes

    @classmethod
    def at(cls, address: IpAddress) -> "Client":
        """Return the client at this address."""
        # As it stands in JSON: a scope of IPv6 may hold anything.
        return cls(address, json.dumps(str(address))[1:-1].encode())


@dataclass(frozen=True, slots=True)
class Offer:
    """What a handler says of an answer that may be kept: it was made of values from the memory and of the head alone.

    Args:
        of_file_in: the package whose file was asked for, whatever of it is sent.
    """

    of_file_in: PackageId | None = None


def is_download(request: web.BaseRequest, response: web.StreamResponse) -> bool:
    """Say whether the answer to a request for a file holds the file, or some of it."""
    return request.method == hdrs.METH_GET and response.status in _DOWNLOADS


@dataclass(frozen=True, slots=True)
class ReadyAnswer:
    """An answer as it goes over the wire, in the pieces between what is new in each: the date, and the request's id.

    Args:
        client: to whom it was given first; another may get it when it is no proxy that speaks for many.
        logged: what the request log says of each, but for what is new.
        line: the same as a form; None where structlog writes it.
        downloaded: the package of which it holds a file.
    """

    before_date: bytes
    before_id: bytes
    body: bytes
    terms: Terms
    client: Client
    logged: Mapping[str, Any]
    line: bytes | None
    downloaded: PackageId | None

    @property
    def cost_bytes(self) -> int:
        """Return about how much memory it takes; its body may be shared with others."""
        told = len(self.before_date) + len(self.before_id) + len(self.body)
        return _ENTRY_BYTES + told + _STAMP_BYTES * len(self.terms.stamps.counters)
