"""CI jobs in SQL: their pipelines, their tokens, and where they are let in."""

from dataclasses import fields
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, delete, func, literal, or_, select, union_all, update

from shared.metadata.access_tables import access_tokens, job_token_allowlist, pipelines
from shared.metadata.paging import read_page
from shared.metadata.pipelines import pipeline_columns, pipeline_of
from shared.metadata.tenant_reads import (
    namespace_columns,
    namespace_of,
    project_of,
    projects_with_ancestors,
    with_ancestors,
)
from shared.metadata.tenant_tables import namespace_ancestors, namespaces, projects, users
from shared.metadata.transaction import Transaction
from shared.models import CounterScope, Namespace, NamespaceId, Pipeline, Project, ProjectId, TokenId, UserId
from shared.pages import Page, PageRequest
from shared.ports.job_token_rows import JobToken, NewPipeline
from shared.principals import AccessToken, TokenKind

_PREFIX = "token_"  # A token and its pipeline have a project, a user and more each.
_TOKEN_FIELDS = tuple(field.name for field in fields(AccessToken))
_TOKEN_COLUMNS = [access_tokens.c[name].label(_PREFIX + name) for name in _TOKEN_FIELDS]
_UPDATED = ("iid", "ref", "sha", "source", "status", "web_url")
_entries = job_token_allowlist.c


class SqlJobTokenReads:
    """Implements JobTokenReads."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def is_allowed(self, source: Project, *, into: ProjectId) -> bool:
        row = await self._transaction.row(
            select(_entries.id).where(
                _entries.project_id == into,
                or_(
                    _entries.allowed_project_id == source.id,
                    _entries.allowed_namespace_id.in_(source.namespace.ancestor_ids),
                ),
            )
        )
        return row is not None

    async def running(self, project: Project, token_id: TokenId, *, now: datetime) -> AccessToken | None:
        row = await self._transaction.row(
            select(*_TOKEN_COLUMNS).where(access_tokens.c.id == token_id, _runs_in(project, now))
        )
        return _token(row) if row else None

    async def running_page(self, project: Project, page: PageRequest, *, now: datetime) -> Page[JobToken]:
        statement = (
            select(*_TOKEN_COLUMNS, *pipeline_columns())
            .join_from(access_tokens, pipelines, pipelines.c.id == access_tokens.c.pipeline_id)
            .outerjoin(users, users.c.id == pipelines.c.user_id)
            .where(_runs_in(project, now))
        )
        return await read_page(
            self._transaction,
            statement,
            [access_tokens.c.id.desc()],
            page,
            _job,
        )

    async def allowed_projects(self, project: Project, page: PageRequest) -> Page[Project]:
        on_list = select(_entries.allowed_project_id).where(
            _entries.project_id == project.id, _entries.allowed_project_id.is_not(None)
        )
        itself = select(literal(project.id, projects.c.id.type))
        ids: Page[ProjectId] = await read_page(
            self._transaction,
            select(projects.c.id).where(projects.c.doomed_at.is_(None), projects.c.id.in_(union_all(on_list, itself))),
            [projects.c.id],
            page,
            lambda row: row.id,
        )
        rows = await self._transaction.rows(
            projects_with_ancestors(projects.c.id.in_(ids.entries))
            .order_by(None)
            .order_by(projects.c.id, namespace_ancestors.c.distance.desc())
        )
        found = tuple(project_of(list(same)) for _, same in groupby(rows, lambda row: row.id))
        return Page(found, ids.total, ids.has_more)

    async def allowed_groups(self, project: Project, page: PageRequest) -> Page[Namespace]:
        is_allowed = namespaces.c.id.in_(
            select(_entries.allowed_namespace_id).where(
                _entries.project_id == project.id, _entries.allowed_namespace_id.is_not(None)
            )
        )
        ids: Page[NamespaceId] = await read_page(
            self._transaction,
            select(namespaces.c.id).where(namespaces.c.doomed_at.is_(None), is_allowed),
            [namespaces.c.id],
            page,
            lambda row: row.id,
        )
        rows = await self._transaction.rows(
            with_ancestors(select(*namespace_columns()), namespaces.c.id.in_(ids.entries))
            .order_by(None)
            .order_by(namespaces.c.id, namespace_ancestors.c.distance.desc())
        )
        found = tuple(namespace_of(list(same)) for _, same in groupby(rows, lambda row: row.namespace_id))
        return Page(found, ids.total, ids.has_more)


class SqlJobTokenWrites(SqlJobTokenReads):
    """Implements JobTokenWrites."""

    async def save_pipeline(self, project: Project, new: NewPipeline, *, user_id: UserId) -> Pipeline:
        now = self._transaction.now()
        said = {name: getattr(new, name) for name in _UPDATED}
        added = self._transaction.insert(pipelines).values(
            project_id=project.id, number=new.number, user_id=user_id, created_at=now, updated_at=now, **said
        )
        saved = await self._transaction.row(
            added.on_conflict_do_update(
                index_elements=["project_id", "number"],
                set_={
                    **{name: func.coalesce(added.excluded[name], pipelines.c[name]) for name in _UPDATED},
                    "updated_at": now,
                },
            ).returning(pipelines.c.id)
        )
        assert saved is not None
        self._transaction.touch(CounterScope.PROJECT, project.id)
        row = await self._transaction.row(
            select(*pipeline_columns())
            .join_from(pipelines, users, users.c.id == pipelines.c.user_id, isouter=True)
            .where(pipelines.c.id == saved.id)
        )
        pipeline = pipeline_of(row) if row else None
        assert pipeline is not None
        return pipeline

    async def switch_scope(self, project: Project, *, is_enabled: bool) -> bool:
        return await self._count(
            project,
            await self._transaction.change(
                update(projects)
                .where(
                    projects.c.id == project.id,
                    projects.c.doomed_at.is_(None),
                    projects.c.job_token_scope_enabled.is_not(is_enabled),
                )
                .values(job_token_scope_enabled=is_enabled)
            ),
        )

    async def allow_project(self, project: Project, target_id: ProjectId, *, creator_id: UserId) -> bool:
        return await self._allow(project, creator_id, allowed_project_id=target_id)

    async def disallow_project(self, project: Project, target_id: ProjectId) -> bool:
        return await self._disallow(project, _entries.allowed_project_id == target_id)

    async def allow_group(self, project: Project, target_id: NamespaceId, *, creator_id: UserId) -> bool:
        return await self._allow(project, creator_id, allowed_namespace_id=target_id)

    async def disallow_group(self, project: Project, target_id: NamespaceId) -> bool:
        return await self._disallow(project, _entries.allowed_namespace_id == target_id)

    async def _allow(self, project: Project, creator_id: UserId, **target: int) -> bool:
        entry = self._transaction.insert(job_token_allowlist).values(
            project_id=project.id, creator_id=creator_id, created_at=self._transaction.now(), **target
        )
        row = await self._transaction.row(entry.on_conflict_do_nothing().returning(_entries.id))
        return await self._count(project, 0 if row is None else 1)

    async def _disallow(self, project: Project, is_target: ColumnElement[bool]) -> bool:
        return await self._count(
            project,
            await self._transaction.change(
                delete(job_token_allowlist).where(_entries.project_id == project.id, is_target)
            ),
        )

    async def _count(self, project: Project, changed: int) -> bool:
        """Count the change, if there was one, as one of who may reach the project."""
        if changed:
            self._transaction.touch(CounterScope.NAMESPACE, project.namespace.top_level_id)
        return changed > 0


def _runs_in(project: Project, now: datetime) -> ColumnElement[bool]:
    return and_(
        access_tokens.c.project_id == project.id,
        access_tokens.c.kind == TokenKind.JOB,
        access_tokens.c.revoked_at.is_(None),
        access_tokens.c.expires_at > now,
    )


def _job(row: Row[Any]) -> JobToken:
    pipeline = pipeline_of(row)
    assert pipeline is not None
    return JobToken(token=_token(row), pipeline=pipeline)


def _token(row: Row[Any]) -> AccessToken:
    found = {name: row._mapping[_PREFIX + name] for name in _TOKEN_FIELDS}
    return AccessToken(**{**found, "scopes": tuple(found["scopes"])})
