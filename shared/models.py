"""The records and words of the registry: frozen, without behaviour that needs anything else.

All times are aware UTC with microseconds. All digests are lower-case hexadecimal.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import NewType

from shared.names import NormalizedName
from shared.status_markers import StatusMarker

NamespaceId = NewType("NamespaceId", int)
ProjectId = NewType("ProjectId", int)
UserId = NewType("UserId", int)
PackageId = NewType("PackageId", int)
PackageFileId = NewType("PackageFileId", int)
TokenId = NewType("TokenId", int)
PipelineId = NewType("PipelineId", int)
BlobKey = NewType("BlobKey", str)


class Visibility(StrEnum):
    """Who may see a namespace or project without being its member. Source: contract, "Roles and visibility"."""

    PRIVATE = "private"
    INTERNAL = "internal"
    PUBLIC = "public"


class RegistryAccess(StrEnum):
    """A project's `package_registry_access_level`."""

    DISABLED = "disabled"
    PRIVATE = "private"
    ENABLED = "enabled"
    PUBLIC = "public"


class AccessLevel(IntEnum):
    """What a member may do, as GitLab numbers it (lib/gitlab/access.rb)."""

    NO_ACCESS = 0
    MINIMAL = 5
    GUEST = 10
    PLANNER = 15
    REPORTER = 20
    DEVELOPER = 30
    MAINTAINER = 40
    OWNER = 50


class NamespaceKind(StrEnum):
    """Groups and personal namespaces share one id space."""

    GROUP = "group"
    USER = "user"


class UserState(StrEnum):
    """Whether a user may sign in."""

    ACTIVE = "active"
    BLOCKED = "blocked"


class PackageStatus(StrEnum):
    """GitLab's words for the state of a package (app/models/packages/package.rb)."""

    DEFAULT = "default"
    HIDDEN = "hidden"
    PROCESSING = "processing"
    ERROR = "error"
    PENDING_DESTRUCTION = "pending_destruction"
    DEPRECATED = "deprecated"


INSTALLABLE = frozenset({PackageStatus.DEFAULT, PackageStatus.HIDDEN, PackageStatus.DEPRECATED})
"""Statuses of packages whose `default` files are listed on simple pages and can be downloaded."""


class PackageFileStatus(StrEnum):
    """GitLab's words for the state of a package file (app/models/packages/package_file.rb)."""

    DEFAULT = "default"
    PROCESSING = "processing"
    ERROR = "error"
    PENDING_DESTRUCTION = "pending_destruction"


class UploadChecks(StrEnum):
    """How closely an upload is looked at: as the public index does, or as GitLab does."""

    STRICT = "strict"
    OFF = "off"


class CounterScope(StrEnum):
    """What a change counter counts changes of. The instance has the id 0."""

    INSTANCE = "instance"
    NAMESPACE = "namespace"
    PROJECT = "project"
    USER = "user"


# --- tenants --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Namespace:
    """A group or a personal namespace.

    Args:
        ancestor_ids: top-level namespace first, this namespace last; never empty.
        full_path: as written; it is looked up without regard to case.
        pypi_package_requests_forwarding: whether unknown names are sent on to the upstream; None: as the parent has it.
        lock_pypi_package_requests_forwarding: nothing below may choose otherwise.
    """

    id: NamespaceId
    kind: NamespaceKind
    parent_id: NamespaceId | None
    ancestor_ids: tuple[NamespaceId, ...]
    name: str
    path: str
    full_path: str
    description: str
    visibility: Visibility
    created_at: datetime
    pypi_package_requests_forwarding: bool | None = None
    lock_pypi_package_requests_forwarding: bool = False

    @property
    def top_level_id(self) -> NamespaceId:
        """Return the namespace whose change counter covers this one."""
        return self.ancestor_ids[0]


@dataclass(frozen=True, slots=True)
class ForwardingRule:
    """What one group or personal namespace says about names that were never in it.

    Args:
        is_on: they are looked for upstream; None: as what it lies in has it.
        is_locked: nothing below may decide otherwise.
    """

    is_on: bool | None
    is_locked: bool


@dataclass(frozen=True, slots=True)
class Project:
    """A tenant that holds packages.

    Args:
        job_token_scope_enabled: only the jobs of projects on its allow-list may act in it as their users.
    """

    id: ProjectId
    namespace: Namespace
    name: str
    path: str
    full_path: str
    description: str
    visibility: Visibility
    registry_access: RegistryAccess
    creator_id: UserId | None
    created_at: datetime
    job_token_scope_enabled: bool = True

    @property
    def packages_visibility(self) -> Visibility:
        """Return to whom the packages are open: a registry that is `private` is its members', whoever sees the rest."""
        return Visibility.PRIVATE if self.registry_access is RegistryAccess.PRIVATE else self.visibility


@dataclass(frozen=True, slots=True)
class User:
    """A person or robot with an account."""

    id: UserId
    username: str
    name: str
    email: str
    state: UserState
    is_admin: bool
    is_external: bool
    namespace_id: NamespaceId
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Membership:
    """A user's place in a group or project.

    Args:
        expires_at: the first instant at which it counts for nothing, or None.
        creator: who made the user a member, or None when nobody knows.
    """

    user: User
    level: AccessLevel
    created_at: datetime
    expires_at: datetime | None
    creator: User | None


@dataclass(frozen=True, slots=True)
class Pipeline:
    """What a CI system says of the pipeline that an upload came from.

    Args:
        id: ours.
        number: the id that the CI system gave it, which is the one that clients see; one in its project.
        user: who started it, or None when that is not known any more.
    """

    id: PipelineId
    project_id: ProjectId
    number: int
    iid: int | None
    ref: str | None
    sha: str | None
    source: str | None
    status: str | None
    web_url: str | None
    user: User | None
    created_at: datetime
    updated_at: datetime


# --- the instance ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class InstanceSettings:
    """What administrators decide while the registry runs, by the names that the API has for it.

    Args:
        pypi_package_requests_forwarding: names that never existed here are looked for upstream.
        lock_pypi_package_requests_forwarding: groups may not decide otherwise.
        package_registry_allow_anyone_to_pull_option: a private project may open its registry to everybody.
        default_project_visibility: of a project that is created without one.
        default_group_visibility: of a group that is created without one.
        allow_guest_plus_roles_to_pull_packages: guests of a private project may read its packages.
        packages_protected_packages_delete: protection rules guard against deletes, too.
        pypi_max_file_size: in bytes; 0: as large as the configuration allows.
    """

    pypi_package_requests_forwarding: bool = False
    lock_pypi_package_requests_forwarding: bool = False
    package_registry_allow_anyone_to_pull_option: bool = True
    default_project_visibility: Visibility = Visibility.PRIVATE
    default_group_visibility: Visibility = Visibility.PRIVATE
    allow_guest_plus_roles_to_pull_packages: bool = True
    packages_protected_packages_delete: bool = True
    pypi_max_file_size: int = 0


# --- packages -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Package:
    """One name and one version in a project.

    Args:
        name: as the first uploader spelt it.
        version: as the first uploader spelt it.
        canonical_version: what makes it one with other spellings (PEP 440).
        yanked_at: since when all its files are yanked, also those that come later; None when they are not.
        yanked_reason: None when it is not yanked, or was without a reason.
    """

    id: PackageId
    project_id: ProjectId
    name: str
    normalized_name: NormalizedName
    version: str
    canonical_version: str
    status: PackageStatus
    status_message: str | None
    creator_id: UserId | None
    created_at: datetime
    updated_at: datetime
    last_downloaded_at: datetime | None
    yanked_at: datetime | None
    yanked_reason: str | None


@dataclass(frozen=True, slots=True)
class PackageFile:
    """One sdist or wheel of a package.

    Args:
        size_bytes: length of the blob.
        sha256: taken while it was uploaded. The other digests are None until the worker has computed them,
            and the MD5 stays so in FIPS mode.
        attempt: which try at processing this is, from 1.
        leased_until: until when a worker holds it; None when none does.
        yanked_at: since when it is yanked by itself; None when it is yanked at most with its package.
        yanked_reason: None when it is not yanked by itself, or was without a reason.
        verified_at: when its bytes were last read and found to be those that were received; None when never.
    """

    id: PackageFileId
    package_id: PackageId
    project_id: ProjectId
    blob_key: BlobKey
    file_name: str
    size_bytes: int
    md5: str | None
    sha1: str | None
    sha256: str
    blake2b_256: str | None
    requires_python: str | None
    status: PackageFileStatus
    status_message: str | None
    attempt: int
    leased_until: datetime | None
    created_at: datetime
    yanked_at: datetime | None
    yanked_reason: str | None
    verified_at: datetime | None


@dataclass(frozen=True, slots=True)
class Digests:
    """The digests of a blob.

    Args:
        md5: None in FIPS mode.
    """

    md5: str | None
    sha1: str
    sha256: str
    blake2b_256: str


@dataclass(frozen=True, slots=True)
class CoreMetadata:
    """The METADATA or PKG-INFO of a distribution: its bytes as they are, and what the registry needs of them.

    Args:
        raw: unmodified; at most 1 MiB.
        flaw: which rules of the standard it breaks, on one line; None when it breaks none.
    """

    raw: bytes
    name: str
    version: str
    requires_python: str | None
    flaw: str | None = None


@dataclass(frozen=True, slots=True)
class IndexedName:
    """A line of a simple index.

    Args:
        name: the stored spelling.
        requires_python: that of the newest version, or None.
    """

    name: str
    normalized_name: NormalizedName
    requires_python: str | None


@dataclass(frozen=True, slots=True)
class IndexedFile:
    """A line of a simple page: an installable file with what its page says of it.

    Args:
        metadata_sha256: digest of the stored core metadata, or None when there is none to fetch.
        yanked_reason: None when it is not yanked; may be empty when it is.
        has_provenance: attestations came with it, which can be fetched.
        verified_at: when its bytes were last read and found whole; None when never.
    """

    file_id: PackageFileId
    package_id: PackageId
    project_id: ProjectId
    package_name: str
    version: str
    file_name: str
    size_bytes: int
    sha256: str
    requires_python: str | None
    metadata_sha256: str | None
    yanked_reason: str | None
    has_provenance: bool
    uploaded_at: datetime
    verified_at: datetime | None


@dataclass(frozen=True, slots=True)
class IndexedPage:
    """What the simple page of a name shows.

    Args:
        marker: what is said of the name; an active name without a reason when nothing is.
        files: none of a name that is quarantined.
    """

    marker: StatusMarker
    files: tuple[IndexedFile, ...]
