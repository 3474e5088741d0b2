"""The API's description of itself, made from the URL table and the schemas.

Source: OpenAPI 3.1; https://spec.openapis.org/oas/v3.1.0
"""

import inspect
import re
from collections.abc import Iterable, Mapping
from typing import Any

from aiohttp import hdrs
from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from marshmallow import EXCLUDE, Schema, fields

from services.api.endpoint import Description, Endpoint, description_of
from services.api.presenters.links import Links
from services.api.schemas.out import LinkedSchema
from services.api.schemas.upload import UploadSchema

_PARAMETER = re.compile(r"{(\w+)([+*]?)}")
_WITH_QUERY = frozenset({hdrs.METH_GET, hdrs.METH_DELETE})
_PAGING = (
    ("page", {"type": "integer", "minimum": 1, "default": 1}),
    ("per_page", {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}),
)
_SECURITY_SCHEMES: Mapping[str, dict[str, str]] = {
    "private_token": {"type": "apiKey", "in": "header", "name": "PRIVATE-TOKEN"},
    "bearer": {"type": "http", "scheme": "bearer"},
    "job_token": {"type": "apiKey", "in": "header", "name": "JOB-TOKEN"},
    "deploy_token": {"type": "apiKey", "in": "header", "name": "Deploy-Token"},
    "basic": {"type": "http", "scheme": "basic"},
}
_ERROR = {
    "type": "object",
    "properties": {
        "message": {"description": "What is wrong: a sentence, or sentences by attribute."},
        "error": {"type": "string", "description": "Which parameters are wrong, or which kind of token error it is."},
        "error_description": {"type": "string"},
    },
}
_ERROR_REF = {"$ref": "#/components/schemas/Error"}


def describe_api(endpoints: Iterable[Endpoint], *, version: str) -> dict[str, Any]:
    """Return the OpenAPI document of these endpoints; those that answer any method are not part of the API."""
    marshmallow = MarshmallowPlugin(schema_name_resolver=_component_name)
    document = APISpec("Larder", version, "3.1.0", plugins=[marshmallow], security=[{}, *_security()])
    assert marshmallow.converter is not None
    marshmallow.converter.add_attribute_function(_described_by_itself)  # type: ignore[no-untyped-call]  # theirs
    for name, scheme in _SECURITY_SCHEMES.items():
        document.components.security_scheme(name, dict(scheme))
    document.components.schema("Error", _ERROR)
    for endpoint in endpoints:
        if "*" not in endpoint.methods:
            operations = {method.lower(): _operation(endpoint, method) for method in endpoint.methods}
            document.path(_PARAMETER.sub(r"{\1}", endpoint.path), operations=operations)
    return document.to_dict()


def _operation(endpoint: Endpoint, method: str) -> dict[str, Any]:
    description = description_of(endpoint.handler)
    module, verb = endpoint.handler.__module__.rpartition(".")[2], endpoint.handler.__name__
    summary = (inspect.getdoc(endpoint.handler) or "").partition("\n")[0]
    of = "group" if "{group}" in endpoint.path else "project" if "{project}" in endpoint.path else "instance"
    operation: dict[str, Any] = {
        "operationId": "_".join(dict.fromkeys((method.lower(), of, module, verb))),
        "summary": summary,
        "tags": [module],
        "parameters": list(_parameters(endpoint.path, description, method)),
        "responses": {
            "2XX": _success(description),
            "3XX": {"description": "It is elsewhere, or what is known is still so"},
            "default": _error_page() if endpoint.is_page else _content(_ERROR_REF, "Error"),
        },
    }
    if description.takes is not None and method not in _WITH_QUERY:
        kind = "multipart/form-data" if description.takes is UploadSchema else "application/json"
        operation["requestBody"] = {"content": {kind: {"schema": description.takes}}}
    return operation


def _parameters(path: str, description: Description, method: str) -> Iterable[dict[str, Any]]:
    for name, _ in _PARAMETER.findall(path):
        yield {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
    if description.takes is not None and method in _WITH_QUERY:
        yield {"in": "query", "schema": description.takes}
    told = description.takes().load_fields if description.takes is not None else {}
    for name, schema in _PAGING if description.is_paged else ():
        if name not in told:
            yield {"name": name, "in": "query", "schema": schema}


def _success(description: Description) -> dict[str, Any]:
    if description.gives is None:
        return {"description": "Success"}
    schema = _instance(description.gives)
    is_many = description.is_paged or description.is_list
    return _content({"type": "array", "items": schema} if is_many else schema, "Success")


def _content(schema: Schema | dict[str, Any], description: str) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _error_page() -> dict[str, Any]:
    return {"description": "Error", "content": {"text/html": {}}}


def _instance(schema: type[Schema]) -> Schema:
    """Return the schema of an answer, to which more may be added than it names: links, and what a list leaves out."""
    instance = schema(Links("")) if issubclass(schema, LinkedSchema) else schema()
    instance.unknown = EXCLUDE
    return instance


def _component_name(schema: type[Schema] | Schema) -> str:
    of = schema if isinstance(schema, type) else type(schema)
    return of.__name__.removesuffix("Schema")


def _security() -> list[dict[str, list[str]]]:
    return [{name: []} for name in _SECURITY_SCHEMES]


def _described_by_itself(converter: object, field: fields.Field[Any], **kwargs: object) -> dict[str, Any]:  # noqa: ARG001 - so the converter calls it
    """Return what one of our own fields says of itself; marshmallow's are known to the converter."""
    return dict(getattr(field, "json_schema", {}))
