"""Rows that tests start from, made through the port alone."""

import hashlib
import itertools
from datetime import UTC, datetime, timedelta

from packaging.utils import canonicalize_name, canonicalize_version

from shared.models import (
    BlobKey,
    CoreMetadata,
    Digests,
    Namespace,
    Package,
    PackageFile,
    PackageStatus,
    Project,
    ProjectId,
    RegistryAccess,
    User,
    Visibility,
)
from shared.names import NormalizedName
from shared.ports.metadata_store import MetadataStore, Writing
from shared.ports.package_rows import NewPackage, NewPackageFile

_numbers = itertools.count(1)

LATER = datetime(2100, 1, 1, tzinfo=UTC)
DIGESTS = Digests(md5="d" * 32, sha1="1" * 40, sha256="2" * 64, blake2b_256="b" * 64)


def lease_end(seconds: float = 30.0) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


async def add_user(rows: Writing, username: str = "ada", *, email: str | None = None) -> User:
    return await rows.tenants.add_user(
        username=username,
        name=username.title(),
        email=email or f"{username}@localhost",
        is_admin=False,
        is_external=False,
    )


async def add_group(rows: Writing, path: str, *, parent: Namespace | None = None) -> Namespace:
    return await rows.tenants.add_group(
        parent=parent, name=path, path=path, description="", visibility=Visibility.PRIVATE
    )


async def add_project(rows: Writing, namespace: Namespace, path: str = "app", *, name: str | None = None) -> Project:
    return await rows.tenants.add_project(
        namespace=namespace,
        name=name or path,
        path=path,
        description="",
        visibility=Visibility.PRIVATE,
        registry_access=RegistryAccess.ENABLED,
        creator_id=None,
    )


async def new_project(store: MetadataStore, path: str = "app") -> Project:
    """Add a project in a top-level group of its own."""
    async with store.writing() as rows:
        return await add_project(rows, await add_group(rows, f"group-of-{path}"), path)


def new_package(project_id: ProjectId, name: str = "demo", version: str = "1.0") -> NewPackage:
    return NewPackage(
        project_id=project_id,
        name=name,
        normalized_name=NormalizedName(canonicalize_name(name)),
        version=version,
        canonical_version=canonicalize_version(version),
        creator_id=None,
    )


def new_file(
    package: Package,
    file_name: str = "demo-1.0.tar.gz",
    *,
    sha256: str | None = None,
    requires_python: str | None = None,
) -> NewPackageFile:
    return NewPackageFile(
        package_id=package.id,
        project_id=package.project_id,
        blob_key=BlobKey(f"2026/11/21/{next(_numbers):032x}"),
        file_name=file_name,
        size_bytes=7,
        sha256=sha256 or hashlib.sha256(file_name.encode()).hexdigest(),
        requires_python=requires_python,
        form={"name": [package.name], "version": [package.version]},
        uploader_kind="user",
        uploader_id=1,
        token_id=None,
    )


async def upload(
    store: MetadataStore,
    project: Project,
    file_name: str = "demo-1.0.tar.gz",
    *,
    name: str = "demo",
    version: str = "1.0",
    sha256: str | None = None,
    requires_python: str | None = None,
) -> PackageFile:
    """Add a file that waits for the worker."""
    async with store.writing() as rows:
        package, _ = await rows.packages.find_or_add(new_package(project.id, name, version))
        return await rows.packages.add_file(
            new_file(package, file_name, sha256=sha256, requires_python=requires_python)
        )


async def lease(store: MetadataStore, file: PackageFile, *, until: datetime | None = None) -> PackageFile:
    """Take the file as its worker does."""
    async with store.writing() as rows:
        leased = await rows.packages.take_lease(file.id, attempt=file.attempt, until=until or lease_end())
    assert leased is not None
    return leased


async def accept(store: MetadataStore, file: PackageFile, *, metadata: CoreMetadata | None = None) -> None:
    """Take the file and give the verdict `default`."""
    await lease(store, file)
    async with store.writing() as rows:
        await rows.packages.lock(file.package_id)
        assert await rows.packages.accept_file(file.id, attempt=file.attempt, digests=DIGESTS, metadata=metadata)


async def refuse(store: MetadataStore, file: PackageFile, *, reason: str = "it is broken") -> None:
    """Take the file and give the verdict `error`."""
    await lease(store, file)
    async with store.writing() as rows:
        await rows.packages.lock(file.package_id)
        assert await rows.packages.refuse_file(file.id, attempt=file.attempt, reason=reason)


async def publish(
    store: MetadataStore,
    project: Project,
    file_name: str = "demo-1.0.tar.gz",
    *,
    name: str = "demo",
    version: str = "1.0",
    sha256: str | None = None,
    requires_python: str | None = None,
) -> PackageFile:
    """Add a file and have it accepted."""
    file = await upload(
        store, project, file_name, name=name, version=version, sha256=sha256, requires_python=requires_python
    )
    await accept(store, file)
    return await file_as_it_is(store, file)


async def doom(store: MetadataStore, file: PackageFile) -> None:
    """Doom the package of this file with all its files."""
    async with store.writing() as rows:
        await rows.packages.lock(file.package_id)
        assert await rows.packages.doom_package(file.package_id, source=frozenset(PackageStatus)) is not None


async def file_as_it_is(store: MetadataStore, file: PackageFile) -> PackageFile:
    async with store.reading() as rows:
        found = await rows.packages.file(file.id)
    assert found is not None
    return found


async def package_of(store: MetadataStore, file: PackageFile) -> Package:
    async with store.reading() as rows:
        found = await rows.packages.package(file.package_id)
    assert found is not None
    return found
