"""Packages that are there without an upload and without a worker, in whatever status a test wants them."""

import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import insert

from shared.blob_keys import new_blob_key
from shared.metadata.access_tables import access_tokens, pipelines
from shared.models import CoreMetadata, Digests, Package, PackageFile, PackageStatus, Project, ProjectId, User
from shared.names import canonical_version, normalize_name
from shared.ports.package_rows import NewPackage, NewPackageFile
from shared.principals import WRITE_PACKAGES
from shared.usecases.token_secrets import JOB_PREFIX, digest_of
from tests.api.registry import Registry

CONTENT = b"the bytes of a distribution"
ANY = frozenset(PackageStatus)


async def publish(
    registry: Registry,
    project_id: ProjectId | None = None,
    *,
    name: str = "pkg",
    version: str = "1.0",
    file_name: str = "pkg-1.0.tar.gz",
    content: bytes = CONTENT,
    metadata: bytes | None = None,
    requires_python: str | None = None,
    is_judged: bool = True,
    status: PackageStatus | None = None,
) -> PackageFile:
    """Add a file with its blob, as the worker would have accepted it.

    Args:
        metadata: the METADATA that was found in it.
        is_judged: otherwise it is in `processing`.
        status: what the package is put into at last.
    """
    store, blobs = registry.backends.store, registry.backends.blobs
    async with blobs.create(new_blob_key(datetime.now(UTC))) as blob:
        await blob.write(content)
        receipt = await blob.commit()
        async with store.writing() as rows:
            new = NewPackage(
                project_id=project_id or registry.project_id,
                name=name,
                normalized_name=normalize_name(name),
                version=version,
                canonical_version=canonical_version(version),
                creator_id=None,
            )
            package, _ = await rows.packages.find_or_add(new)
            file = await rows.packages.add_file(
                NewPackageFile(
                    package_id=package.id,
                    project_id=package.project_id,
                    blob_key=blob.key,
                    file_name=file_name,
                    size_bytes=receipt.size_bytes,
                    sha256=receipt.sha256,
                    requires_python=None,
                    form={},
                    uploader_kind="user",
                    uploader_id=1,
                    token_id=None,
                )
            )
            if is_judged:
                await rows.packages.take_lease(file.id, attempt=1, until=datetime.now(UTC) + timedelta(minutes=1))
                digests = Digests(
                    md5=hashlib.md5(content, usedforsecurity=False).hexdigest(),
                    sha1=hashlib.sha1(content, usedforsecurity=False).hexdigest(),
                    sha256=receipt.sha256,
                    blake2b_256=hashlib.blake2b(content, digest_size=32).hexdigest(),
                )
                found = metadata and CoreMetadata(
                    raw=metadata, name=name, version=version, requires_python=requires_python
                )
                assert await rows.packages.accept_file(file.id, attempt=1, digests=digests, metadata=found or None)
            match status:
                case None:
                    pass
                case PackageStatus.PENDING_DESTRUCTION:
                    await rows.packages.doom_package(package.id, source=ANY)
                case _:
                    await rows.packages.change_status(package.id, source=ANY, status=status)
    return file


async def package_of(registry: Registry, file: PackageFile) -> Package | None:
    """Return the package row of a file, if it is still there."""
    async with registry.backends.store.reading() as rows:
        return await rows.packages.package(file.package_id)


async def add_job(registry: Registry, user: User, project: Project) -> str:
    """Return the token of a job that the user has started in the project."""
    secret = f"{JOB_PREFIX}{project.id}-{user.id}"
    now = datetime.now(UTC)
    [(pipeline_id,)] = await registry.rows(
        insert(pipelines)
        .values(project_id=project.id, number=user.id, created_at=now, updated_at=now)
        .returning(pipelines.c.id)
    )
    await registry.rows(
        insert(access_tokens).values(
            kind="job",
            digest=digest_of(secret),
            name="job",
            user_id=user.id,
            project_id=project.id,
            pipeline_id=pipeline_id,
            scopes=[],
            expires_at=now + timedelta(days=1),
            created_at=now,
        )
    )
    return secret


async def add_deploy_token(registry: Registry, project: Project) -> str:
    """Return a deploy token that may write the project's packages, and so read them."""
    secret = f"gldt-of-{project.path}"
    async with registry.backends.store.writing() as rows:
        root = await rows.tenants.user_by_username("root")
        assert root is not None
        await rows.tokens.add_deploy(
            project,
            digest=digest_of(secret),
            name=secret,
            username=None,
            scopes=(WRITE_PACKAGES,),
            expires_at=None,
            creator_id=root.id,
        )
    return secret


async def audited(registry: Registry, *actions: str) -> list[tuple[Any, ...]]:
    """Return action, actor, target and details of these events, oldest first."""
    found = await registry.rows("SELECT action, actor, target, project_id, details FROM audit_events ORDER BY id")
    return [(*row[:4], json.loads(row[4])) for row in found if row[0] in actions]
