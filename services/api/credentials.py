"""Collect the credentials that a request brings, without looking at them."""

import base64
import binascii

from aiohttp import hdrs, web

from shared.credentials import BasicPair, Credentials

SECRET_PARAMETERS = frozenset({"private_token", "access_token", "bearer_token", "job_token", "token"})
"""Parameters that are credentials: answers and forms are kept and passed on, so they are never repeated there."""


def read_credentials(request: web.Request) -> Credentials:
    """Return every secret by where it stood; malformed headers count as none.

    Source: contract, PyPI 2.1 and Packages 1.4; lib/gitlab/auth/auth_finders.rb.
    """
    scheme, _, value = _text(request.headers.get(hdrs.AUTHORIZATION, "")).strip().partition(" ")
    value = value.strip()
    bearer = value if scheme.lower() == "bearer" else ""
    query = request.query
    return Credentials(
        basic=_basic(value) if scheme.lower() == "basic" else None,
        private_token=query.get("private_token") or _header(request, "PRIVATE-TOKEN") or None,
        bearer=bearer or query.get("access_token") or query.get("bearer_token") or None,
        deploy_token=_header(request, "Deploy-Token") or None,
        job_token=query.get("job_token") or query.get("token") or _header(request, "JOB-TOKEN") or None,
        sudo=_text(query.get("sudo", "")).strip() or _header(request, "Sudo") or None,
    )


def _header(request: web.Request, name: str) -> str:
    return _text(request.headers.get(name, "")).strip()


def _text(value: str) -> str:
    # Bytes that are not UTF-8 arrive as lone surrogates, which nothing behind this could encode again.
    return value if value.isascii() else value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _basic(value: str) -> BasicPair | None:
    try:
        pair = base64.b64decode(value, validate=True).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        return None
    username, colon, password = pair.partition(":")
    return BasicPair(username=username, password=password) if colon else None
