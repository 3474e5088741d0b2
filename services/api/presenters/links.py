"""The URLs that stand in answers."""

from dataclasses import dataclass
from urllib.parse import quote

from shared.models import Namespace, NamespaceKind, PackageId, Project, ProjectId, User
from shared.names import NormalizedName


@dataclass(frozen=True, slots=True)
class Links:
    """Makes absolute URLs; those of the API name a project by its number, however the request named it.

    Args:
        base: the registry's external URL, without a slash at its end.
    """

    base: str

    def simple_page(self, project_id: ProjectId, name: NormalizedName) -> str:
        """Return the URL of a simple page, as GitLab writes it: without a slash at its end."""
        return f"{self._pypi(project_id)}/simple/{quote(name, safe='')}"

    def simple_index(self, project_id: ProjectId) -> str:
        """Return the URL of a project's simple index, as installers are given it."""
        return f"{self._pypi(project_id)}/simple/"

    def file(self, project_id: ProjectId, *, sha256: str, file_name: str) -> str:
        """Return the URL of a package file, with the digest as its fragment."""
        return f"{self._pypi(project_id)}/files/{sha256}/{quote(file_name, safe='')}#sha256={sha256}"

    def project_api(self, project_id: ProjectId) -> str:
        """Return the URL of a project in the API."""
        return f"{self.base}/api/v4/projects/{project_id}"

    def project(self, project: Project) -> str:
        """Return the URL of a project for people."""
        return f"{self.base}/{project.full_path}"

    def package(self, project: Project, package_id: PackageId) -> str:
        """Return the URL of a package for people."""
        return f"{self.project(project)}/-/packages/{package_id}"

    def namespace(self, namespace: Namespace) -> str:
        """Return the URL of a group or personal namespace for people."""
        match namespace.kind:
            case NamespaceKind.GROUP:
                return f"{self.base}/groups/{namespace.full_path}"
            case NamespaceKind.USER:
                return f"{self.base}/{namespace.full_path}"

    def user(self, user: User) -> str:
        """Return the URL of a user for people."""
        return f"{self.base}/{user.username}"

    def _pypi(self, project_id: ProjectId) -> str:
        return f"{self.base}/api/v4/projects/{project_id}/packages/pypi"
