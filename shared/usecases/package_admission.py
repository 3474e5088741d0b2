"""Let callers in to the packages of a project through the Packages API."""

from dataclasses import dataclass

from shared.access import require_packages_api_read
from shared.credentials import Credentials, Door
from shared.usecases.admission import Admission, pull_rules
from shared.usecases.visits import ProjectRef, Visit


@dataclass(frozen=True, slots=True)
class PackageAdmission:
    """Tells callers apart and admits them to packages."""

    admission: Admission

    async def to_read(self, ref: ProjectRef | None, credentials: Credentials, *, accepted: tuple[str, ...]) -> Visit:
        """Admit a reader of packages.

        Raises:
            NotFound: "Project": there is none of this name or number.

        And what `Admission.principal` and `access.require_packages_api_read` raise.
        """
        visit = await self.admission.to_project(
            ref, credentials, door=Door.PACKAGES, accepted=accepted, told_as="Project"
        )
        require_packages_api_read(visit.principal, visit.project, visit.level, pull_rules(visit.settings))
        return visit
