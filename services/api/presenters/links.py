"""The URLs that stand in answers."""

from dataclasses import dataclass
from urllib.parse import quote

from shared.models import Namespace, NamespaceKind, PackageId, Project, ProjectId, User
from shared.names import NormalizedName


@dataclass(frozen=True, slots=True)
class Links:
    """Makes absolute URLs; those of the API name a project or group by its number, however it was asked for.

    Args:
        base: the registry's external URL, without a slash at its end.
    """

    base: str

    def pypi(self, tenant: Project | Namespace) -> "PypiLinks":
        """Return what makes the URLs of a project's or group's PyPI endpoints."""
        match tenant:
            case Project(id=project_id):
                return PypiLinks(f"{self.project_api(project_id)}/packages/pypi")
            case Namespace(id=group_id):
                return PypiLinks(f"{self.base}/api/v4/groups/{group_id}/-/packages/pypi")

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


@dataclass(frozen=True, slots=True)
class PypiLinks:
    """Makes the URLs of one project's or one group's PyPI endpoints: pages of a group lead to its own endpoints.

    Args:
        root: what all of them begin with, without a slash at its end.
    """

    root: str

    def simple_index(self) -> str:
        """Return the URL of the simple index, as installers are given it."""
        return f"{self.root}/simple/"

    def simple_page(self, name: NormalizedName) -> str:
        """Return the URL of a simple page, as GitLab writes it: without a slash at its end.

        A name may end in one itself, and then needs another, of which the page is rid.
        """
        url = f"{self.root}/simple/{quote(name, safe='')}"
        return f"{url}/" if name.endswith("/") else url

    def file(self, *, sha256: str, file_name: str) -> str:
        """Return the URL of a package file."""
        return f"{self.root}/files/{sha256}/{quote(file_name, safe='')}"

    def pinned_file(self, *, sha256: str, file_name: str) -> str:
        """Return the URL of a package file, with the digest as its fragment."""
        return f"{self.file(sha256=sha256, file_name=file_name)}#sha256={sha256}"

    def provenance(self, *, sha256: str, file_name: str) -> str:
        """Return the URL of the provenance object beside a package file (PEP 740)."""
        return f"{self.file(sha256=sha256, file_name=file_name)}.provenance"
