"""A company's life with the registry, told with nothing but calls of an unmodified python-gitlab, and uploads."""

import asyncio
import warnings
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

import gitlab
import pytest
from gitlab.const import AccessLevel

from tests.distributions import build_wheel, wheel_file_name
from tests.e2e.processes import LarderProcess
from tests.e2e.python_gitlab import files_of
from tests.registry_client import open_client
from tests.waiting import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

NEXT_MONTH = (datetime.now(UTC) + timedelta(days=30)).date().isoformat()
CREATED = (HTTPStatus.CREATED, {"message": "201 Created"})
UNAUTHORIZED = (HTTPStatus.UNAUTHORIZED, {"message": "401 Unauthorized"})
_REVOKED = "Token was revoked. You have to re-authorize from the user."
REVOKED = (HTTPStatus.UNAUTHORIZED, {"error": "invalid_token", "error_description": _REVOKED})

# What the calls are sent as, by what they are sent for. Source: contract, control plane 10.
MEMBERS = {("POST", "/members"), ("GET", "/members"), ("GET", "/members/all")}
MEMBERS |= {(method, "/members/{user_id}") for method in ("GET", "PUT", "DELETE")}
DEPLOY_TOKENS = {("POST", "/deploy_tokens"), ("GET", "/deploy_tokens")}
DEPLOY_TOKENS |= {(method, "/deploy_tokens/{token}") for method in ("GET", "DELETE")}
PACKAGES = {("GET", "/packages")} | {(method, "/packages/{package_id}") for method in ("GET", "DELETE")}
PACKAGES |= {("GET", f"/packages/{{package_id}}/{name}") for name in ("package_files", "pipelines")}
PACKAGES |= {("DELETE", "/packages/{package_id}/package_files/{package_file_id}")}
RULES = {(method, "/packages/protection/rules") for method in ("GET", "POST")}
RULES |= {(method, "/packages/protection/rules/{package_protection_rule_id}") for method in ("PATCH", "DELETE")}
ITSELF = {(method, "") for method in ("GET", "PUT", "DELETE")}
LISTS = {("GET", f"/{name}") for name in ("subgroups", "projects", "packages")}
BELOW = {
    "/user": {("GET", "")},
    "/users": {("GET", ""), ("POST", ""), ("GET", "/{user}"), ("POST", "/{user}/personal_access_tokens")},
    "/personal_access_tokens": {
        *(("GET", path) for path in ("", "/{token}", "/self")),
        ("DELETE", "/{token}"),
        ("POST", "/{token}/rotate"),
    },
    "/groups": {("GET", ""), ("POST", "")},
    "/groups/{group}": ITSELF | MEMBERS | DEPLOY_TOKENS | LISTS,
    "/projects": {("GET", ""), ("POST", "")},
    "/projects/{project}": ITSELF | MEMBERS | DEPLOY_TOKENS | PACKAGES | RULES,
}
REQUESTS = {(method, f"/api/v4{start}{path}") for start, rest in BELOW.items() for method, path in rest}


@dataclass(frozen=True, slots=True)
class Office:
    """Where people sign in.

    Args:
        root: the administrator, at whose desk a page has two lines.
    """

    larder: LarderProcess
    desks: ExitStack
    root: gitlab.Gitlab

    def sign_in(self, token: str) -> gitlab.Gitlab:
        desk = gitlab.Gitlab(self.larder.url, private_token=token, per_page=2)
        self.desks.enter_context(desk)
        desk.auth()
        return desk

    def hire(self, username: str) -> tuple[Any, str]:
        """Make a user and their token."""
        user = self.root.users.create(
            {"username": username, "name": username.title(), "email": f"{username}@example.org", "reset_password": True}
        )
        fields = {"name": "laptop", "scopes": ["api"], "expires_at": NEXT_MONTH}
        return user, user.personal_access_tokens.create(fields).token

    def publish(
        self, project: Any, token: str, version: str, *, name: str = "tool", username: str = "anything"
    ) -> tuple[int, dict[str, Any]]:
        """Upload a wheel, and return status and body."""

        async def upload() -> tuple[int, dict[str, Any]]:
            file_name = wheel_file_name(name, version)
            async with open_client(self.larder.url, token, project.id, username=username) as client:
                answer = await client.upload(
                    build_wheel(name, version), file_name=file_name, name=name, version=version
                )
                if answer.status != HTTPStatus.ACCEPTED:
                    return answer.status, answer.body
            # A busy machine: whoever published may not be allowed to look, but the administrator is.
            async with open_client(self.larder.url, self.larder.token, project.id) as client:
                await client.wait_until_listed(name, file_name)
            return CREATED

        return asyncio.run(upload())


@dataclass(frozen=True, slots=True)
class Machines:
    """The tokens of those who are no people."""

    of_project: Any
    of_group: Any
    job: dict[str, Any]

    @property
    def logins(self) -> dict[str, str]:
        """Return username -> token."""
        return {
            self.of_project.username: self.of_project.token,
            self.of_group.username: self.of_group.token,
            "gitlab-ci-token": self.job["token"],
        }


@pytest.fixture
def office(larder: LarderProcess) -> Iterator[Office]:
    with ExitStack() as desks, warnings.catch_warnings():
        warnings.simplefilter("error")  # among others, about a URL that is none of this server
        root = desks.enter_context(gitlab.Gitlab(larder.url, private_token=larder.token, per_page=2))
        root.auth()
        yield Office(larder, desks, root)


def test_a_company_comes_works_and_goes(office: Office) -> None:
    root = office.root
    (_, ada_token), (bob_user, bob_token), (eve_user, eve_token) = (office.hire(name) for name in ("ada", "bob", "eve"))
    assert [user.username for user in root.users.list(iterator=True)] == ["eve", "bob", "ada", "root"]
    assert [user.id for user in root.users.list(username="bob", get_all=True)] == [bob_user.id]
    assert root.users.get(eve_user.id).email == "eve@example.org"
    ada, bob, eve = (office.sign_in(token) for token in (ada_token, bob_token, eve_token))

    company, app = found_company(ada)
    for source, level in ((company, AccessLevel.OWNER), (app, AccessLevel.MAINTAINER)):
        welcome_and_dismiss(source, bob_user, eve_user, creators_level=level)
    with pytest.raises(gitlab.GitlabGetError, match="404 Project Not Found"):
        bob.projects.get(app.id)
    company.members.create({"user_id": bob_user.id, "access_level": AccessLevel.DEVELOPER})
    assert bob.projects.get(app.id).path == "app"

    machines = make_tokens(office, company, app, bob_user)
    for number, (username, token) in enumerate(machines.logins.items()):
        assert office.publish(app, token, f"1.{number}", username=username) == CREATED
    protect(office, app, bob_token)
    look_at_packages_and_delete_them(app, company)
    rotate_and_revoke(office, app, bob, eve_user, bob_token=bob_token)
    end(office, company, app, machines)

    # The company goes as it came, and leaves nothing behind.
    lib = ada.projects.get("acme/red/deep/lib")
    lib.delete()
    with pytest.raises(gitlab.GitlabGetError, match="404 Project Not Found"):
        ada.projects.get(lib.id)
    company.members.delete(bob_user.id)
    with pytest.raises(gitlab.GitlabAuthenticationError):
        eve.projects.list(get_all=True)
    company.delete()
    assert ada.groups.list(get_all=True) == []
    assert ada.projects.list(get_all=True, membership=True) == []
    wait_for(lambda: not office.larder.blobs(), what="the worker has removed all blobs", timeout_seconds=60)

    # Every call was sent, and none was answered by something that broke.
    wait_for(lambda: asked(office.larder) >= REQUESTS, what="all calls are in the log", timeout_seconds=60)
    assert [line for line in office.larder.events("request.finished") if line["status"] >= 500] == []


def found_company(ada: gitlab.Gitlab) -> tuple[Any, Any]:
    """Make a group with groups in it, and projects in one of those; return the topmost group and one project."""
    company = ada.groups.create({"name": "Acme", "path": "acme"})
    teams = [ada.groups.create({"name": n, "path": n, "parent_id": company.id}) for n in ("red", "green", "blue")]
    deep = ada.groups.create({"name": "Deep", "path": "deep", "parent_id": teams[0].id})
    assert [team.path for team in company.subgroups.list(iterator=True)] == ["blue", "green", "red"]
    paths = {"acme", "acme/red", "acme/green", "acme/blue", "acme/red/deep"}
    assert {group.full_path for group in ada.groups.list(iterator=True)} == paths

    projects = [ada.projects.create({"name": n, "namespace_id": deep.id}) for n in ("app", "lib", "web")]
    assert [one.path for one in deep.projects.list(iterator=True)] == ["web", "lib", "app"]
    assert len(company.projects.list(include_subgroups=True, get_all=True)) == len(projects)
    assert [one.path for one in ada.projects.list(iterator=True, membership=True)] == ["web", "lib", "app"]

    deep.description = "Where it all happens"
    deep.save()
    app = projects[0]
    app.description = "What is sold"
    app.save()
    assert ada.groups.get("acme/red/deep").description == "Where it all happens"
    assert ada.projects.get("acme/red/deep/app").description == "What is sold"
    return company, app


def welcome_and_dismiss(source: Any, first: Any, second: Any, *, creators_level: AccessLevel) -> None:
    """Add members to a group or project, change what they are, and remove them."""
    member = source.members.create({"user_id": first.id, "access_level": AccessLevel.GUEST})
    source.members.create({"username": second.username, "access_level": AccessLevel.GUEST, "expires_at": NEXT_MONTH})
    member.access_level = AccessLevel.REPORTER
    member.save()
    source.members.update(second.id, {"access_level": AccessLevel.DEVELOPER})
    assert source.members.get(first.id).access_level == AccessLevel.REPORTER
    levels = {"ada": creators_level, first.username: AccessLevel.REPORTER, second.username: AccessLevel.DEVELOPER}
    assert {one.username: one.access_level for one in source.members.list(iterator=True)} == levels
    # Of those who are members several times over, the highest level counts.
    levels["ada"] = AccessLevel.OWNER
    assert {one.username: one.access_level for one in source.members_all.list(iterator=True)} == levels
    member.delete()
    source.members.delete(second.id)
    assert [one.username for one in source.members.list(get_all=True)] == ["ada"]


def make_tokens(office: Office, company: Any, app: Any, user: Any) -> Machines:
    """Make a deploy token of project and group each, and one of a job of the user."""
    fields = {"name": "publisher", "scopes": ["write_package_registry"], "expires_at": NEXT_MONTH}
    made = []
    for source in (app, company):
        tokens = [source.deploytokens.create({**fields, "name": name}) for name in ("a", "b", "publisher")]
        assert [one.name for one in source.deploytokens.list(iterator=True)] == ["a", "b", "publisher"]
        assert source.deploytokens.get(tokens[2].id).scopes == fields["scopes"]
        source.deploytokens.delete(tokens[0].id)
        tokens[1].delete()
        assert [one.name for one in source.deploytokens.list(active=True, get_all=True)] == ["publisher"]
        made.append(tokens[2])
    body = {"pipeline": {"id": 7, "ref": "main", "status": "running"}, "user_id": user.id}
    job = office.root.http_post(f"/projects/{app.id}/job_tokens", post_data=body)
    assert isinstance(job, dict)
    return Machines(of_project=made[0], of_group=made[1], job=job)


def protect(office: Office, app: Any, token: str) -> None:
    """Reserve a name for maintainers, and let a developer at it again."""
    rules = app.package_protection_rules
    rule = rules.create(
        {"package_name_pattern": "tool*", "package_type": "pypi", "minimum_access_level_for_push": "maintainer"}
    )
    protected = (HTTPStatus.FORBIDDEN, {"message": "403 Forbidden - Package protected."})
    assert office.publish(app, token, "2.0") == protected
    rule.package_name_pattern = "core-*"
    rule.save()
    assert office.publish(app, token, "2.0") == CREATED
    assert office.publish(app, token, "2.0", name="core-tool") == protected
    rules.update(rule.id, {"minimum_access_level_for_push": "owner", "minimum_access_level_for_delete": "owner"})
    assert [one.minimum_access_level_for_push for one in rules.list(get_all=True)] == ["owner"]
    rule.delete()
    assert rules.list(get_all=True) == []


def look_at_packages_and_delete_them(app: Any, company: Any) -> None:
    for source in (app, company):
        assert [one.version for one in source.packages.list(iterator=True)] == ["1.0", "1.1", "1.2", "2.0"]
    by_deploy_token, _, by_job, by_bob = app.packages.list(get_all=True, order_by="version")
    assert app.packages.get(by_deploy_token.id).pipelines.list() == []
    assert [pipeline.id for pipeline in app.packages.get(by_job.id).pipelines.list(get_all=True)] == [7]
    [file] = by_bob.package_files.list(get_all=True)
    assert file.file_name == wheel_file_name("tool", "2.0")
    file.delete()
    assert files_of(by_bob) == []
    by_job.delete()
    app.packages.delete(by_deploy_token.id)
    with pytest.raises(gitlab.GitlabGetError, match="404 Not found"):
        app.packages.get(by_job.id)
    wait_for(
        lambda: [one.version for one in company.packages.list(get_all=True)] == ["1.1"],
        what="the package has gone with its last file",
        timeout_seconds=60,
    )


def rotate_and_revoke(office: Office, app: Any, bob: gitlab.Gitlab, eve: Any, *, bob_token: str) -> None:
    """Let one user renew their own token, and an administrator renew and take away that of another."""
    own = bob.personal_access_tokens.get("self")
    own.rotate()
    assert office.publish(app, bob_token, "3.0") == REVOKED
    assert office.publish(app, own.token, "3.0") == CREATED

    tokens = office.root.personal_access_tokens
    [listed] = tokens.list(user_id=eve.id, get_all=True)
    shown = tokens.get(listed.id)
    assert (shown.name, shown.expires_at, shown.active) == ("laptop", NEXT_MONTH, True)
    renewed = tokens.rotate(listed.id, expires_at=NEXT_MONTH)
    assert renewed["token"].startswith("glpat-")
    tokens.delete(renewed["id"])
    assert tokens.list(user_id=eve.id, state="active", get_all=True) == []
    assert [one.revoked for one in tokens.list(user_id=eve.id, iterator=True)] == [True, True]


def end(office: Office, company: Any, app: Any, machines: Machines) -> None:
    """Take the tokens of machines away; from the next request on, they are nobody's."""
    app.deploytokens.delete(machines.of_project.id)
    company.deploytokens.delete(machines.of_group.id)
    office.root.http_delete(f"/projects/{app.id}/job_tokens/{machines.job['id']}")
    for username, token in machines.logins.items():
        assert office.publish(app, token, "4.0", username=username) == UNAUTHORIZED


def asked(larder: LarderProcess) -> set[tuple[str, str]]:
    return {(line["method"], line["route"]) for line in larder.events("request.finished")}
