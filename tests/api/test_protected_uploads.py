"""Uploads that protection rules keep out, and those that they let through: the table of contract, PyPI 6.5."""

import asyncio
import base64
import io
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest
from sqlalchemy import func, insert, select

from shared.metadata.access_tables import pipelines
from shared.models import AccessLevel, Pipeline, PipelineId, Project, User, Visibility
from shared.protection import ProtectedPackageType, ProtectionLevel, ProtectionRule, ProtectionTerms
from shared.usecases.token_secrets import digest_of
from tests.api.registry import NOTHING, ROOT_TOKEN, Answer, Registry, sha256
from tests.distributions import build_wheel, wheel_file_name
from tests.rows import count
from tests.waiting import eventually

CREATED = (201, b'{"message":"201 Created"}')
PROTECTED = (403, b'{"message":"403 Forbidden - Package protected."}')
_PYPI = ProtectedPackageType.PYPI
_MAINTAINER, _OWNER, _ADMIN = ProtectionLevel
LATER = datetime.now(UTC) + timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Uploader:
    """Somebody with the credentials that twine would send."""

    username: str
    password: str


async def protect(
    registry: Registry,
    project: Project,
    pattern: str,
    *,
    push: ProtectionLevel | None = _MAINTAINER,
    delete: ProtectionLevel | None = None,
    package_type: ProtectedPackageType = _PYPI,
) -> ProtectionRule:
    async with registry.backends.store.writing() as rows:
        return await rows.protection_rules.add(
            project.id,
            ProtectionTerms(
                package_name_pattern=pattern,
                package_type=package_type,
                minimum_access_level_for_push=push,
                minimum_access_level_for_delete=delete,
            ),
        )


async def add_deploy_token(registry: Registry, project: Project) -> Uploader:
    secret = "gldt-of-the-tests"
    async with registry.backends.store.writing() as rows:
        root = await rows.tenants.user_by_username("root")
        assert root is not None
        await rows.tokens.add_deploy(
            project,
            digest=digest_of(secret),
            name="ci",
            username=None,
            scopes=("write_package_registry",),
            expires_at=None,
            creator_id=root.id,
        )
    return Uploader("anything", secret)


async def add_job(registry: Registry, project: Project, user: User) -> Uploader:
    """Add a job of the user's in the project itself."""
    secret, now = f"glcbt-{user.username}", datetime.now(UTC)
    next_number = select(func.count() + 1).select_from(pipelines).scalar_subquery()
    [(number,)] = await registry.rows(
        insert(pipelines)
        .values(project_id=project.id, number=next_number, created_at=now, updated_at=now)
        .returning(pipelines.c.id)
    )
    nothing: dict[str, Any] = dict.fromkeys(("iid", "ref", "sha", "source", "status", "web_url"))
    pipeline = Pipeline(
        id=PipelineId(number),
        project_id=project.id,
        number=number,
        user=user,
        created_at=now,
        updated_at=now,
        **nothing,
    )
    async with registry.backends.store.writing() as rows:
        await rows.tokens.add_job(
            pipeline, digest=digest_of(secret), user_id=user.id, expires_at=LATER, creator_id=user.id
        )
    return Uploader("gitlab-ci-token", secret)


async def add_member(registry: Registry, project: Project, level: AccessLevel) -> tuple[User, Uploader]:
    user, token = await registry.add_user(level.name.lower())
    await registry.add_member(project, user, level)
    return user, Uploader("__token__", token)


async def upload(
    registry: Registry,
    project: Project,
    name: str,
    /,
    *,
    by: Uploader,
    content: bytes | None = None,
    leave_out: str = "",
    **fields: str,
) -> tuple[int, bytes]:
    """Upload a wheel as twine does: fields first, file last, and Basic credentials."""
    content = build_wheel(name, "1.0") if content is None else content
    told = {
        ":action": "file_upload",
        "protocol_version": "1",
        "name": name,
        "version": "1.0",
        "filetype": "bdist_wheel",
        "pyversion": "py3",
        "metadata_version": "2.1",
        "sha256_digest": sha256(content),
        **fields,
    }
    form = aiohttp.FormData(default_to_multipart=True, quote_fields=False)
    for field, value in told.items():
        if field != leave_out:
            form.add_field(field, value)
    form.add_field("content", io.BytesIO(content), filename=wheel_file_name(name, "1.0"))
    pair = base64.b64encode(f"{by.username}:{by.password}".encode()).decode()
    answer: Answer = await registry.ask(
        "POST", f"{registry.pypi_of(project.id)}/", token=None, data=form, Authorization=f"Basic {pair}"
    )
    return answer.status, answer.body


async def test_who_may_publish_what_a_rule_protects(registry: Registry) -> None:
    project = await registry.add_project("app")
    for minimum in ProtectionLevel:
        await protect(registry, project, f"for-{minimum}-*", push=minimum)
    uploaders = {"admin": Uploader("root", ROOT_TOKEN), "deploy-token": await add_deploy_token(registry, project)}
    for level in (AccessLevel.DEVELOPER, AccessLevel.MAINTAINER, AccessLevel.OWNER):
        user, uploaders[level.name.lower()] = await add_member(registry, project, level)
        uploaders[f"job-of-{level.name.lower()}"] = await add_job(registry, project, user)
    async with registry.backends.store.reading() as rows:
        root = await rows.tenants.user_by_username("root")
    assert root is not None
    uploaders["job-of-admin"] = await add_job(registry, project, root)

    numbers = {"developer": 30, "maintainer": 40, "owner": 50, "admin": 60}
    expected = {
        (minimum, uploader): CREATED
        if numbers.get(uploader.removeprefix("job-of-"), 0) >= numbers[minimum]
        else PROTECTED
        for minimum in ProtectionLevel
        for uploader in uploaders
    }
    found = {
        (minimum, name): await upload(registry, project, f"for-{minimum}-{name}", by=uploader)
        for minimum in ProtectionLevel
        for name, uploader in uploaders.items()
    }
    assert found == expected
    published = sum(answer == CREATED for answer in expected.values())
    assert published == 12
    assert await registry.traces() == {"packages": published, "package_files": published, "blobs": published}
    assert await count(registry.settings.database_url, "package_names") == published
    for name in ("developer", "owner", "deploy-token"):
        assert await upload(registry, project, f"for-nobody-{name}", by=uploaders[name]) == CREATED


async def test_a_rule_is_about_all_spellings_of_its_project_and_type_only(bare_registry: Registry) -> None:
    project, other = await bare_registry.add_project("app"), await bare_registry.add_project("other")
    _, developer = await add_member(bare_registry, project, AccessLevel.DEVELOPER)
    deploy_token = await add_deploy_token(bare_registry, project)
    await protect(bare_registry, other, "*")
    await protect(bare_registry, project, "*", package_type=ProtectedPackageType.GENERIC)
    await protect(bare_registry, project, "My.*_pkg")
    await protect(bare_registry, project, "only-deletes", push=None, delete=_OWNER)
    bad_version = (400, b'{"message":"400 Bad request - Validation failed: Version is invalid"}')
    for uploader in (developer, deploy_token):
        for name in ("my-good-pkg", "MY__good.PKG", "my-_-x.-pkg"):
            assert await upload(bare_registry, project, name, by=uploader) == PROTECTED, name
        # Between the two dashes of the pattern something must stand, or there is but one in the name.
        for name in ("my-pkg", "my-good-pkgs", "notmy-good-pkg"):
            assert await upload(bare_registry, project, name, by=uploader, version="x") == bad_version, name
    assert await upload(bare_registry, project, "only-deletes", by=developer, version="x") == bad_version
    assert await upload(bare_registry, project, "only-deletes", by=deploy_token, version="x") == PROTECTED
    assert await bare_registry.traces() == NOTHING


async def test_a_rule_counts_after_the_parameters_and_the_size_and_before_all_else(bare_registry: Registry) -> None:
    project = await bare_registry.add_project("app", visibility=Visibility.PUBLIC)
    await protect(bare_registry, project, "*")
    _, developer = await add_member(bare_registry, project, AccessLevel.DEVELOPER)
    _, guest = await add_member(bare_registry, project, AccessLevel.GUEST)
    wheel = build_wheel("pkg", "1.0")
    assert await upload(bare_registry, project, "pkg", by=guest) == (403, b'{"message":"403 Forbidden"}')
    anonymous = await upload(bare_registry, project, "pkg", by=Uploader("somebody", "unknown"))
    assert anonymous == (401, b'{"message":"401 Unauthorized"}')
    missing = await upload(bare_registry, project, "pkg", by=developer, leave_out="version")
    assert missing == (400, b'{"error":"version is missing"}')
    malformed = await upload(bare_registry, project, "pkg", by=developer, sha256_digest="abc")
    assert malformed == (400, b'{"error":"sha256_digest is invalid"}')
    for fields in (
        {},
        {"name": "b@d n@me!"},
        {"version": "one"},
        {"sha256_digest": "0" * 64},
        {"name": "of-another-file"},
        {"metadata_version": "x" * 1000},
    ):
        answer = await upload(bare_registry, project, "pkg", by=developer, content=wheel, **fields)
        assert answer == PROTECTED, fields
    limit = f"/api/v4/application/plan_limits?plan_name=default&pypi_max_file_size={len(wheel) - 1}"
    assert (await bare_registry.ask("PUT", limit)).status == 200
    large = await upload(bare_registry, project, "pkg", by=developer, content=wheel)
    assert large == (413, b'{"message":"400 Bad request - File is too large"}')
    assert await bare_registry.traces() == NOTHING
    assert await count(bare_registry.settings.database_url, "package_names") == 0
    # A name that no package can have is refused for that, and no rule is asked about it.
    await bare_registry.ask("PUT", limit.replace(str(len(wheel) - 1), "0"))
    for name in ("", "x" * 256):
        status, body = await upload(bare_registry, project, "pkg", by=developer, content=wheel, name=name)
        assert (status, b"Name is" in body) == (400, True)


async def test_a_rule_counts_for_what_is_published_already_and_ends_with_its_removal(registry: Registry) -> None:
    project = await registry.add_project("app")
    _, developer = await add_member(registry, project, AccessLevel.DEVELOPER)
    assert await upload(registry, project, "pkg", by=developer) == CREATED
    rule = await protect(registry, project, "pkg")
    assert await upload(registry, project, "pkg", by=developer) == PROTECTED, "although nothing would change"
    assert await registry.traces() == {"packages": 1, "package_files": 1, "blobs": 1}
    url = f"/api/v4/projects/{project.id}/packages/protection/rules/{rule.id}"
    assert (await registry.ask("DELETE", url)).status == 204
    assert await upload(registry, project, "pkg", by=developer) == CREATED


@pytest.mark.parametrize("is_published", [False, True])
async def test_a_rule_that_is_added_while_a_file_arrives_holds(registry: Registry, *, is_published: bool) -> None:
    project = await registry.add_project("app")
    _, developer = await add_member(registry, project, AccessLevel.DEVELOPER)
    blobs = 0
    if is_published:
        assert await upload(registry, project, "pkg", by=developer) == CREATED
        blobs = 1

    # A token's first use is noted; while another writes, the request would wait for that before it came to its file.
    await registry.get(f"{registry.pypi_of(project.id)}/simple/", token=developer.password)

    async def is_stored() -> bool:
        return len(await registry.blobs()) > blobs

    before = await registry.traces()
    async with asyncio.TaskGroup() as group, registry.backends.store.writing() as rows:
        # While this transaction is open nobody sees the rule, and nobody publishes.
        assert await rows.protection_rules.lock(project.id)
        await rows.protection_rules.add(
            project.id,
            ProtectionTerms(
                package_name_pattern="PKG",
                package_type=_PYPI,
                minimum_access_level_for_push=_ADMIN,
                minimum_access_level_for_delete=None,
            ),
        )
        uploading = group.create_task(upload(registry, project, "pkg", by=developer))
        await eventually(is_stored, what="the upload has passed the first look", timeout_seconds=60)
        assert not uploading.done()
    assert uploading.result() == PROTECTED
    assert await registry.traces() == before
