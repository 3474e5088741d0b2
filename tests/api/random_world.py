"""A registry as chance would have it, what may happen to it next, and what somebody may ask of it."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import aiohttp

from shared.models import (
    AccessLevel,
    Namespace,
    PackageFile,
    PackageFileStatus,
    PackageStatus,
    Project,
    RegistryAccess,
    User,
    UserState,
    Visibility,
)
from shared.names import NormalizedName
from shared.ports.metadata_store import AuditEvent
from shared.ports.tenant_changes import GroupChanges, ProjectChanges
from shared.ports.token_rows import TokenSource
from shared.principals import READ_PACKAGES, WRITE_PACKAGES
from shared.status_markers import NameStatus, StatusMarker
from shared.usecases.damage import declare_damaged
from shared.usecases.token_secrets import digest_of
from tests.api import published, tenants
from tests.api.published import ANY
from tests.api.registry import ROOT_TOKEN, SIMPLE_JSON, Registry, sha256
from tests.distributions import core_metadata

_NAMES = ("pkg", "My.Other")
_LEVELS = (AccessLevel.GUEST, AccessLevel.REPORTER, AccessLevel.DEVELOPER, AccessLevel.OWNER)
_HOSTS = ("registry.test", "other.test:8443")
_ACCEPT = (
    None,
    SIMPLE_JSON,
    "text/html",
    "application/vnd.pypi.simple.latest+html",
    "*/*",
    "image/png",
    f"{SIMPLE_JSON};q=0.5, text/html",
)
_SETTINGS = ("allow_guest_plus_roles_to_pull_packages", "package_registry_allow_anyone_to_pull_option")
_STATES = ((UserState.ACTIVE, UserState.BLOCKED), (UserState.BLOCKED, UserState.ACTIVE))
_WHERE_IT_IS, _BY_ROOT = 0.7, 0.45
"""How often chance is helped, so that there is something to be told."""
_CODINGS = (None, None, "gzip", "zstd, gzip", "identity", "br")


@dataclass(frozen=True, slots=True)
class Question:
    """One request."""

    method: str
    path: str
    headers: dict[str, str]


@dataclass(slots=True)
class World:
    """What is there, and the secrets that were ever good for anything."""

    registry: Registry
    chance: random.Random
    groups: list[Namespace] = field(default_factory=list)
    projects: list[Project] = field(default_factory=list)
    users: list[User] = field(default_factory=list)
    secrets: list[str] = field(default_factory=lambda: [ROOT_TOKEN, "glpat-nobody-knows-this-one"])
    files: list[PackageFile] = field(default_factory=list)

    async def fill(self) -> None:
        """Make groups, projects, people, tokens and files."""
        registry, chance = self.registry, self.chance
        top = await tenants.add_group(registry, "top", visibility=Visibility.PUBLIC)
        self.groups = [top, await tenants.add_group(registry, "sub", parent=top, visibility=Visibility.PUBLIC)]
        for number in range(4):
            visibility = chance.choice(tuple(Visibility))
            group = chance.choice(self.groups)
            self.projects.append(await tenants.add_project(registry, group, f"p{number}", visibility=visibility))
        for number in range(3):
            user, secret = await registry.add_user(f"user-{number}", is_external=number == 2)
            self.users.append(user)
            self.secrets += [secret, await published.add_job(registry, user, chance.choice(self.projects))]
        sources: list[TokenSource] = [*self.groups, *self.projects[:2]]
        for number, source in enumerate(sources):
            secret, scope = f"gldt-{number}", chance.choice((READ_PACKAGES, WRITE_PACKAGES, "read_repository"))
            await tenants.add_deploy_token(registry, source, secret, scopes=(scope,))
            self.secrets.append(secret)
        for _ in range(8):
            await self._publish()
        for _ in range(4):
            await self._change_member()

    def question(self) -> Question:
        """Return something that somebody may ask."""
        chance = self.chance
        project, group, file = chance.choice(self.projects), chance.choice(self.groups), chance.choice(self.files)
        if chance.random() < _WHERE_IT_IS:
            project = next(one for one in self.projects if one.id == file.project_id)
        root = chance.choice(
            (
                f"/api/v4/projects/{project.id}/packages/pypi",
                f"/api/v4/projects/{project.full_path.replace('/', '%2F')}/packages/pypi",
                f"/api/v4/groups/{group.id}/-/packages/pypi",
                f"/api/v4/groups/{group.full_path.upper().replace('/', '%2F')}/-/packages/pypi",
                "/api/v4/projects/4711/packages/pypi",
            )
        )
        files = f"files/{file.sha256}/{file.file_name}"
        what = chance.choice(
            (
                "simple/",
                "simple",
                "simple/pkg/",
                "simple/pkg",
                "simple/my-other/",
                "simple/My.Other/",
                "simple/unknown/",
                files,
                files,
                f"{files}.metadata",
                f"{files}.provenance",
                f"files/{'0' * 64}/{file.file_name}",
            )
        )
        headers = {"Host": chance.choice(_HOSTS)} | self._credentials()
        for name, values in (("Accept", _ACCEPT), ("Accept-Encoding", _CODINGS)):
            value = chance.choice(values)
            headers |= {} if value is None else {name: value}
        if chance.random() < 0.2:
            headers["Range"] = chance.choice(("bytes=0-3", "bytes=-5", "bytes=5-", "bytes=900-"))
        return Question(chance.choice(("GET", "GET", "GET", "HEAD")), f"{root}/{what}", headers)

    async def happen(self) -> str:
        """Change something; return what."""
        changes: list[Callable[[], Awaitable[None]]] = [
            *[self._publish] * 4,  # Several others take files away.
            self._change_member,
            self._remove_member,
            self._end_token,
            self._add_token,
            self._block_or_unblock,
            self._change_project,
            self._change_group,
            self._change_settings,
            self._change_package,
            self._mark_name,
            self._switch_scope,
            self._damage_file,
            self._withdraw_metadata,
            self._look_after_files,
            self._change_file,
        ]
        change = self.chance.choice(changes)
        await change()
        return change.__name__

    def _credentials(self) -> dict[str, str]:
        chance = self.chance
        if chance.random() < _BY_ROOT:
            return {"Authorization": aiohttp.encode_basic_auth("root", ROOT_TOKEN)}
        one, other = chance.choice(self.secrets), chance.choice(self.secrets)
        username = chance.choice(("root", "gitlab-ci-token", ""))
        basic = {"Authorization": aiohttp.encode_basic_auth(username, one)}
        return chance.choice(
            (
                {},
                basic,
                basic,
                basic,
                {"PRIVATE-TOKEN": one},
                {"Authorization": f"Bearer {one}"},
                {"Deploy-Token": one},
                {"JOB-TOKEN": one},
                basic | {"PRIVATE-TOKEN": other},
                basic | {"Sudo": "user-0"},
                {"Authorization": "Basic !"},
            )
        )

    async def _publish(self) -> None:
        project, name, number = self.chance.choice(self.projects), self.chance.choice(_NAMES), len(self.files)
        size = self.chance.choice((3, 700, 70_000))
        file = await published.publish(
            self.registry,
            project.id,
            name=name,
            version=f"1.{number}",
            file_name=f"{name}-1.{number}.tar.gz",
            content=f"{number}".encode() * size,
            metadata=self.chance.choice((None, core_metadata(name, f"1.{number}"))),
        )
        async with self.registry.backends.store.reading() as rows:
            found = await rows.packages.file(file.id)
        assert found is not None
        assert found.sha256 == sha256(f"{number}".encode() * size)
        self.files.append(found)

    async def _change_member(self) -> None:
        user, level = self.chance.choice(self.users), self.chance.choice(_LEVELS)
        async with self.registry.backends.store.writing() as rows:
            if self.chance.random() < 0.5:
                group = self.chance.choice(self.groups)
                await rows.tenants.add_namespace_member(group, user.id, level=level, expires_at=None)
            else:
                project = self.chance.choice(self.projects)
                await rows.tenants.add_project_member(project, user.id, level=level, expires_at=None)

    async def _remove_member(self) -> None:
        user = self.chance.choice(self.users)
        async with self.registry.backends.store.writing() as rows:
            await rows.members.remove_below(self.groups[0], user.id)
            await rows.members.remove(self.chance.choice(self.groups), user.id)

    async def _end_token(self) -> None:
        async with self.registry.backends.store.writing() as rows:
            token = await rows.tokens.by_digest(digest_of(self.chance.choice(self.secrets[1:])))
            if token is not None:
                await rows.tokens.revoke(token.id, at=datetime.now(UTC))

    async def _add_token(self) -> None:
        secret, scope = f"glpat-{len(self.secrets)}", self.chance.choice(("api", "read_api", "read_user"))
        await self.registry.add_token(self.chance.choice(self.users), secret, scopes=(scope,))
        self.secrets.append(secret)

    async def _block_or_unblock(self) -> None:
        source, state = self.chance.choice(_STATES)
        async with self.registry.backends.store.writing() as rows:
            await rows.users.set_state(self.chance.choice(self.users).id, state, source=source)

    async def _change_project(self) -> None:
        changes = ProjectChanges(
            name=f"Name {self.chance.random()}",
            visibility=self.chance.choice(tuple(Visibility)),
            registry_access=self.chance.choice(tuple(RegistryAccess)),
        )
        async with self.registry.backends.store.writing() as rows:
            await rows.tenant_changes.change_project(self.chance.choice(self.projects), changes)

    async def _change_group(self) -> None:
        async with self.registry.backends.store.writing() as rows:
            changes = GroupChanges(name=f"Name {self.chance.random()}")
            await rows.tenant_changes.change_group(self.chance.choice(self.groups), changes)

    async def _change_settings(self) -> None:
        name = self.chance.choice(_SETTINGS)
        async with self.registry.backends.store.writing() as rows:
            await rows.settings.decide({name: self.chance.random() < 0.5})

    async def _change_package(self) -> None:
        package_id = self.chance.choice(self.files).package_id
        status = self.chance.choice((PackageStatus.DEFAULT, PackageStatus.HIDDEN, PackageStatus.ERROR))
        async with self.registry.backends.store.writing() as rows:
            await rows.packages.lock(package_id)
            reason = self.chance.choice((None, "broken"))
            match self.chance.randrange(4):
                case 0:
                    await rows.packages.doom_package(package_id, source=ANY)
                case 1:
                    await rows.packages.change_status(package_id, source=ANY, status=status)
                case 2:
                    await rows.packages.yank_package(package_id, source=ANY, reason=reason)
                case _:
                    await rows.packages.unyank_package(package_id, source=ANY)

    async def _mark_name(self) -> None:
        marker = StatusMarker(self.chance.choice(tuple(NameStatus)), self.chance.choice((None, "so")))
        name = NormalizedName(self.chance.choice(("pkg", "my-other")))
        async with self.registry.backends.store.writing() as rows:
            await rows.package_names.mark(self.chance.choice(self.projects).id, name, marker=marker)

    async def _switch_scope(self) -> None:
        async with self.registry.backends.store.writing() as rows:
            root = await rows.tenants.user_by_username("root")
            assert root is not None
            project, other = self.chance.sample(self.projects, 2)
            match self.chance.randrange(3):
                case 0:
                    await rows.job_tokens.switch_scope(project, is_enabled=self.chance.random() < 0.5)
                case 1:
                    await rows.job_tokens.allow_project(project, other.id, creator_id=root.id)
                case _:
                    await rows.job_tokens.disallow_project(project, other.id)

    async def _damage_file(self) -> None:
        """Do what a scrub and a repair do when bytes are lost."""
        file = self.chance.choice(self.files)
        await declare_damaged(self.registry.backends.store, file, reason="its stored bytes are missing")

    async def _withdraw_metadata(self) -> None:
        """Do what a repair does when stored metadata are damaged."""
        file = self.chance.choice(self.files)
        async with self.registry.backends.store.writing() as rows:
            await rows.packages.lock(file.package_id)
            await rows.inventory.withdraw_core_metadata(file.id)

    async def _look_after_files(self) -> None:
        """Note what nobody who reads pages is told."""
        now = datetime.now(UTC)
        async with self.registry.backends.store.writing() as rows:
            ids = [file.id for file in self.files]
            await rows.scrub.take_due(ids, verified_before=now, now=now, until=now)
            await rows.scrub.note_verified(ids, at=now)
            await rows.storage.recount(self.chance.choice(self.projects).id)
            await rows.packages.note_downloads({self.files[0].package_id: now}, grain=timedelta(0))
            await rows.audit(AuditEvent(action="backup.restored", actor="system", target="instance"))

    async def _change_file(self) -> None:
        file = self.chance.choice(self.files)
        async with self.registry.backends.store.writing() as rows:
            await rows.packages.lock(file.package_id)
            match self.chance.randrange(4):
                case 0:
                    await rows.packages.doom_file(file.id, source=frozenset(PackageFileStatus))
                case 1:
                    await rows.packages.yank_file(file.id, reason=self.chance.choice((None, "broken")))
                case 2:
                    await rows.packages.unyank_file(file.id)
                case _:
                    await rows.packages.remove_file(file.id, source=PackageFileStatus.PENDING_DESTRUCTION)
