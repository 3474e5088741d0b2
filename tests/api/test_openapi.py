"""The API's description of itself: whole, true to the URL table, and no request that it allows ends in a 5xx."""

import asyncio
import re
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.core.result import Ok
from schemathesis.schemas import APIOperation

from services.api.endpoint import description_of
from services.api.routes import ENDPOINTS
from shared.models import User
from tests.api.registry import Registry

DOCUMENT = "/api/v4/openapi.json"
WITHOUT_BODY = {"block", "unblock"}
"""Handlers of writing methods that take no parameters but those of the path."""


async def test_the_description_is_there_for_everybody_and_leaves_out_nothing(bare_registry: Registry) -> None:
    answer = await bare_registry.get(DOCUMENT, token=None)
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    described = {(method.upper(), path) for path, operations in answer.json["paths"].items() for method in operations}
    served = {
        (method, re.sub(r"{(\w+)[+*]?}", r"{\1}", endpoint.path))
        for endpoint in ENDPOINTS
        for method in endpoint.methods
        if method != "*"
    }
    assert described == served
    assert answer.json["openapi"].startswith("3.1")


async def test_every_reference_and_every_parameter_of_a_path_is_declared(bare_registry: Registry) -> None:
    document = (await bare_registry.get(DOCUMENT, token=None)).json
    identifiers = []
    for path, operations in document["paths"].items():
        for operation in operations.values():
            identifiers.append(operation["operationId"])
            declared = {parameter["name"] for parameter in operation["parameters"] if parameter["in"] == "path"}
            assert declared == set(re.findall(r"{(\w+)}", path))
            assert operation["summary"]
    assert len(identifiers) == len(set(identifiers))
    for reference in _references(document):
        assert reference.removeprefix("#/components/schemas/") in document["components"]["schemas"]


def test_every_write_says_what_it_takes() -> None:
    undescribed = {
        endpoint.handler.__name__
        for endpoint in ENDPOINTS
        if {"POST", "PUT", "PATCH"} & set(endpoint.methods) and description_of(endpoint.handler).takes is None
    }
    assert undescribed <= WITHOUT_BODY


def _references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        for name, value in part.items():
            if name == "$ref":
                yield value
            else:
                yield from _references(value)
    elif isinstance(part, list):
        for value in part:
            yield from _references(value)


async def test_nothing_that_the_description_allows_ends_in_a_5xx(registry: Registry) -> None:
    await _try_everything(registry, examples=2)


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_no_more_of_what_the_description_allows_does(registry: Registry) -> None:
    await _try_everything(registry, examples=40)


async def _try_everything(registry: Registry, *, examples: int) -> None:
    async with registry.backends.store.reading() as rows:
        root = await rows.tenants.user_by_username("root")
    assert root is not None
    project = await registry.add_project("described")
    known = {"project": str(project.id), "group": str(project.namespace.id), "user": str(root.id), "user_id": "1"}
    schema = await asyncio.to_thread(schemathesis.openapi.from_url, f"{registry.url}{DOCUMENT}")
    for number, found in enumerate(schema.get_all_operations()):
        # A token for each: what is tried may well revoke the one that it came with.
        token = await _token_of(registry, root, number)
        assert isinstance(found, Ok), found
        await asyncio.to_thread(_try, found.ok(), known, token, examples)


async def _token_of(registry: Registry, root: User, number: int) -> str:
    secret = f"glpat-for-operation-number-{number}"
    await registry.add_token(root, secret)
    return secret


def _try(operation: APIOperation[Any, Any, Any, Any], known: dict[str, str], token: str, examples: int) -> None:
    @given(case=operation.as_strategy(), is_known=st.booleans())
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def check(case: Any, *, is_known: bool) -> None:
        if is_known:
            case.path_parameters |= {name: value for name, value in known.items() if name in case.path_parameters}
        response = case.call(headers={"PRIVATE-TOKEN": token}, timeout=30, allow_redirects=False)
        assert response.status_code < HTTPStatus.INTERNAL_SERVER_ERROR, case.as_curl_command()

    check()
