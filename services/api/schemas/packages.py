"""Packages as they go out, in GitLab's shape. Source: lib/api/entities/package.rb."""

from typing import Any

from marshmallow import fields

from services.api.presenters.links import Links
from services.api.schemas.out import Instant, LinkedSchema
from shared.models import Package, PackageStatus, Project

_WITH_A_PAGE = frozenset({PackageStatus.DEFAULT, PackageStatus.DEPRECATED})


class _PackageSchema(LinkedSchema):
    id = fields.Integer()
    name = fields.String()
    version = fields.String()
    package_type = fields.Constant("pypi")
    status = fields.String()
    created_at = Instant()
    last_downloaded_at = Instant()
    tags: fields.Constant[list[str]] = fields.Constant([])


def dump_package(package: Package, project: Project, *, links: Links, may_destroy: bool) -> dict[str, Any]:
    """Return the package as who reads the project's packages sees it; of one in `error`, also why.

    Args:
        may_destroy: the caller may delete it, and so is told where.
    """
    pages: dict[str, str] = {}
    if package.status in _WITH_A_PAGE:
        pages["web_path"] = f"/{project.full_path}/-/packages/{package.id}"
    if may_destroy:
        pages["delete_api_path"] = f"{links.project_api(project.id)}/packages/{package.id}"
    told = {**_PackageSchema(links).dump(package), "_links": pages}
    if package.status is PackageStatus.ERROR:
        told["status_message"] = package.status_message
    return told
