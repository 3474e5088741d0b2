"""What a deploy token opens, wherever it stands in a request: the contract's tables, as far as projects go."""

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest

from shared.credentials import BasicPair, Credentials, Door
from shared.errors import Unauthenticated
from shared.models import AccessLevel, InstanceSettings, Namespace, Project, RegistryAccess, Visibility
from shared.principals import DEPLOY_TOKEN_SCOPES, Anonymous
from shared.settings import Settings
from shared.usecases.admission import Admission
from tests.api.registry import ROOT_TOKEN, Registry, running_registry, sha256
from tests.api.test_access import basic
from tests.api.test_groups import add_group
from tests.distributions import build_wheel, wheel_file_name

pytestmark = pytest.mark.slow

WHEEL = build_wheel("pkg", "1.0")
FILE = f"files/{sha256(WHEEL)}/{wheel_file_name('pkg', '1.0')}"
PUBLIC, INTERNAL, PRIVATE = Visibility.PUBLIC, Visibility.INTERNAL, Visibility.PRIVATE
READ, WRITE = "read_package_registry", "write_package_registry"
OTHERS = tuple(scope for scope in DEPLOY_TOKEN_SCOPES if scope not in (READ, WRITE))
BODIES = {
    401: b'{"message":"401 Unauthorized"}',
    403: b'{"message":"403 Forbidden"}',
    404: b'{"message":"404 Not Found"}',
}
Statuses = dict[str, tuple[int, ...]]
CHALLENGE = 'Basic realm="GitLab Packages Registry"'
READS = ("simple", "simple/pkg/", FILE)


@dataclass(frozen=True, slots=True)
class Brought:
    """What a request brings to say who it is."""

    headers: dict[str, str] = field(default_factory=dict)
    query: dict[str, str] = field(default_factory=dict)


def by_basic(password: str, username: str = "anything", **headers: str) -> Brought:
    return Brought({"Authorization": basic(password, username), **_named(headers)})


def by_header(**headers: str) -> Brought:
    return Brought(_named(headers))


def by_query(**query: str) -> Brought:
    return Brought(query=query)


def _named(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


async def statuses(registry: Registry, project: Project, brought: Brought) -> tuple[int, ...]:
    """Return what index, simple page, file and upload are answered with.

    An empty body stands for the upload: 400 is told to those only who were let in.
    """
    reads = [await ask(registry, project, brought, path) for path in READS]
    return (*reads, await ask(registry, project, brought))


async def index_and_upload(registry: Registry, project: Project, brought: Brought) -> tuple[int, int]:
    """Return, of a project without packages, what the first and the last of `statuses` are."""
    return await ask(registry, project, brought, "simple/"), await ask(registry, project, brought)


async def ask(registry: Registry, project: Project, brought: Brought, path: str | None = None) -> int:
    """Return the status of a read, or of an empty upload, after a look at the body if it is a refusal."""
    query = f"?{urlencode(brought.query)}" if brought.query else ""
    url = registry.pypi_of(project.id)
    if path is None:
        answer = await registry.ask("POST", f"{url}{query}", token=None, data=b"", **brought.headers)
    else:
        answer = await registry.get(f"{url}/{path}{query}", token=None, **brought.headers)
    assert answer.headers.get("www-authenticate") == (CHALLENGE if answer.status == 401 else None)
    if answer.status in BODIES:
        assert answer.body == BODIES[answer.status]
    return answer.status


async def make_token(
    registry: Registry, source: Project | Namespace, *scopes: str, ending: str | None = None
) -> dict[str, Any]:
    """Make a deploy token as an administrator does: one that is good, is over ("expired"), or was taken away."""
    url = f"/api/v4/{'projects' if isinstance(source, Project) else 'groups'}/{source.id}/deploy_tokens"
    body = {"name": "ci", "scopes": list(scopes), "expires_at": "2001-01-01" if ending == "expired" else None}
    made = await registry.post_json(url, body)
    assert made.status == 201
    found: dict[str, Any] = made.json
    if ending == "revoked":
        assert (await registry.ask("DELETE", f"{url}/{found['id']}")).status == 204
    return found


async def publish(registry: Registry, *projects: Project) -> None:
    for project in projects:
        assert (await registry.upload(WHEEL, file_name=wheel_file_name("pkg", "1.0"), to=project.id)).status == 201


NOBODY: Statuses = {"public": (200, 200, 200, 401), "own": (401, 401, 401, 401)}
TOKEN: Statuses = {"public": (200, 200, 200, 403), "own": (200, 200, 200, 400)}
ROOT: Statuses = {"public": (200, 200, 200, 400), "own": (200, 200, 200, 400)}
REFUSED: Statuses = {"public": (401, 401, 401, 401), "own": (401, 401, 401, 401)}


async def test_a_deploy_token_counts_where_and_when_the_contract_says(registry: Registry) -> None:
    """Source: contract, PyPI 2.1."""
    own = await registry.add_project("own")
    projects = {"public": await registry.add_project("open", visibility=PUBLIC), "own": own}
    await publish(registry, *projects.values())
    made = await make_token(registry, own, WRITE)
    good, username = made["token"], made["username"]
    expired = (await make_token(registry, own, WRITE, ending="expired"))["token"]
    revoked = (await make_token(registry, own, WRITE, ending="revoked"))["token"]
    cases: list[tuple[str, Brought, Statuses]] = [
        ("nothing", Brought(), NOBODY),
        ("as the password of anybody", by_basic(good), TOKEN),
        ("as the password of nobody", by_basic(good, ""), TOKEN),
        ("as the password of its own username", by_basic(good, username), TOKEN),
        ("as the password of a job", by_basic(good, "gitlab-ci-token"), TOKEN),
        ("as the password of a token", by_basic(good, "__token__"), TOKEN),
        ("as the password of a user", by_basic(good, "root"), TOKEN),
        ("in its own header", by_header(Deploy_Token=good), TOKEN),
        ("in its own header in capitals", by_header(DEPLOY_TOKEN=good), TOKEN),
        ("as bearer", by_header(Authorization=f"Bearer {good}"), TOKEN),
        ("as access_token", by_query(access_token=good), TOKEN),
        ("as bearer_token", by_query(bearer_token=good), TOKEN),
        ("garbage in its own header", by_header(Deploy_Token="garbage"), NOBODY),
        ("garbage in the header, good as password", by_basic(good, Deploy_Token="garbage"), TOKEN),
        ("good in the header, garbage as password", by_basic("garbage", Deploy_Token=good), NOBODY),
        ("good in the header, nothing as password", by_basic("", Deploy_Token=good), NOBODY),
        ("good in the header, a user's as password", by_basic(ROOT_TOKEN, Deploy_Token=good), ROOT),
        (
            "good in the header, garbage as a job's password",
            by_basic("garbage", "gitlab-ci-token", Deploy_Token=good),
            REFUSED,
        ),
        (
            "good in the header, garbage as bearer",
            by_header(Deploy_Token=good, Authorization="Bearer garbage"),
            TOKEN,
        ),
        (
            "garbage in the header, good as bearer",
            by_header(Deploy_Token="garbage", Authorization=f"Bearer {good}"),
            REFUSED,
        ),
        ("before a personal token that is unknown", by_header(Deploy_Token=good, PRIVATE_TOKEN="garbage"), TOKEN),
        ("garbage before a personal token", by_header(Deploy_Token="garbage", PRIVATE_TOKEN=ROOT_TOKEN), ROOT),
        ("where a personal token belongs", by_header(PRIVATE_TOKEN=good), REFUSED),
        ("as private_token", by_query(private_token=good), REFUSED),
        ("where a job token belongs", by_header(JOB_TOKEN=good), NOBODY),
        ("as job_token", by_query(job_token=good), NOBODY),
        ("a personal token in its header", by_header(Deploy_Token=ROOT_TOKEN), NOBODY),
        ("a part of it", by_basic(good[:-1]), NOBODY),
        ("its digest", by_basic(sha256(good.encode())), NOBODY),
    ]
    for name, token in (("expired", expired), ("revoked", revoked)):
        cases += [
            (f"{name} as password", by_basic(token), NOBODY),
            (f"{name} in its own header", by_header(Deploy_Token=token), NOBODY),
            # A bearer that is no token of anybody ends the request, and that is what it is by now.
            (f"{name} as bearer", by_header(Authorization=f"Bearer {token}"), REFUSED),
            (f"{name} as access_token", by_query(access_token=token), REFUSED),
        ]
    wrong = {}
    for name, brought, expected in cases:
        found = {kind: await statuses(registry, project, brought) for kind, project in projects.items()}
        if found != expected:
            wrong[name] = found
    assert wrong == {}


@dataclass(frozen=True, slots=True)
class Landscape:
    """Projects of every kind in a group, below it, and elsewhere; each has the package."""

    team: Namespace
    sub: Namespace
    projects: dict[str, Project]


async def build_landscape(registry: Registry) -> Landscape:
    async with registry.backends.store.writing() as rows:

        async def group(path: str, parent: Namespace | None, visibility: Visibility) -> Namespace:
            return await rows.tenants.add_group(
                parent=parent, name=path, path=path, description="", visibility=visibility
            )

        async def project(path: str, namespace: Namespace, visibility: Visibility) -> Project:
            return await rows.tenants.add_project(
                namespace=namespace,
                name=path,
                path=path,
                description="",
                visibility=visibility,
                registry_access=RegistryAccess.ENABLED,
                creator_id=None,
            )

        team = await group("team", None, PUBLIC)
        sub = await group("sub", team, PRIVATE)
        deep = await group("deep", sub, PRIVATE)
        elsewhere = await group("elsewhere", None, PUBLIC)
        projects = {
            "own": await project("own", team, PRIVATE),
            "sibling": await project("sibling", team, PRIVATE),
            "nested": await project("nested", deep, PRIVATE),
            "internal": await project("internal", team, INTERNAL),
            "foreign private": await project("private", elsewhere, PRIVATE),
            "foreign internal": await project("internal", elsewhere, INTERNAL),
            "foreign public": await project("public", elsewhere, PUBLIC),
        }
    await publish(registry, *projects.values())
    return Landscape(team, sub, projects)


WRITES: tuple[int, ...] = (200, 200, 200, 400)
ONLY_READS: tuple[int, ...] = (200, 200, 200, 403)
HIDDEN: tuple[int, ...] = (404, 404, 404, 404)
ANY = {"internal": ONLY_READS, "foreign internal": ONLY_READS, "foreign public": ONLY_READS}
NOTHING = dict.fromkeys(("own", "sibling", "nested", "foreign private"), HIDDEN) | ANY


async def test_a_deploy_token_reaches_as_far_as_its_scopes_and_its_source_say(registry: Registry) -> None:
    """Source: contract, PyPI 2.2."""
    land = await build_landscape(registry)
    own, internal = land.projects["own"], land.projects["internal"]
    below_team = ("own", "sibling", "nested", "internal")
    cases: list[tuple[str, Project | Namespace, tuple[str, ...], Statuses]] = [
        ("reads its project", own, (READ,), {"own": ONLY_READS}),
        ("writes to its project, and so reads it", own, (WRITE,), {"own": WRITES}),
        ("reads and writes", own, (READ, WRITE), {"own": WRITES}),
        ("other scopes give nothing", own, OTHERS, {}),
        ("reads its internal project", internal, (READ,), {}),
        ("writes to its internal project", internal, (WRITE,), {"internal": WRITES}),
        ("other scopes in an internal project", internal, OTHERS, {}),
        ("reads all below its group", land.team, (READ,), dict.fromkeys(below_team, ONLY_READS)),
        ("writes to all below its group", land.team, (WRITE, *OTHERS), dict.fromkeys(below_team, WRITES)),
        ("other scopes below a group", land.team, OTHERS, {}),
        ("reaches down, not up", land.sub, (WRITE,), {"nested": WRITES}),
    ]
    wrong = {}
    for name, source, scopes, opened in cases:
        token = (await make_token(registry, source, *scopes))["token"]
        found = {place: await statuses(registry, project, by_basic(token)) for place, project in land.projects.items()}
        if found != NOTHING | opened:
            wrong[name] = found
    assert wrong == {}


async def test_a_deploy_token_publishes_and_its_name_stands_beside_the_file(registry: Registry) -> None:
    own = await registry.add_project("own")
    made = await make_token(registry, own, WRITE)
    token = by_basic(made["token"]).headers["Authorization"]
    form = aiohttp.FormData({"name": "pkg", "version": "1.0"}, quote_fields=False)
    form.add_field("content", WHEEL, filename=wheel_file_name("pkg", "1.0"))
    published = await registry.ask("POST", registry.pypi_of(own.id), token=None, data=form, Authorization=token)
    assert published.status == 201
    fetched = await registry.get(f"{registry.pypi_of(own.id)}/{FILE}", token=None, Authorization=token)
    assert (fetched.status, fetched.body) == (200, WHEEL)
    missing = await registry.get(f"{registry.pypi_of(own.id)}/simple/none/", token=None, Authorization=token)
    assert (missing.status, missing.body) == (404, b'{"message":"404 Package Not Found"}')
    (uploader,) = await registry.rows("SELECT uploader_kind, uploader_id, token_id FROM package_files")
    ((actor,),) = await registry.rows("SELECT actor FROM audit_events WHERE action = 'package_file.uploaded'")
    ((creator,),) = await registry.rows("SELECT creator_id FROM packages")
    assert uploader == ("deploy_token", made["id"], made["id"])
    assert (actor, creator) == (f"deploy_token:{made['id']}", None)


async def test_a_registry_that_is_off_or_open_to_all_is_so_for_deploy_tokens(bare_registry: Registry) -> None:
    off = await bare_registry.add_project("off", registry_access=RegistryAccess.DISABLED)
    open_to_all = await bare_registry.add_project("open", registry_access=RegistryAccess.PUBLIC)
    of_off = (await make_token(bare_registry, off, WRITE))["token"]
    others = (await make_token(bare_registry, open_to_all, *OTHERS))["token"]
    assert await statuses(bare_registry, off, by_basic(of_off)) == (403, 403, 403, 403)
    assert await index_and_upload(bare_registry, open_to_all, by_basic(others)) == (200, 404)


async def test_a_deploy_token_outlives_the_rights_of_who_made_it(bare_registry: Registry) -> None:
    own = await bare_registry.add_project("own")
    ada, of_ada = await bare_registry.add_user("ada")
    await bare_registry.add_member(own, ada, AccessLevel.MAINTAINER)
    body = {"name": "ci", "scopes": [READ]}
    made = await bare_registry.post_json(f"/api/v4/projects/{own.id}/deploy_tokens", body, token=of_ada)
    assert made.status == 201
    await bare_registry.ask("DELETE", f"/api/v4/projects/{own.id}/members/{ada.id}")
    await bare_registry.ask("POST", f"/api/v4/users/{ada.id}/block")
    assert await index_and_upload(bare_registry, own, by_basic(made.json["token"])) == (200, 403)


@pytest.mark.parametrize("deleted", ["project", "group"])
async def test_a_deploy_token_ends_with_its_project_or_group(bare_registry: Registry, deleted: str) -> None:
    """What is internal tells a token, which may read it, from nobody."""
    internal = await bare_registry.add_project("internal", visibility=INTERNAL)
    lab = await add_group(bare_registry, "lab")
    sub = await add_group(bare_registry, "sub", parent=lab)
    async with bare_registry.backends.store.writing() as rows:
        own = await rows.tenants.add_project(
            namespace=sub,
            name="own",
            path="own",
            description="",
            visibility=PRIVATE,
            registry_access=RegistryAccess.ENABLED,
            creator_id=None,
        )
    of = {
        name: (await make_token(bare_registry, source, WRITE))["token"]
        for name, source in (("project", own), ("sub", sub), ("lab", lab))
    }
    url = f"/api/v4/projects/{own.id}" if deleted == "project" else f"/api/v4/groups/{sub.id}"
    assert (await bare_registry.ask("DELETE", url)).status == 202
    found = {name: await index_and_upload(bare_registry, internal, by_basic(token)) for name, token in of.items()}
    ended, goes_on = (401, 401), (200, 403)
    assert found == {"project": ended, "sub": goes_on if deleted == "project" else ended, "lab": goes_on}
    for token in of.values():
        assert await statuses(bare_registry, own, by_basic(token)) == HIDDEN


async def test_the_control_plane_takes_no_deploy_token(bare_registry: Registry) -> None:
    own = await bare_registry.add_project("own")
    await bare_registry.add_project("open", visibility=PUBLIC)
    token = (await make_token(bare_registry, own, WRITE))["token"]
    not_there = (404, b'{"message":"404 Project Not Found"}')
    ignored = [by_basic(token), by_header(Deploy_Token=token), by_header(JOB_TOKEN=token), Brought()]
    unknown = [by_header(PRIVATE_TOKEN=token), by_header(Authorization=f"Bearer {token}")]
    for brought in ignored:
        assert (await bare_registry.get("/api/v4/projects/team%2Fopen", token=None, **brought.headers)).status == 200
        private = await bare_registry.get(f"/api/v4/projects/{own.id}", token=None, **brought.headers)
        assert (private.status, private.body) == not_there
    for brought in (*ignored, *unknown):
        for method, path in (
            ("GET", "/user"),
            ("POST", "/groups"),
            ("PUT", f"/projects/{own.id}"),
            ("GET", f"/projects/{own.id}/deploy_tokens"),
            ("POST", f"/projects/{own.id}/deploy_tokens"),
            ("GET", "/deploy_tokens"),
        ):
            answer = await bare_registry.ask(method, f"/api/v4{path}", token=None, **brought.headers)
            assert (answer.status, answer.body) == (401, BODIES[401]), (path, brought)
    for brought in unknown:
        answer = await bare_registry.get("/api/v4/projects/team%2Fopen", token=None, **brought.headers)
        assert (answer.status, answer.body) == (401, BODIES[401])
    for brought in (*ignored[:2], *unknown):
        answer = await bare_registry.get("/api/v4/personal_access_tokens/self", token=None, **brought.headers)
        assert (answer.status, answer.json["message"]) == (
            400,
            "400 Bad request - This endpoint requires token type to be a personal access token",
        )


async def test_the_packages_api_takes_no_deploy_token(bare_registry: Registry) -> None:
    own = await bare_registry.add_project("own")
    token = (await make_token(bare_registry, own, WRITE))["token"]
    admission = Admission(bare_registry.backends.store, InstanceSettings())
    for door in (Door.PACKAGES, Door.CONTROL):
        for ignored in (Credentials(deploy_token=token), Credentials(basic=BasicPair("ci", token))):
            assert await admission.principal(ignored, door=door, accepted=("api",)) == Anonymous()
        for unknown in (Credentials(private_token=token), Credentials(bearer=token)):
            with pytest.raises(Unauthenticated):
                await admission.principal(unknown, door=door, accepted=("api",))


async def test_a_token_counts_and_ends_at_once_on_every_process(settings: Settings) -> None:
    async with running_registry(settings) as one, running_registry(settings) as other:
        own = await one.add_project("own")
        for maker, asked in ((one, other), (other, one)):
            made = await make_token(maker, own, WRITE)
            token = by_basic(made["token"])
            for registry in (asked, maker):
                assert await index_and_upload(registry, own, token) == (200, 400)
            revoked = await maker.ask("DELETE", f"/api/v4/projects/{own.id}/deploy_tokens/{made['id']}")
            assert revoked.status == 204
            for registry in (asked, maker):
                assert await index_and_upload(registry, own, token) == (401, 401)
