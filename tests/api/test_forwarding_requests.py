"""Names that were never here are looked for upstream, by clients who were let in, where that is wanted."""

import json

import pytest

from shared.models import Project, RegistryAccess, Visibility
from tests.api.raw_http import connected, exchange, head, upload_target
from tests.api.registry import NOTHING, ROOT_TOKEN, SIMPLE_JSON, Registry, sha256
from tests.distributions import build_wheel, wheel_file_name
from tests.waiting import eventually

UPSTREAM = "https://upstream.test/root/simple"
NOT_FOUND = b'{"message":"404 Package Not Found"}'
SETTINGS = "/api/v4/application/settings"
ON, LOCKED = "pypi_package_requests_forwarding", "lock_pypi_package_requests_forwarding"
WHEEL = build_wheel("pkg", "1.0")
WHEEL_NAME = wheel_file_name("pkg", "1.0")


@pytest.fixture
def environment() -> dict[str, str]:
    return {"LARDER_FORWARD_URL": f"{UPSTREAM}/"}


async def put(registry: Registry, url: str, **choices: str) -> None:
    query = "&".join(f"{name}={value}" for name, value in choices.items())
    answer = await registry.ask("PUT", f"{url}?{query}")
    assert answer.status == 200, answer.body


async def turn_on(registry: Registry) -> None:
    await put(registry, SETTINGS, **{ON: "true"})


async def is_forwarded(registry: Registry, project: Project | None = None, *, name: str = "nobody") -> bool:
    """Ask for the name's page and say whether the answer leads upstream; if not, it is that there is no such page."""
    answer = await registry.get(f"{registry.pypi_of(project.id if project else registry.project_id)}/simple/{name}/")
    if answer.status == 302:
        assert answer.headers["location"] == f"{UPSTREAM}/{name}/"
        return True
    assert (answer.status, answer.body) == (404, NOT_FOUND)
    return False


async def test_an_unknown_name_is_not_found_by_default(bare_registry: Registry) -> None:
    """A deviation: GitLab forwards unless somebody says otherwise."""
    assert not await is_forwarded(bare_registry)


async def test_an_unknown_name_is_looked_for_upstream_whatever_the_format(bare_registry: Registry) -> None:
    await turn_on(bare_registry)
    for project in (1, "root/packages"):
        for path in ("nobody", "nobody/", f"nobody/?private_token={ROOT_TOKEN}&format={SIMPLE_JSON}"):
            for accept in ("*/*", "text/html", SIMPLE_JSON):
                answer = await bare_registry.get(f"{bare_registry.pypi_of(project)}/simple/{path}", Accept=accept)
                assert (answer.status, answer.body) == (
                    302,
                    b"This resource has been moved temporarily to https://upstream.test/root/simple/nobody/.",
                )
                assert answer.headers["location"] == "https://upstream.test/root/simple/nobody/"
                assert answer.headers["content-type"] == "text/plain; charset=utf-8"
                assert answer.headers["cache-control"] == "private, no-cache"
                assert ROOT_TOKEN not in str(answer)


@pytest.mark.parametrize(
    ("method", "version", "status", "text"),
    [
        ("GET", "1.1", 302, "This resource has been moved temporarily to"),
        ("GET", "1.0", 302, "This resource has been moved temporarily to"),
        ("HEAD", "1.1", 303, "An alternate resource is located at"),
        ("HEAD", "1.0", 302, "This resource has been moved temporarily to"),
    ],
)
async def test_a_head_is_sent_on_with_a_status_of_its_own(
    bare_registry: Registry, method: str, version: str, status: int, text: str
) -> None:
    await turn_on(bare_registry)
    body = f"{text} {UPSTREAM}/nobody/.".encode()
    request = head(method, f"{upload_target(bare_registry)}/simple/nobody", Connection="close")
    async with connected(bare_registry) as connection:
        await connection.send(request.replace(b"HTTP/1.1", f"HTTP/{version}".encode()))
        answer = await connection.reader.read()
    told, _, sent = answer.partition(b"\r\n\r\n")
    assert told.split(b" ", 2)[1] == str(status).encode()
    assert f"\r\nLocation: {UPSTREAM}/nobody/\r\n".encode() in told
    assert f"\r\nContent-Length: {len(body)}\r\n".encode() in told
    assert sent == (body if method == "GET" else b"")


async def test_a_name_leaves_as_one_segment_of_the_path(bare_registry: Registry) -> None:
    await turn_on(bare_registry)
    for asked, location in {
        "n": "n",
        "a%20b": "a%20b",
        "a%3Fb%23c%25": "a%3Fb%23c%25",
        "a%2Fb": "a%2Fb",
        "a/b": "a%2Fb",
        "%40scope/b": "%40scope%2Fb",
        "p%C3%A4": "p%C3%A4",
        "a%252fb": "a%252fb",
        "a%5Cb": "a%5Cb",
        "%22%3E%3Cscript%3E": "%22%3E%3Cscript%3E",
        "user%40evil": "user%40evil",
        "//evil": None,
        "a%00b": None,
        "a%0D%0AX-Y:%20z": None,
        "a%250D%250AX-Y:%20z": None,
        "..": None,
        "a/../b": None,
        "%252e%252e/x": None,
    }.items():
        async with connected(bare_registry) as connection:
            await connection.send(head("GET", f"{upload_target(bare_registry)}/simple/{asked}"))
            answer = await connection.answer()
        if location is None:
            assert answer == (400, b'{"error":"package_name should be a valid file path"}'), asked
        else:
            url = f"{UPSTREAM}/{location}/"
            assert answer == (302, f"This resource has been moved temporarily to {url}.".encode())
            assert f"\r\nLocation: {url}\r\n".encode() in connection.heads[0]


async def test_another_spelling_is_sent_to_the_normalized_page_here_first(bare_registry: Registry) -> None:
    await turn_on(bare_registry)
    for spelling in ("No.Body", "no_body/", "NO--BODY"):
        answer = await bare_registry.get(f"{bare_registry.pypi}/simple/{spelling}")
        assert (answer.status, answer.headers["location"]) == (302, f"{bare_registry.pypi}/simple/no-body/")


async def test_nobody_is_sent_on_who_was_not_let_in_and_nothing_else_is_sent_on(bare_registry: Registry) -> None:
    await turn_on(bare_registry)
    _, stranger = await bare_registry.add_user("stranger")
    closed = await bare_registry.add_project(
        "closed", visibility=Visibility.PUBLIC, registry_access=RegistryAccess.DISABLED
    )
    public = await bare_registry.add_project("public", visibility=Visibility.PUBLIC)
    own = bare_registry.pypi
    for path, token, expected in (
        (f"{own}/simple/nobody/", None, (401, b'{"message":"401 Unauthorized"}')),
        (f"{own}/simple/nobody/", "garbage", (401, b'{"message":"401 Unauthorized"}')),
        (f"{own}/simple/nobody/", stranger, (404, b'{"message":"404 Not Found"}')),
        (f"{bare_registry.pypi_of(4711)}/simple/nobody/", ROOT_TOKEN, (404, b'{"message":"404 Not Found"}')),
        (f"{bare_registry.pypi_of(closed.id)}/simple/nobody/", None, (403, b'{"message":"403 Forbidden"}')),
        (f"{own}/files/{'0' * 64}/nobody-1.0.tar.gz", ROOT_TOKEN, (404, NOT_FOUND)),
        (f"{own}/forward/nobody/x", ROOT_TOKEN, (404, b'{"error":"404 Not Found"}')),
    ):
        answer = await bare_registry.get(path, token=token)
        assert (answer.status, answer.body) == expected, path
        assert "location" not in answer.headers
    assert (await bare_registry.get(f"{own}/simple/")).status == 200
    assert (await bare_registry.get(f"{bare_registry.pypi_of(public.id)}/simple/nobody/", token=None)).status == 302


async def test_a_name_that_was_ever_in_the_project_is_not_forwarded(registry: Registry) -> None:
    """A deviation: GitLab forwards what has no package at the moment."""
    await turn_on(registry)
    other = await registry.add_project("other")

    refused = await registry.upload(b"no wheel at all")
    assert (refused.status, await registry.traces()) == (400, NOTHING)
    assert await is_forwarded(registry, name="pkg")

    assert (await registry.upload(WHEEL)).status == 201
    assert (await registry.get(f"{registry.pypi}/simple/pkg/")).status == 200
    assert await is_forwarded(registry, other, name="pkg")

    # Nothing of it is left but its name.
    packages = f"/api/v4/projects/{registry.project_id}/packages"
    [package] = (await registry.get(packages)).json
    assert (await registry.ask("DELETE", f"{packages}/{package['id']}")).status == 204
    assert not await is_forwarded(registry, name="pkg")

    async def is_gone() -> bool:
        return await registry.traces() == NOTHING

    await eventually(is_gone, what="the worker has removed all of it", timeout_seconds=60)
    assert not await is_forwarded(registry, name="pkg")


async def test_a_name_of_which_something_is_said_is_not_forwarded_whatever_it_has(registry: Registry) -> None:
    await turn_on(registry)
    assert (await registry.upload(WHEEL)).status == 201
    (package,) = (await registry.get(f"/api/v4/projects/{registry.project_id}/packages")).json
    await put(registry, f"{registry.pypi}/names/pkg/status", status="quarantined")
    page = await registry.page("pkg")
    assert (page["project-status"], page["files"]) == ({"status": "quarantined"}, [])
    assert (await registry.get(f"{registry.pypi}/files/{sha256(WHEEL)}/{WHEEL_NAME}")).status == 404
    deleted = await registry.ask("DELETE", f"/api/v4/projects/{registry.project_id}/packages/{package['id']}")
    assert deleted.status == 204
    assert not await is_forwarded(registry, name="pkg")


class TestWithoutAWorker:
    @pytest.fixture
    def environment(self) -> dict[str, str]:
        return {"LARDER_FORWARD_URL": UPSTREAM, "LARDER_UPLOAD_WAIT_SECONDS": "0"}

    async def test_a_name_that_is_only_waiting_is_not_forwarded(self, bare_registry: Registry) -> None:
        await turn_on(bare_registry)
        assert await is_forwarded(bare_registry, name="pkg")
        assert (await bare_registry.upload(WHEEL)).status == 202
        assert not await is_forwarded(bare_registry, name="pkg")


class TestWithoutAnUpstream:
    @pytest.fixture
    def environment(self) -> dict[str, str]:
        return {}

    async def test_nothing_is_forwarded_whatever_the_settings_say(self, bare_registry: Registry) -> None:
        await turn_on(bare_registry)
        assert not await is_forwarded(bare_registry)


async def test_whoever_is_nearest_decides_and_locks_bind_from_the_next_request_on(bare_registry: Registry) -> None:
    project = await bare_registry.add_project("app")
    async with bare_registry.backends.store.writing() as rows:
        sub = await rows.tenants.add_group(
            parent=project.namespace, name="Sub", path="sub", description="", visibility=Visibility.PRIVATE
        )
        below = await rows.tenants.add_project(
            namespace=sub,
            name="App",
            path="app",
            description="",
            visibility=Visibility.PRIVATE,
            registry_access=RegistryAccess.ENABLED,
            creator_id=None,
        )
    team, team_sub = "/api/v4/groups/team", "/api/v4/groups/team%2Fsub"
    for url, choice, expected in (
        (SETTINGS, {ON: "false"}, {"root/packages": False, "team/app": False, "team/sub/app": False}),
        (team_sub, {ON: "true"}, {"root/packages": False, "team/app": False, "team/sub/app": True}),
        (team, {ON: "true"}, {"root/packages": False, "team/app": True, "team/sub/app": True}),
        (team_sub, {ON: "false"}, {"root/packages": False, "team/app": True, "team/sub/app": False}),
        (team, {LOCKED: "true"}, {"root/packages": False, "team/app": True, "team/sub/app": True}),
        (team, {ON: "false"}, {"root/packages": False, "team/app": False, "team/sub/app": False}),
        (SETTINGS, {ON: "true"}, {"root/packages": True, "team/app": False, "team/sub/app": False}),
        (SETTINGS, {LOCKED: "true"}, {"root/packages": True, "team/app": True, "team/sub/app": True}),
        (SETTINGS, {ON: "false"}, {"root/packages": False, "team/app": False, "team/sub/app": False}),
        (SETTINGS, {LOCKED: "false", ON: "true"}, {"root/packages": True, "team/app": False, "team/sub/app": False}),
    ):
        await put(bare_registry, url, **choice)
        found = {
            path: await is_forwarded(bare_registry, tenant)
            for path, tenant in {"root/packages": None, "team/app": project, "team/sub/app": below}.items()
        }
        assert found == expected, (url, choice)
    inherit = await bare_registry.ask("PUT", team, data=json.dumps({ON: None}), Content_Type="application/json")
    assert inherit.json[ON] is None
    assert await is_forwarded(bare_registry, project)
    locked = await exchange(bare_registry, head("PUT", f"{team_sub}?{ON}=true"))
    assert locked == (
        400,
        f'{{"message":{{"{ON}":["cannot be changed because it is locked by an ancestor"]}}}}'.encode(),
    )


async def test_a_group_forwards_what_none_of_its_projects_ever_had(registry: Registry) -> None:
    project = await registry.add_project("app")
    hidden = await registry.add_project("hidden")
    page = f"{registry.url}/api/v4/groups/{project.namespace.id}/-/packages/pypi/simple/{{}}"
    await put(registry, "/api/v4/groups/team", **{ON: "true"})
    assert (await registry.upload(WHEEL, to=hidden.id)).status == 201

    for path in ("nobody", "nobody/", f"nobody/?private_token={ROOT_TOKEN}"):
        for accept in ("text/html", SIMPLE_JSON):
            # The group is public, and its projects are private: this one sees none of them.
            answer = await registry.get(page.format(path), token=None, Accept=accept)
            assert (answer.status, answer.body) == (
                302,
                b"This resource has been moved temporarily to https://upstream.test/root/simple/nobody/.",
            )
            assert answer.headers["location"] == "https://upstream.test/root/simple/nobody/"
            assert answer.headers["cache-control"] == "private, no-cache"
    asked = await registry.ask("HEAD", page.format("nobody"), token=None)
    assert (asked.status, asked.headers["location"]) == (303, f"{UPSTREAM}/nobody/")
    spelt = await registry.get(page.format("No.Body"), token=None)
    assert (spelt.status, spelt.headers["location"]) == (302, page.format("no-body/"))

    # It is there, if not for everybody.
    assert (await registry.get(page.format("pkg/"))).status == 200
    answer = await registry.get(page.format("pkg/"), token=None)
    assert (answer.status, answer.body) == (404, NOT_FOUND)

    assert (await registry.ask("DELETE", f"/api/v4/projects/{hidden.id}")).status == 202
    for token in (None, ROOT_TOKEN):
        answer = await registry.get(page.format("pkg/"), token=token)
        assert (answer.status, answer.body) == (404, NOT_FOUND)
    await put(registry, "/api/v4/groups/team", **{ON: "false"})
    answer = await registry.get(page.format("nobody/"))
    assert (answer.status, answer.body) == (404, NOT_FOUND)


async def test_nobody_is_sent_on_who_was_not_let_in_to_a_group(bare_registry: Registry) -> None:
    await turn_on(bare_registry)
    _, stranger = await bare_registry.add_user("stranger")
    async with bare_registry.backends.store.writing() as rows:
        for path, visibility in (("closed", Visibility.PRIVATE), ("inside", Visibility.INTERNAL)):
            await rows.tenants.add_group(parent=None, name=path, path=path, description="", visibility=visibility)
    for group, token, status, body in (
        ("closed", None, 401, b'{"message":"401 Unauthorized"}'),
        ("closed", stranger, 404, b'{"message":"404 Not Found"}'),
        ("inside", stranger, 403, b'{"message":"403 Forbidden"}'),
        ("nowhere", ROOT_TOKEN, 404, b'{"message":"404 Not Found"}'),
        ("root", ROOT_TOKEN, 404, b'{"message":"404 Not Found"}'),
    ):
        answer = await bare_registry.get(f"/api/v4/groups/{group}/-/packages/pypi/simple/nobody/", token=token)
        assert (answer.status, answer.body) == (status, body), group
    assert (await bare_registry.get("/api/v4/groups/closed/-/packages/pypi/simple/nobody/")).status == 302
