"""Questions about namespaces as they come in. Source: lib/api/namespaces.rb."""

from collections.abc import Mapping
from typing import Any

from services.api.schemas.grape import GrapeSchema, Text, Truth
from shared.usecases.namespaces import NamespaceQuery


class NamespaceQuerySchema(GrapeSchema):
    """Which namespaces to list."""

    search = Text(max_length=255)
    owned_only = Truth()
    top_level_only = Truth()


def read_namespace_query(parameters: Mapping[str, Any]) -> NamespaceQuery:
    """Return which namespaces these parameters ask for; those that are empty ask for nothing.

    Raises:
        InvalidParameters: one of them is malformed.
    """
    wanted = NamespaceQuerySchema().read({name: value for name, value in parameters.items() if value != ""})
    return NamespaceQuery(
        search=wanted.get("search"),
        is_owned=bool(wanted["owned_only"]),
        is_top_level=bool(wanted["top_level_only"]),
    )
