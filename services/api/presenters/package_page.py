"""The page of a package."""

import shlex

from services.api.presenters.links import Links
from services.api.presenters.pages import Pages
from shared.models import Package, PackageStatus, Project, Visibility
from shared.status_markers import UNMARKED
from shared.usecases.package_page import PackagePage

_CREDENTIALS = "__token__:<token>"


def render_package_page(pages: Pages, page: PackagePage, project: Project, links: Links) -> bytes:
    """Return the page as HTML."""
    return pages.render(
        "package.html",
        package=page.package,
        project=project,
        marker=None if page.marker == UNMARKED else page.marker,
        files=page.files,
        versions=page.versions,
        about=page.about,
        links=links,
        is_deprecated=page.package.status is PackageStatus.DEPRECATED,
        install_lines=_install_lines(page.package, project, links),
        needs_token=_needs_token(project),
    )


def _install_lines(package: Package, project: Project, links: Links) -> tuple[str, ...]:
    scheme, rest = links.pypi(project).simple_index().split("://", 1)
    index = shlex.quote(f"{scheme}://{_CREDENTIALS}@{rest}" if _needs_token(project) else f"{scheme}://{rest}")
    wanted = shlex.quote(f"{package.name}=={package.version}")
    return (f"pip install --index-url {index} {wanted}", f"uv pip install --index-url {index} {wanted}")


def _needs_token(project: Project) -> bool:
    return project.packages_visibility is not Visibility.PUBLIC
