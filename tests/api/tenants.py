"""Groups with projects in them, and tokens of all kinds, for tests that need more than one project."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import func, insert, select

from shared.metadata.access_tables import job_token_allowlist, pipelines
from shared.models import AccessLevel, Namespace, Pipeline, PipelineId, Project, RegistryAccess, User, Visibility
from shared.ports.token_rows import TokenSource
from shared.principals import READ_PACKAGES
from shared.usecases.token_secrets import digest_of
from tests.api.registry import Registry

NOW = datetime.now(UTC)
LATER = NOW + timedelta(hours=1)


async def add_group(
    registry: Registry, path: str, *, parent: Namespace | None = None, visibility: Visibility = Visibility.PRIVATE
) -> Namespace:
    async with registry.backends.store.writing() as rows:
        return await rows.tenants.add_group(
            parent=parent, name=path.title(), path=path, description="", visibility=visibility
        )


async def add_project(
    registry: Registry,
    group: Namespace,
    path: str,
    *,
    visibility: Visibility = Visibility.PRIVATE,
    registry_access: RegistryAccess = RegistryAccess.ENABLED,
) -> Project:
    async with registry.backends.store.writing() as rows:
        return await rows.tenants.add_project(
            namespace=group,
            name=path.title(),
            path=path,
            description="",
            visibility=visibility,
            registry_access=registry_access,
            creator_id=None,
        )


async def join_group(registry: Registry, group: Namespace, user: User, level: AccessLevel) -> None:
    async with registry.backends.store.writing() as rows:
        await rows.tenants.add_namespace_member(group, user.id, level=level, expires_at=None)


async def add_deploy_token(
    registry: Registry,
    source: TokenSource,
    secret: str,
    *,
    scopes: tuple[str, ...] = (READ_PACKAGES,),
    expires_at: datetime | None = None,
) -> None:
    async with registry.backends.store.writing() as rows:
        creator = await rows.tenants.user_by_username("root")
        assert creator is not None
        await rows.tokens.add_deploy(
            source,
            digest=digest_of(secret),
            name=secret,
            username=None,
            scopes=scopes,
            expires_at=expires_at,
            creator_id=creator.id,
        )


async def add_job_token(registry: Registry, project: Project, user: User, secret: str) -> None:
    """Add the token of a job that this user has started in this project, in a pipeline of its own."""
    number = select(func.coalesce(func.max(pipelines.c.id), 0) + 1).scalar_subquery()
    [(pipeline_id,)] = await registry.rows(
        insert(pipelines)
        .values(project_id=project.id, number=number, created_at=NOW, updated_at=NOW)
        .returning(pipelines.c.id)
    )
    pipeline = Pipeline(
        id=PipelineId(pipeline_id),
        project_id=project.id,
        number=1,
        iid=None,
        ref=None,
        sha=None,
        source=None,
        status=None,
        web_url=None,
        user=user,
        created_at=NOW,
        updated_at=NOW,
    )
    async with registry.backends.store.writing() as rows:
        await rows.tokens.add_job(
            pipeline, digest=digest_of(secret), user_id=user.id, expires_at=LATER, creator_id=user.id
        )


async def let_jobs_in(registry: Registry, project: Project, *, of: Project) -> None:
    await registry.rows(
        insert(job_token_allowlist).values(project_id=project.id, allowed_project_id=of.id, created_at=NOW)
    )
