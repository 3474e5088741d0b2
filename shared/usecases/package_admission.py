"""Let callers in to the packages of a project through the Packages API."""

from dataclasses import dataclass

from shared.access import may_administer_packages, require_packages_api_read
from shared.credentials import Credentials, Door
from shared.errors import Forbidden
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

    async def to_change(self, ref: ProjectRef | None, credentials: Credentials, *, accepted: tuple[str, ...]) -> Visit:
        """Admit somebody who deletes packages or sets their status.

        Raises:
            Forbidden: the caller may read the packages and no more; nobody in particular is told so too.

        And what `to_read` raises.

        Source: contract, Packages 7, column D.
        """
        visit = await self.to_read(ref, credentials, accepted=accepted)
        if not may_administer_packages(visit.principal, visit.project, visit.level):
            raise Forbidden
        return visit
