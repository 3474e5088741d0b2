"""Every change leaves one audit event, in the transaction that makes it; what is refused leaves none."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from services.api.routes import API, ENDPOINTS, TOKENS
from shared.models import AccessLevel, Namespace, Project, User, UserId, Visibility
from shared.ports.job_token_rows import NewPipeline
from shared.ports.metadata_store import Writing
from shared.protection import ProtectedPackageType, ProtectionLevel, ProtectionTerms
from tests.api.access_changes import ACCESS_CHANGES
from tests.api.access_grants import ACCESS_GRANTS
from tests.api.audited_write import Write
from tests.api.package_writes import PACKAGE_WRITES
from tests.api.published import publish
from tests.api.registry import ROOT_TOKEN, Answer, Registry
from tests.rows import everything, take_no_more

WRITES = [*PACKAGE_WRITES, *ACCESS_GRANTS, *ACCESS_CHANGES]
"""Those about packages stand first: the others change who may write some, and delete what they are in."""

INVALID: list[tuple[str, str, Mapping[str, Any], int]] = [
    ("POST", f"{API}/users", {"email": "root@localhost", "username": "x", "name": "X", "reset_password": True}, 409),
    ("POST", f"{API}/users", {"email": "x@localhost", "username": "x", "name": "X", "password": "short"}, 400),
    ("POST", f"{API}/users/1/block", {}, 403),
    ("POST", f"{API}/users/4711/block", {}, 404),
    ("POST", f"{API}/users/1/personal_access_tokens", {"name": "x", "scopes": ["everything"]}, 400),
    ("DELETE", f"{TOKENS}/4711", {}, 404),
    ("POST", f"{API}/groups", {"name": "x", "path": "team"}, 400),
    ("PUT", f"{API}/groups/team", {"visibility": "open"}, 400),
    ("PUT", f"{API}/groups/team", {"path": "other"}, 400),
    ("POST", f"{API}/projects", {"path": "app", "namespace_id": "<team>"}, 400),
    ("PUT", f"{API}/projects/team%2Fapp", {"name": "Old-Project"}, 400),
    ("POST", f"{API}/groups/team/members", {"user_id": "<member>", "access_level": 30}, 409),
    ("POST", f"{API}/groups/team/members", {"user_id": "<stranger>", "access_level": 31}, 400),
    ("POST", f"{API}/groups/team/members", {"user_id": 4711, "access_level": 30}, 404),
    ("PUT", f"{API}/groups/team/members/<stranger>", {"access_level": 30}, 404),
    ("DELETE", f"{API}/groups/team/members/<owner>", {}, 403),
    ("DELETE", f"{API}/projects/team%2Fapp/members/<stranger>", {}, 404),
    ("POST", f"{API}/groups/team/deploy_tokens", {"name": "x", "scopes": []}, 400),
    ("DELETE", f"{API}/groups/team/deploy_tokens/4711", {}, 404),
    ("POST", f"{API}/projects/team%2Fapp/job_tokens", {"pipeline": {"id": 0}}, 400),
    ("DELETE", f"{API}/projects/team%2Fapp/job_tokens/4711", {}, 404),
    ("POST", f"{API}/projects/team%2Fapp/job_token_scope/allowlist", {"target_project_id": "<app>"}, 400),
    ("DELETE", f"{API}/projects/team%2Fapp/job_token_scope/groups_allowlist/<other group>", {}, 400),
    ("PATCH", f"{API}/projects/team%2Fapp/packages/protection/rules/4711", {"package_type": "pypi"}, 404),
    ("DELETE", f"{API}/projects/team%2Fapp/packages/protection/rules/4711", {}, 404),
    ("POST", f"{API}/projects/team%2Fapp/packages/pypi", {}, 400),
    ("PUT", f"{API}/projects/team%2Fapp/packages/<package>", {"status": "error"}, 400),
    ("DELETE", f"{API}/projects/team%2Fapp/packages/4711", {}, 404),
    ("DELETE", f"{API}/projects/team%2Fapp/packages/<package>/package_files/4711", {}, 404),
    ("PUT", f"{API}/projects/team%2Fapp/packages/4711/yank", {}, 404),
    ("PUT", f"{API}/projects/team%2Fapp/packages/pypi/names/unknown/status", {"status": "archived"}, 404),
    ("PUT", f"{API}/application/settings", {"default_group_visibility": "open"}, 400),
    ("PUT", f"{API}/application/plan_limits", {"pypi_max_file_size": -1}, 400),
]
"""What an administrator asks for in vain."""

UNCHANGED: list[tuple[str, str, Mapping[str, Any]]] = [
    ("POST", f"{API}/users/<blocked>/block", {}),
    ("POST", f"{API}/users/<active>/unblock", {}),
    (
        "PATCH",
        f"{API}/projects/team%2Fapp/packages/protection/rules/<rule>",
        {"minimum_access_level_for_push": "maintainer"},
    ),
    ("PATCH", f"{API}/projects/team%2Fapp/job_token_scope", {"enabled": True}),
    ("PUT", f"{API}/projects/team%2Fapp/packages/<package>", {"status": "default"}),
    ("DELETE", f"{API}/projects/team%2Fapp/packages/<package>/yank", {}),
    ("DELETE", f"{API}/projects/team%2Fapp/packages/<package>/package_files/<file>/yank", {}),
    ("PUT", f"{API}/projects/team%2Fapp/packages/<yanked package>/yank", {"reason": "old"}),
    ("PUT", f"{API}/projects/team%2Fapp/packages/pypi/names/kept/status", {"status": "active"}),
    ("PUT", f"{API}/application/settings", {"unknown": True}),
]
"""What changes nothing, because it is so already, and leaves no event."""


@dataclass(frozen=True, slots=True)
class Scene:
    """A registry with somebody of every kind.

    Args:
        places: a word -> the id of what it stands for.
        tokens: username -> token; `<username> reading` -> one that may only read.
    """

    registry: Registry
    places: dict[str, int | str]
    tokens: dict[str, str]

    async def send(self, method: str, path: str, body: Mapping[str, Any], *, token: str | None) -> Answer:
        sent = json.dumps(self._filled(body)) if body else None
        return await self.registry.ask(method, self.fill(path), token=token, data=sent, Content_Type="application/json")

    async def write(self, write: Write, *, token: str | None) -> Answer:
        method, path = write.endpoint
        names = {name: self.places[word] for name, word in write.names.items()}
        if write.file is not None:
            file_name, content = write.file
            answer = await self.registry.upload(
                content, file_name=file_name, token=token, to=names["project"], method=method, **write.form
            )
            [(self.places["newest file"],)] = await self.registry.rows("SELECT max(id) FROM package_files")
            return answer
        return await self.send(method, path.format(**names), write.body, token=token)

    def fill(self, text: str, answer: Answer | None = None) -> str:
        """Return the text with ids for words: `<team>` is a place, `{id}` stands in the answer."""
        for word, number in self.places.items():
            text = text.replace(f"<{word}>", str(number))
        return text.format(**answer.json) if answer is not None and "{" in text else text

    def expected(self, write: Write, answer: Answer) -> dict[str, Any]:
        return {
            "action": write.action,
            "actor": f"user:{self.places[write.by]}",
            "target": self.fill(write.target, answer),
            "token_id": self.places[f"token of {write.by}"],
            "project_id": int(self.fill(write.project, answer)) if write.project else None,
            "namespace_id": int(self.fill(write.namespace, answer)) if write.namespace else None,
            "details": None if write.details is None else self._filled(write.details),
        }

    async def events(self) -> list[dict[str, Any]]:
        """Return all events, oldest first."""
        return (await self.rows())["audit_events"]

    async def rows(self) -> dict[str, list[dict[str, Any]]]:
        """Return all that is in the database, but for when tokens were used."""
        found = await everything(self.registry.settings.database_url)
        return {table: [{**row, "last_used_at": None} for row in rows] for table, rows in found.items()}

    def _filled(self, body: Mapping[str, Any]) -> dict[str, Any]:
        return {name: self._value(value) for name, value in body.items()}

    def _value(self, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        return self.places[value[1:-1]] if value.startswith("<") else self.fill(value)


@pytest.fixture
def environment() -> dict[str, str]:
    return {"LARDER_UPLOAD_WAIT_SECONDS": "0"}  # Nobody looks at what is uploaded here.


@pytest.fixture
async def scene(bare_registry: Registry) -> Scene:
    registry = bare_registry
    users: dict[str, User] = {}
    tokens = {"root": ROOT_TOKEN}
    for name in ("owner", "member", "leaver", "stranger", "active", "blocked", "revoker", "rotator"):
        users[name], tokens[name] = await registry.add_user(name)
    assert (await registry.ask("POST", f"{API}/users/{users['blocked'].id}/block")).status == 201
    projects = {name: await registry.add_project(name) for name in ("app", "old-project", "other", "allowed")}
    app, team = projects["app"], projects["app"].namespace
    async with registry.backends.store.writing() as rows:
        root = await rows.tenants.user_by_username("root")
        assert root is not None
        groups = {name: await _add_subgroup(rows, team, name) for name in ("old", "other-group", "allowed-group")}
        for name, level in (("owner", AccessLevel.OWNER), ("member", AccessLevel.GUEST), ("leaver", AccessLevel.GUEST)):
            await rows.tenants.add_namespace_member(team, users[name].id, level=level, expires_at=None)
        for name in ("member", "leaver"):
            await rows.tenants.add_project_member(app, users[name].id, level=AccessLevel.GUEST, expires_at=None)
        granted = await _grant(rows, app, users["owner"].id)
        await rows.job_tokens.allow_project(app, projects["allowed"].id, creator_id=root.id)
        await rows.job_tokens.allow_group(app, groups["allowed-group"].id, creator_id=root.id)
    users["root"] = root
    for name, user in users.items():
        tokens[f"{name} reading"] = f"glpat-of-{name}-for-reading"
        await registry.add_token(user, tokens[f"{name} reading"], scopes=("read_api",))
    for purpose in ("revoke", "rotate"):
        await registry.add_token(users["owner"], f"glpat-of-owner-to-{purpose}")
    named = dict(await registry.rows("SELECT name, id FROM access_tokens"))
    places = {
        **{name: int(user.id) for name, user in users.items()},
        **{f"token of {name}": named[token] for name, token in tokens.items() if token in named},
        **{f"token of owner to {purpose}": named[f"glpat-of-owner-to-{purpose}"] for purpose in ("revoke", "rotate")},
        "token of root": named["root token of the configuration"],
        "app": app.id,
        "old project": projects["old-project"].id,
        "other project": projects["other"].id,
        "allowed project": projects["allowed"].id,
        "team": team.id,
        "old group": groups["old"].id,
        "other group": groups["other-group"].id,
        "allowed group": groups["allowed-group"].id,
        **await _publish(registry, app),
        **granted,
    }
    return Scene(registry, places, tokens)


async def _add_subgroup(rows: Writing, team: Namespace, path: str) -> Namespace:
    return await rows.tenants.add_group(
        parent=team, name=path, path=path, description="", visibility=Visibility.PRIVATE
    )


async def _publish(registry: Registry, app: Project) -> dict[str, int | str]:
    """Add packages and files that can be changed, and return what they are called and their ids."""
    kept, extra, yanked_file = [
        await publish(registry, app.id, name="kept", file_name=f"kept-1.0{end}", content=end.encode())
        for end in (".tar.gz", "-py3-none-any.whl", "-py2-none-any.whl")
    ]
    doomed = await publish(registry, app.id, name="doomed", file_name="doomed-1.0.tar.gz", content=b"doomed")
    yanked = await publish(registry, app.id, name="yanked", file_name="yanked-1.0.tar.gz", content=b"yanked")
    base = f"{API}/projects/{app.id}/packages"
    file_path = f"{base}/{kept.package_id}/package_files/{yanked_file.id}"
    for path in (f"{base}/{yanked.package_id}/yank", f"{file_path}/yank"):
        assert (await registry.ask("PUT", f"{path}?reason=old")).status == 200
    return {
        "package": kept.package_id,
        "file": kept.id,
        "file to delete": extra.id,
        "yanked file": yanked_file.id,
        "package to delete": doomed.package_id,
        "yanked package": yanked.package_id,
        "name": "kept",
    }


async def _grant(rows: Writing, app: Project, owner_id: UserId) -> dict[str, int]:
    """Add what can be taken away again, and return what it is called and its id."""
    found: dict[str, int] = {}
    terms = ProtectionTerms("mine-*", ProtectedPackageType.PYPI, ProtectionLevel.MAINTAINER, None)
    for name, pattern in (("rule", "mine-*"), ("old rule", "old-*")):
        rule = await rows.protection_rules.add(app.id, replace(terms, package_name_pattern=pattern))
        found[name] = rule.id
    for name, source in (("app", app), ("team", app.namespace)):
        deploy_token = await rows.tokens.add_deploy(
            source,
            digest=name,
            name="ci",
            username="ci",
            scopes=("read_package_registry",),
            expires_at=None,
            creator_id=owner_id,
        )
        found[f"deploy token of {name}"] = deploy_token.id
    pipeline = await rows.job_tokens.save_pipeline(app, NewPipeline(1), user_id=owner_id)
    end = datetime.now(UTC) + timedelta(hours=1)
    job = await rows.tokens.add_job(pipeline, digest="job", user_id=owner_id, expires_at=end, creator_id=owner_id)
    return {**found, "job token": job.id}


def test_every_endpoint_that_changes_something_is_tried_here() -> None:
    """Whoever adds one adds a row to `WRITES`."""
    changing = {
        (method, endpoint.path) for endpoint in ENDPOINTS for method in endpoint.methods if method not in ("GET", "*")
    }
    assert {write.endpoint for write in WRITES} == changing


async def test_a_change_leaves_one_event_that_tells_who_did_what(scene: Scene) -> None:
    for write in WRITES:
        before = len(await scene.events())
        answer = await scene.write(write, token=scene.tokens[write.by])
        assert answer.status == write.status, (write.endpoint, answer.body)
        [event] = (await scene.events())[before:]
        told = scene.expected(write, answer)
        found = {name: event[name] for name in told}
        if write.details is None:
            found["details"] = None
        assert found == told


@pytest.mark.slow
async def test_what_cannot_be_told_is_not_done(scene: Scene) -> None:
    await take_no_more(scene.registry.settings.database_url, "audit_events")
    before = await scene.rows()
    with capture_logs():
        for write in WRITES:
            answer = await scene.write(write, token=scene.tokens[write.by])
            assert answer.status == 500, write.endpoint
            assert await scene.rows() == before, write.endpoint


@pytest.mark.slow
async def test_what_is_refused_leaves_no_event_and_changes_nothing(scene: Scene) -> None:
    before = await scene.rows()
    for write in WRITES:
        refusals: list[tuple[str | None, int]] = [(None, write.unasked)]
        if write.refused is not None:
            refusals += [(scene.tokens[write.refused[0]], write.refused[1])]
            refusals += [(scene.tokens[f"{write.by} reading"], 403)]
        for token, status in refusals:
            answer = await scene.write(write, token=token)
            assert answer.status == status, (write.endpoint, token, answer.body)
            assert await scene.rows() == before, (write.endpoint, token)
    for method, path, body, status in INVALID:
        answer = await scene.send(method, path, body, token=ROOT_TOKEN)
        assert answer.status == status, (method, path, answer.body)
        assert await scene.rows() == before, (method, path)


async def test_what_is_so_already_leaves_no_event(scene: Scene) -> None:
    before = await scene.rows()
    for method, path, body in UNCHANGED:
        answer = await scene.send(method, path, body, token=ROOT_TOKEN)
        assert answer.status < 300, (method, path, answer.body)
        assert await scene.rows() == before, (method, path)


async def test_all_who_become_members_at_once_are_told_of(scene: Scene) -> None:
    before = len(await scene.events())
    users = f"{scene.places['stranger']},{scene.places['active']}"
    answer = await scene.send(
        "POST", f"{API}/groups/team/members", {"user_id": users, "access_level": 30}, token=ROOT_TOKEN
    )
    assert answer.status == 201
    told = [(event["action"], event["target"]) for event in (await scene.events())[before:]]
    assert told == [("member.added", scene.fill(f"user:<{name}>")) for name in ("stranger", "active")]


async def test_memberships_that_end_with_one_of_the_group_are_counted(scene: Scene) -> None:
    before = len(await scene.events())
    answer = await scene.send("DELETE", f"{API}/groups/team/members/<leaver>", {}, token=ROOT_TOKEN)
    assert answer.status == 204
    [event] = (await scene.events())[before:]
    assert event["details"] == {"level": 10, "expires_at": None, "memberships_below": 1}
