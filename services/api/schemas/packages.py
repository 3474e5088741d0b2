"""Packages as they go out, in GitLab's shape.

Source: lib/api/entities/package.rb, package_version.rb, package_file.rb and package/pipeline.rb; contract, Packages 4
and 5.
"""

from collections.abc import Set as AbstractSet
from typing import Any

from marshmallow import Schema, fields

from services.api.presenters.links import Links
from services.api.schemas.out import Instant, LinkedSchema
from services.api.schemas.users import UserBasicSchema
from shared.models import Package, PackageStatus, Pipeline, Project, ProjectId
from shared.ports.package_lists import ListedFile, ListedPackage
from shared.yanks import Yank, yank_of_package

_WITH_A_PAGE = frozenset({PackageStatus.DEFAULT, PackageStatus.DEPRECATED})


class PackageSchema(LinkedSchema):
    """A package."""

    id = fields.Integer()
    name = fields.String()
    version = fields.String()
    package_type = fields.Constant("pypi")
    status = fields.String()
    created_at = Instant()
    last_downloaded_at = Instant()
    tags: fields.Constant[list[str]] = fields.Constant([])


class PackageVersionSchema(LinkedSchema):
    """Another version of a package."""

    id = fields.Integer()
    version = fields.String()
    created_at = Instant()
    tags: fields.Constant[list[str]] = fields.Constant([])


class PackageFileSchema(LinkedSchema):
    """One file of a package."""

    id = fields.Integer()
    package_id = fields.Integer()
    created_at = Instant()
    file_name = fields.String()
    size = fields.Integer(attribute="size_bytes")
    file_md5 = fields.String(attribute="md5", allow_none=True)
    file_sha1 = fields.String(attribute="sha1", allow_none=True)
    file_sha256 = fields.String(attribute="sha256")
    verified_at = Instant()  # Larder's own.


class YankSchema(Schema):
    """What is said beside of what is yanked."""

    yanked: fields.Constant[bool] = fields.Constant(True)
    yanked_reason = fields.String(attribute="reason", allow_none=True)
    yanked_at = Instant(attribute="at")


class PipelineSchema(LinkedSchema):
    """A pipeline that built packages, with the ids that its CI system gave it."""

    id = fields.Integer(attribute="number")
    iid = fields.Integer(allow_none=True)
    project_id = fields.Integer()
    sha = fields.String(allow_none=True)
    ref = fields.String(allow_none=True)
    status = fields.String(allow_none=True)
    source = fields.String(allow_none=True)
    created_at = Instant()
    updated_at = Instant()
    web_url = fields.String(allow_none=True)
    user = fields.Method("_user")

    def _user(self, pipeline: Pipeline) -> dict[str, Any] | None:
        return dict(UserBasicSchema(self.links).dump(pipeline.user)) if pipeline.user else None


def dump_package(package: Package, project: Project, *, links: Links, may_destroy: bool) -> dict[str, Any]:
    """Return the package as who reads the project's packages sees it; of one in `error` or yanked, also why.

    Args:
        may_destroy: the caller may delete it, and so is told where.
    """
    pages: dict[str, str] = {}
    if package.status in _WITH_A_PAGE:
        pages["web_path"] = f"/{project.full_path}/-/packages/{package.id}"
    if may_destroy:
        pages["delete_api_path"] = f"{links.project_api(project.id)}/packages/{package.id}"
    told = {**PackageSchema(links).dump(package), "_links": pages}
    if package.status is PackageStatus.ERROR:
        told["status_message"] = package.status_message
    return told | _dump_yank(yank_of_package(package))


def dump_listed_package(
    listed: ListedPackage, *, links: Links, destroyable: AbstractSet[ProjectId], tells_project: bool = False
) -> dict[str, Any]:
    """Return the package as it stands in a list.

    Args:
        destroyable: the projects in which the caller may delete packages.
        tells_project: the list is one of several projects.
    """
    project = listed.project
    told = dump_package(listed.package, project, links=links, may_destroy=project.id in destroyable)
    if tells_project:
        told |= {"project_id": project.id, "project_path": project.full_path}
    if listed.pipeline is not None:
        # GitLab has given the list up for a page of its own, and leaves it empty for those who look for it.
        told |= {"pipeline": dump_pipeline(listed.pipeline, of=project, links=links), "pipelines": []}
    return told


def dump_version(listed: ListedPackage, links: Links) -> dict[str, Any]:
    """Return the package as one version among others."""
    told = dict(PackageVersionSchema(links).dump(listed.package))
    if listed.pipeline is not None:
        told["pipeline"] = dump_pipeline(listed.pipeline, of=listed.project, links=links)
    return told


def dump_file(
    listed: ListedFile, project: Project, *, yank: Yank | None, links: Links, shows_md5: bool
) -> dict[str, Any]:
    """Return the package file, with the pipelines that built it if some did.

    Args:
        yank: why it is yanked; None when neither it nor its package is.
        shows_md5: else none is told, also of a file that has one from before FIPS mode.
    """
    told = dict(PackageFileSchema(links).dump(listed.file))
    if not shows_md5:
        told["file_md5"] = None
    if listed.pipelines:
        told["pipelines"] = [dump_pipeline(one, of=project, links=links) for one in listed.pipelines]
    return told | _dump_yank(yank)


def dump_pipeline(pipeline: Pipeline, *, of: Project, links: Links) -> dict[str, Any]:
    """Return the pipeline.

    Args:
        of: the project whose package it built; its own page is made up for a pipeline of this project that named none.
    """
    told = dict(PipelineSchema(links).dump(pipeline))
    if pipeline.web_url is None and pipeline.project_id == of.id:
        told["web_url"] = f"{links.project(of)}/-/pipelines/{pipeline.number}"
    return told


def _dump_yank(yank: Yank | None) -> dict[str, Any]:
    return {} if yank is None else dict(YankSchema().dump(yank))
