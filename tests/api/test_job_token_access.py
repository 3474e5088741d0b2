"""What the tokens of CI jobs open: the rows of the contract's tables that are about them.

An empty body stands for the upload: 400 is told to those only who were let in.
"""

from dataclasses import dataclass

import pytest

from shared.credentials import BasicPair, Credentials, Door
from shared.errors import LarderError, Unauthenticated, UserBlocked
from shared.models import AccessLevel, InstanceSettings, Project, RegistryAccess, User, UserState, Visibility
from shared.principals import Anonymous, Job
from shared.usecases.admission import Admission
from tests.api.jobs import basic, begin, begin_expired, mint, patch_json
from tests.api.registry import Answer, Registry, sha256
from tests.distributions import build_wheel

pytestmark = pytest.mark.slow

WHEEL = build_wheel("pkg", "1.0")
FILE = "pkg-1.0-py3-none-any.whl"
PUBLIC, INTERNAL, PRIVATE = Visibility.PUBLIC, Visibility.INTERNAL, Visibility.PRIVATE
DEVELOPER = AccessLevel.DEVELOPER

BODIES = {
    401: b'{"message":"401 Unauthorized"}',
    403: b'{"message":"403 Forbidden"}',
    404: b'{"message":"404 Not Found"}',
}
BLOCKED = b'{"message":"403 Forbidden - Your account has been blocked."}'
CHALLENGE = 'Basic realm="GitLab Packages Registry"'
LET_IN = 400


@dataclass(frozen=True, slots=True)
class Credential:
    """What a request brings: headers, and a query."""

    headers: dict[str, str]
    query: str = ""


def header(name: str, value: str) -> Credential:
    return Credential({name: value})


def as_job(secret: str) -> Credential:
    return header("Authorization", basic(secret))


async def read(registry: Registry, project: Project, credential: Credential) -> list[Answer]:
    """Ask for the index, a page and a file."""
    paths = ("simple", "simple/pkg/", f"files/{sha256(WHEEL)}/{FILE}")
    base = registry.pypi_of(project.id)
    return [await registry.get(f"{base}/{path}{credential.query}", token=None, **credential.headers) for path in paths]


async def push(registry: Registry, project: Project, credential: Credential) -> Answer:
    url = f"{registry.pypi_of(project.id)}{credential.query}"
    return await registry.ask("POST", url, token=None, data=b"", **credential.headers)


def check(answer: Answer, status: int, *, about: object) -> None:
    assert answer.status == status, (about, answer.body)
    if status in BODIES:
        assert answer.body == BODIES[status], about
    assert answer.headers.get("www-authenticate") == (CHALLENGE if status == 401 else None), about


async def check_reads(
    registry: Registry, project: Project, credential: Credential, status: int, *, about: object
) -> None:
    for answer in await read(registry, project, credential):
        check(answer, status, about=about)


async def block(registry: Registry, user: User) -> None:
    async with registry.backends.store.writing() as rows:
        assert await rows.users.set_state(user.id, UserState.BLOCKED, source=UserState.ACTIVE)


async def end_job(registry: Registry, project: Project) -> str:
    """Return the token of a job that was ended before its time."""
    made = (await mint(registry, project, {"pipeline": {"id": 8}})).json
    assert (await registry.ask("DELETE", f"/api/v4/projects/{project.id}/job_tokens/{made['id']}")).status == 204
    secret: str = made["token"]
    return secret


async def test_where_the_token_of_a_job_counts_and_what_is_said_of_one_that_is_no_good(registry: Registry) -> None:
    public = await registry.add_project("public", visibility=PUBLIC)
    private = await registry.add_project("private")
    for project in (public, private):
        assert (await registry.upload(WHEEL, to=project.id)).status == 201
    ada, pat = await registry.add_user("ada")
    await registry.add_member(private, ada, DEVELOPER)
    gone = await registry.add_project("gone")
    job, ended, expired = (
        await begin(registry, private, ada),
        await end_job(registry, private),
        await begin_expired(registry, private, ada),
    )
    of_nothing = await begin(registry, gone, ada)
    assert (await registry.ask("DELETE", f"/api/v4/projects/{gone.id}")).status == 202
    good, refused, nobody = (200, 200, LET_IN), (401, 401, 401), (200, 401, 401)
    rows: dict[str, tuple[Credential, tuple[int, int, int]]] = {
        "Basic": (as_job(job), good),
        "Basic, unknown": (as_job("garbage"), refused),
        "Basic, unknown, with the prefix": (as_job("glcbt-garbage"), refused),
        "Basic, blank": (as_job(""), nobody),
        "Basic, blank too": (as_job(" "), nobody),
        "Basic, ended": (as_job(ended), refused),
        "Basic, expired": (as_job(expired), refused),
        "Basic, of a deleted project": (as_job(of_nothing), refused),
        "Basic, as somebody else": (header("Authorization", basic(job, "foo")), nobody),
        "Basic, as nobody": (header("Authorization", basic(job, "")), nobody),
        "Basic, spelt otherwise": (header("Authorization", basic(job, "GitLab-CI-Token")), nobody),
        "Basic, a personal token": (as_job(pat), good),
        "Bearer": (header("Authorization", f"Bearer {job}"), good),
        "Bearer, ended": (header("Authorization", f"Bearer {ended}"), refused),
        "Bearer, expired": (header("Authorization", f"Bearer {expired}"), refused),
        "Bearer, of a deleted project": (header("Authorization", f"Bearer {of_nothing}"), refused),
        "access_token": (Credential({}, f"?access_token={job}"), good),
        "bearer_token": (Credential({}, f"?bearer_token={job}"), good),
        "JOB-TOKEN": (header("JOB-TOKEN", job), nobody),
        "JOB-TOKEN, unknown": (header("JOB-TOKEN", "garbage"), nobody),
        "JOB-TOKEN, ended": (header("JOB-TOKEN", ended), nobody),
        "job_token": (Credential({}, f"?job_token={job}"), nobody),
        "token": (Credential({}, f"?token={job}"), nobody),
        "PRIVATE-TOKEN": (header("PRIVATE-TOKEN", job), nobody),
        "PRIVATE-TOKEN, unknown": (header("PRIVATE-TOKEN", "glcbt-garbage"), nobody),
        "private_token": (Credential({}, f"?private_token={job}"), nobody),
        "PRIVATE-TOKEN beside Basic": (Credential({"PRIVATE-TOKEN": job, "Authorization": basic(job)}), good),
        "PRIVATE-TOKEN before Basic": (
            Credential({"PRIVATE-TOKEN": "garbage", "Authorization": basic(job)}),
            refused,
        ),
        "Bearer before PRIVATE-TOKEN": (
            Credential({"PRIVATE-TOKEN": "garbage", "Authorization": f"Bearer {job}"}),
            good,
        ),
        "Deploy-Token": (header("Deploy-Token", job), nobody),
    }
    for about, (credential, (of_public, of_private, upload)) in rows.items():
        await check_reads(registry, public, credential, of_public, about=about)
        await check_reads(registry, private, credential, of_private, about=about)
        check(await push(registry, private, credential), upload, about=about)
        # None is let in to publish to somebody else's project, and an unknown one is there for nobody.
        check(await push(registry, public, credential), 403 if upload == LET_IN else 401, about=about)
        unknown = await registry.get(f"{registry.pypi_of(999)}/simple", token=None, **credential.headers)
        assert (unknown.status, unknown.body) == (404, BODIES[404])
    assert (await registry.upload(WHEEL, to=private.id, token=None)).status == 401


async def test_a_job_of_a_blocked_user_is_told_so_until_he_is_unblocked(registry: Registry) -> None:
    public = await registry.add_project("public", visibility=PUBLIC)
    assert (await registry.upload(WHEEL, to=public.id)).status == 201
    ada, _ = await registry.add_user("ada")
    job = await begin(registry, public, ada)
    await block(registry, ada)
    for credential in (as_job(job), header("Authorization", f"Bearer {job}")):
        for answer in (*await read(registry, public, credential), await push(registry, public, credential)):
            assert (answer.status, answer.body) == (403, BLOCKED)
            assert "www-authenticate" not in answer.headers
    assert (await registry.ask("POST", f"/api/v4/users/{ada.id}/unblock")).status == 201
    await check_reads(registry, public, as_job(job), 200, about="unblocked")


@dataclass(frozen=True, slots=True)
class Neighbourhood:
    """A project whose jobs go visiting, in a group in a group, and one project of each visibility that they visit."""

    source: Project
    group_ids: tuple[int, int]
    targets: dict[Visibility, Project]


async def neighbourhood(registry: Registry) -> Neighbourhood:
    async with registry.backends.store.writing() as rows:
        lab = await rows.tenants.add_group(parent=None, name="lab", path="lab", description="", visibility=PRIVATE)
        room = await rows.tenants.add_group(parent=lab, name="room", path="room", description="", visibility=PRIVATE)
        source = await rows.tenants.add_project(
            namespace=room,
            name="source",
            path="source",
            description="",
            visibility=PRIVATE,
            registry_access=RegistryAccess.ENABLED,
            creator_id=None,
        )
    targets = {
        visibility: await registry.add_project(visibility, visibility=visibility)
        for visibility in (PUBLIC, INTERNAL, PRIVATE)
    }
    for target in targets.values():
        assert (await registry.upload(WHEEL, to=target.id)).status == 201
    return Neighbourhood(source, (lab.id, room.id), targets)


Access = dict[Visibility, tuple[int, int]]
AS_DEVELOPER: Access = {PUBLIC: (200, LET_IN), INTERNAL: (200, LET_IN), PRIVATE: (200, LET_IN)}
AS_GUEST: Access = {PUBLIC: (200, 403), INTERNAL: (200, 403), PRIVATE: (200, 403)}
AS_NOBODY_SPECIAL: Access = {PUBLIC: (200, 403), INTERNAL: (200, 403), PRIVATE: (404, 404)}
AS_OUTSIDER: Access = {PUBLIC: (200, 403), INTERNAL: (404, 404), PRIVATE: (404, 404)}


async def test_a_project_decides_whose_jobs_act_in_it_as_their_users(registry: Registry) -> None:
    around = await neighbourhood(registry)
    developer, _ = await registry.add_user("developer")
    guest, _ = await registry.add_user("guest")
    stranger, _ = await registry.add_user("stranger")
    outsider, _ = await registry.add_user("outsider", is_external=True)
    for target in around.targets.values():
        await registry.add_member(target, developer, DEVELOPER)
        await registry.add_member(target, guest, AccessLevel.GUEST)
    let_in = {
        "developer": (await begin(registry, around.source, developer), AS_DEVELOPER),
        "guest": (await begin(registry, around.source, guest), AS_GUEST),
        "stranger": (await begin(registry, around.source, stranger), AS_NOBODY_SPECIAL),
        "outsider": (await begin(registry, around.source, outsider), AS_OUTSIDER),
        "administrator": (await begin(registry, around.source), AS_DEVELOPER),
    }
    kept_out = {
        name: (job, AS_OUTSIDER if name == "outsider" else AS_NOBODY_SPECIAL) for name, (job, _) in let_in.items()
    }

    async def look(jobs: dict[str, tuple[str, Access]], *, about: str) -> None:
        for name, (job, expected) in jobs.items():
            for visibility, (reading, writing) in expected.items():
                target = around.targets[visibility]
                # One of the three is enough here: which of them lets whom in is told by one rule.
                (index, *_) = await read(registry, target, as_job(job))
                check(index, reading, about=(about, name, visibility))
                check(await push(registry, target, as_job(job)), writing, about=(about, name, visibility))

    async def change(method: str, path: str, name: str, target_id: int) -> None:
        for target in around.targets.values():
            url = f"/api/v4/projects/{target.id}/job_token_scope/{path}"
            if method == "POST":
                assert (await registry.post_json(url, {name: target_id})).status == 201
            else:
                assert (await registry.ask("DELETE", f"{url}/{target_id}")).status == 204

    await look(kept_out, about="not on the list")
    entries = [
        ("allowlist", "target_project_id", around.source.id),
        *(("groups_allowlist", "target_group_id", group_id) for group_id in around.group_ids),
    ]
    for entry in entries:
        await change("POST", *entry)
        await look(let_in, about=f"on the list: {entry}")
        await change("DELETE", *entry)
        await look(kept_out, about=f"off the list: {entry}")
    for target in around.targets.values():
        await patch_json(registry, f"/api/v4/projects/{target.id}/job_token_scope", {"enabled": False})
    await look(let_in, about="the list does not count")


async def test_every_read_and_the_upload_of_a_kept_out_job_are_told_the_same(registry: Registry) -> None:
    around = await neighbourhood(registry)
    developer, _ = await registry.add_user("developer")
    for target in around.targets.values():
        await registry.add_member(target, developer, DEVELOPER)
    job = as_job(await begin(registry, around.source, developer))
    for visibility, (reading, writing) in AS_NOBODY_SPECIAL.items():
        target = around.targets[visibility]
        await check_reads(registry, target, job, reading, about=visibility)
        check(await push(registry, target, job), writing, about=visibility)
    uploaded = await registry.upload(WHEEL, to=around.targets[PRIVATE].id, token=None)
    assert uploaded.status == 401


async def test_a_job_in_its_own_project_is_its_user_whatever_the_list_says(registry: Registry) -> None:
    project = await registry.add_project("app")
    levels = {AccessLevel.GUEST: (200, 403), AccessLevel.REPORTER: (200, 403), DEVELOPER: (200, LET_IN)}
    for level, (reading, writing) in levels.items():
        user, _ = await registry.add_user(level.name.lower())
        await registry.add_member(project, user, level)
        job = as_job(await begin(registry, project, user))
        check((await read(registry, project, job))[0], reading, about=level)
        check(await push(registry, project, job), writing, about=level)
    stranger, _ = await registry.add_user("stranger")
    job = as_job(await begin(registry, project, stranger))
    check((await read(registry, project, job))[0], 404, about="a user without membership")
    check(await push(registry, project, job), 404, about="a user without membership")
    await registry.add_member(project, stranger, DEVELOPER)
    check(await push(registry, project, job), LET_IN, about="once he is a member")


@pytest.mark.parametrize(
    ("registry_access", "is_on_list", "reading", "writing"),
    [
        (RegistryAccess.DISABLED, True, 403, 403),
        (RegistryAccess.DISABLED, False, 404, 404),
        (RegistryAccess.PUBLIC, True, 200, LET_IN),
        (RegistryAccess.PUBLIC, False, 200, 404),
        (RegistryAccess.PRIVATE, True, 200, LET_IN),
        (RegistryAccess.PRIVATE, False, 404, 404),
    ],
)
async def test_a_registry_of_its_own_openness_is_open_to_jobs_as_to_others(
    bare_registry: Registry, registry_access: RegistryAccess, *, is_on_list: bool, reading: int, writing: int
) -> None:
    source = await bare_registry.add_project("source")
    target = await bare_registry.add_project("target", registry_access=registry_access)
    user, _ = await bare_registry.add_user("developer")
    await bare_registry.add_member(target, user, DEVELOPER)
    if is_on_list:
        url = f"/api/v4/projects/{target.id}/job_token_scope/allowlist"
        assert (await bare_registry.post_json(url, {"target_project_id": source.id})).status == 201
    job = as_job(await begin(bare_registry, source, user))
    check((await read(bare_registry, target, job))[0], reading, about=registry_access)
    check(await push(bare_registry, target, job), writing, about=registry_access)


async def test_where_the_token_of_a_job_counts_for_the_packages_api(bare_registry: Registry) -> None:
    project = await bare_registry.add_project("app", visibility=PUBLIC)
    other = await bare_registry.add_project("other", visibility=PUBLIC)
    ada, _ = await bare_registry.add_user("ada")
    bob, _ = await bare_registry.add_user("bob")
    for one in (project, other):
        await bare_registry.add_member(one, ada, DEVELOPER)
    job, ended = await begin(bare_registry, project, ada), await end_job(bare_registry, project)
    expired, blocked = await begin_expired(bare_registry, project), await begin(bare_registry, project, bob)
    await block(bare_registry, bob)
    admission = Admission(store=bare_registry.backends.store, defaults=InstanceSettings())

    async def come(to: Project, credentials: Credentials) -> tuple[object, AccessLevel] | type[LarderError]:
        try:
            visit = await admission.to_project(to.id, credentials, door=Door.PACKAGES, accepted=("api", "read_api"))
        except LarderError as error:
            return type(error)
        who = visit.principal.user.id if isinstance(visit.principal, Job) else visit.principal
        return who, visit.level

    as_ada, as_nobody = (ada.id, DEVELOPER), (Anonymous(), AccessLevel.NO_ACCESS)
    rows: list[tuple[Credentials, object]] = [
        (Credentials(job_token=job), as_ada),
        (Credentials(bearer=job), as_ada),
        (Credentials(bearer=job, job_token="garbage"), as_ada),
        (Credentials(private_token=job, job_token=job), as_ada),
        (Credentials(private_token=job), as_nobody),
        (Credentials(deploy_token=job), as_nobody),
        (Credentials(basic=BasicPair("gitlab-ci-token", job)), as_nobody),
        (Credentials(basic=BasicPair("gitlab-ci-token", "garbage")), as_nobody),
        (Credentials(job_token=""), as_nobody),
        (Credentials(job_token="garbage"), Unauthenticated),
        (Credentials(job_token=ended), Unauthenticated),
        (Credentials(job_token=expired), Unauthenticated),
        (Credentials(job_token=blocked), UserBlocked),
        (Credentials(bearer="garbage", job_token=job), Unauthenticated),
        (Credentials(bearer=ended), Unauthenticated),
        (Credentials(bearer=blocked), UserBlocked),
        (Credentials(private_token="garbage", job_token=job), Unauthenticated),
    ]
    for credentials, expected in rows:
        assert await come(project, credentials) == expected
    assert await come(other, Credentials(job_token=job)) == (ada.id, AccessLevel.NO_ACCESS)
    url = f"/api/v4/projects/{other.id}/job_token_scope/allowlist"
    assert (await bare_registry.post_json(url, {"target_project_id": project.id})).status == 201
    assert await come(other, Credentials(job_token=job)) == as_ada


async def test_where_the_token_of_a_job_counts_when_packages_are_listed(bare_registry: Registry) -> None:
    public = await bare_registry.add_project("public", visibility=PUBLIC)
    private = await bare_registry.add_project("private")
    ada, _ = await bare_registry.add_user("ada")
    await bare_registry.add_member(private, ada, DEVELOPER)
    job, ended = await begin(bare_registry, private, ada), await end_job(bare_registry, private)
    expired = await begin_expired(bare_registry, private, ada)
    good, refused, nobody = (200, 200), (401, 401), (200, 404)
    rows: list[tuple[Credential, tuple[int, int]]] = [
        (header("JOB-TOKEN", job), good),
        (Credential({}, f"?job_token={job}"), good),
        (Credential({}, f"?token={job}"), good),
        (header("Authorization", f"Bearer {job}"), good),
        (header("JOB-TOKEN", "garbage"), refused),
        (header("JOB-TOKEN", ended), refused),
        (header("JOB-TOKEN", expired), refused),
        (Credential({}, "?job_token=garbage"), refused),
        (header("Authorization", f"Bearer {ended}"), refused),
        (header("PRIVATE-TOKEN", job), nobody),
        (header("Deploy-Token", job), nobody),
        (as_job(job), nobody),
        (as_job("garbage"), nobody),
    ]
    for credential, expected in rows:
        for project, status in zip((public, private), expected, strict=True):
            url = f"/api/v4/projects/{project.id}/packages{credential.query}"
            answer = await bare_registry.get(url, token=None, **credential.headers)
            assert answer.status == status, (credential, answer.body)
            assert "www-authenticate" not in answer.headers
    await block(bare_registry, ada)
    for project in (public, private):
        answer = await bare_registry.get(f"/api/v4/projects/{project.id}/packages", token=None, JOB_TOKEN=job)
        assert (answer.status, answer.body) == (403, BLOCKED)
