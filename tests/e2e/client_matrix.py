"""Who comes to the registry, and how each of them is answered: the client matrix, and a registry to try it on."""

import asyncio
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import gitlab

from shared.models import AccessLevel, Visibility
from tests.distributions import build_wheel, wheel_file_name
from tests.e2e.processes import LarderProcess
from tests.registry_client import open_client

PUBLIC, INTERNAL, PRIVATE = VISIBILITIES = (Visibility.PUBLIC, Visibility.INTERNAL, Visibility.PRIVATE)
READ, WRITE = "read_package_registry", "write_package_registry"
NAME = "pkg"
WHEEL = build_wheel(NAME, "1.0")
WHEEL_NAME = wheel_file_name(NAME, "1.0")
Three = tuple[int, int, int]


class Level(StrEnum):
    """Where packages are pulled from."""

    PROJECT = "project"
    GROUP = "group"


class Caller(StrEnum):
    """Who somebody is by what they sign in with."""

    DEVELOPER = "personal token of a developer"
    GUEST = "personal token of a guest"
    STRANGER = "personal token of a stranger"
    READER = "deploy token of the project that reads"
    WRITER = "deploy token of the project that writes"
    GROUP_WRITER = "deploy token of the group that writes"
    OWN_JOB = "job of the project"
    JOB_LET_IN = "job of a project that is let in"
    JOB_KEPT_OUT = "job of a project that is not let in"
    NOBODY = "nothing"
    WRONG = "wrong password"


@dataclass(frozen=True, slots=True)
class Answers:
    """How a caller is answered where something is public, internal and private.

    Args:
        upload: to a project.
        project: pages and files of the project.
        group: pages and files of the group that the project lies in.
    """

    upload: Three
    project: Three
    group: Three


# Members are members of the group, and so of the project. All jobs are the developer's.
# Source: contract, PyPI 2.1, 2.2, 3.2, 3.3 and 3.5.
MATRIX = {
    Caller.DEVELOPER: Answers((201, 201, 201), (200, 200, 200), (200, 200, 200)),
    Caller.GUEST: Answers((403, 403, 403), (200, 200, 200), (200, 200, 200)),
    Caller.STRANGER: Answers((403, 403, 404), (200, 200, 404), (200, 403, 404)),
    Caller.READER: Answers((403, 403, 403), (200, 200, 200), (200, 403, 404)),
    Caller.WRITER: Answers((201, 201, 201), (200, 200, 200), (200, 403, 404)),
    Caller.GROUP_WRITER: Answers((201, 201, 201), (200, 200, 200), (200, 200, 200)),
    Caller.OWN_JOB: Answers((201, 201, 201), (200, 200, 200), (200, 200, 200)),
    Caller.JOB_LET_IN: Answers((201, 201, 201), (200, 200, 200), (200, 200, 200)),
    Caller.JOB_KEPT_OUT: Answers((403, 403, 404), (200, 200, 404), (200, 200, 404)),
    Caller.NOBODY: Answers((401, 401, 401), (200, 401, 401), (200, 401, 401)),
    Caller.WRONG: Answers((401, 401, 401), (200, 401, 401), (200, 401, 401)),
}


@dataclass(frozen=True, slots=True)
class Login:
    """Username and password; both are empty for who has none."""

    username: str = ""
    password: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """A group with one project of its visibility, which has `pkg` 1.0; and how everybody signs in there."""

    group_id: int
    project_id: int
    logins: dict[Caller, Login]


@dataclass(frozen=True, slots=True)
class Stage:
    """A registry with a place of each visibility."""

    url: str
    token: str
    places: dict[Visibility, Place]

    def pypi(self, visibility: Visibility, level: Level) -> str:
        """Return where the PyPI endpoints of the project or group are, without a slash at the end."""
        place = self.places[visibility]
        if level is Level.PROJECT:
            return f"{self.url}/api/v4/projects/{place.project_id}/packages/pypi"
        return f"{self.url}/api/v4/groups/{place.group_id}/-/packages/pypi"

    def login(self, caller: Caller, visibility: Visibility) -> Login:
        return self.places[visibility].logins[caller]


def set_stage(larder: LarderProcess) -> Stage:
    """Make everything with an unmodified python-gitlab, as an administrator would."""
    with gitlab.Gitlab(larder.url, private_token=larder.token) as gl:
        company = _gather(gl)
        places = {visibility: _add_place(gl, visibility, company) for visibility in VISIBILITIES}
    for place in places.values():
        asyncio.run(_publish(larder, place.project_id))
    return Stage(larder.url, larder.token, places)


@dataclass(frozen=True, slots=True)
class _Company:
    """Who comes to every place.

    Args:
        let_in: the project whose jobs are let in.
        logins: how those sign in who do so everywhere alike.
    """

    developer: Any
    guest: Any
    let_in: Any
    logins: dict[Caller, Login]


def _gather(gl: gitlab.Gitlab) -> _Company:
    developer, guest, stranger = (
        gl.users.create({"username": name, "name": name, "email": f"{name}@example.org", "force_random_password": True})
        for name in ("developer", "guest", "stranger")
    )
    group = gl.groups.create({"name": "Elsewhere", "path": "elsewhere"})
    let_in, kept_out = (gl.projects.create({"name": name, "namespace_id": group.id}) for name in ("friend", "other"))

    def person(user: Any) -> Login:
        made = user.personal_access_tokens.create({"name": "laptop", "scopes": ["api"]})
        return Login(user.username, made.token)

    logins = {
        Caller.DEVELOPER: person(developer),
        Caller.GUEST: person(guest),
        Caller.STRANGER: person(stranger),
        Caller.JOB_LET_IN: _begin_job(gl, let_in, developer),
        Caller.JOB_KEPT_OUT: _begin_job(gl, kept_out, developer),
        Caller.NOBODY: Login(),
        Caller.WRONG: Login(developer.username, "glpat-wrong"),
    }
    return _Company(developer, guest, let_in, logins)


def _begin_job(gl: gitlab.Gitlab, project: Any, user: Any) -> Login:
    made = gl.http_post(f"/projects/{project.id}/job_tokens", post_data={"pipeline": {"id": 7}, "user_id": user.id})
    assert isinstance(made, dict)
    return Login("gitlab-ci-token", made["token"])


def _add_place(gl: gitlab.Gitlab, visibility: Visibility, company: _Company) -> Place:
    group = gl.groups.create({"name": visibility, "path": visibility, "visibility": visibility})
    project = gl.projects.create({"name": "app", "namespace_id": group.id, "visibility": visibility})
    for user, level in ((company.developer, AccessLevel.DEVELOPER), (company.guest, AccessLevel.GUEST)):
        group.members.create({"user_id": user.id, "access_level": level})
    project.job_token_scope.get().allowlist.create({"target_project_id": company.let_in.id})

    def deploy(source: Any, scope: str) -> Login:
        made = source.deploytokens.create({"name": scope, "scopes": [scope]})
        return Login(made.username, made.token)

    own = {
        Caller.READER: deploy(project, READ),
        Caller.WRITER: deploy(project, WRITE),
        Caller.GROUP_WRITER: deploy(group, WRITE),
        Caller.OWN_JOB: _begin_job(gl, project, company.developer),
    }
    return Place(group.id, project.id, company.logins | own)


async def _publish(larder: LarderProcess, project_id: int) -> None:
    async with open_client(larder.url, larder.token, project_id) as client:
        await client.publish(WHEEL, file_name=WHEEL_NAME, name=NAME, version="1.0")
