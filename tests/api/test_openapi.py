"""The API's description of itself: whole, and true to the URL table."""

import re
from collections.abc import Iterator
from typing import Any

from services.api.endpoint import description_of
from services.api.routes import ENDPOINTS
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
