"""Settings and limits of the instance over HTTP, and that they decide from the next request on."""

from typing import Any

import pytest

from shared.models import AccessLevel, RegistryAccess
from tests.api.registry import ROOT_TOKEN, Answer, Registry
from tests.distributions import build_wheel

SETTINGS = "/api/v4/application/settings"
LIMITS = "/api/v4/application/plan_limits"
_GIB = 1024**3
DEFAULTS = {
    "pypi_package_requests_forwarding": False,
    "lock_pypi_package_requests_forwarding": False,
    "package_registry_allow_anyone_to_pull_option": True,
    "default_project_visibility": "private",
    "default_group_visibility": "private",
    "allow_guest_plus_roles_to_pull_packages": True,
    "packages_protected_packages_delete": True,
}


async def put(registry: Registry, url: str, query: str, *, token: str | None = ROOT_TOKEN) -> Answer:
    return await registry.ask("PUT", f"{url}?{query}", token=token)


@pytest.mark.parametrize("url", [SETTINGS, LIMITS])
@pytest.mark.parametrize("method", ["GET", "PUT"])
async def test_only_administrators_see_and_change_them(bare_registry: Registry, method: str, url: str) -> None:
    _, token = await bare_registry.add_user("ada")
    somebody = await bare_registry.ask(method, url, token=token)
    nobody = await bare_registry.ask(method, url, token=None)
    assert (somebody.status, somebody.body) == (403, b'{"message":"403 Forbidden"}')
    assert (nobody.status, nobody.body) == (401, b'{"message":"401 Unauthorized"}')


async def test_settings_are_told_changed_and_kept(bare_registry: Registry) -> None:
    assert (await bare_registry.get(SETTINGS)).json == DEFAULTS
    changes = {"pypi_package_requests_forwarding": True, "default_group_visibility": "internal"}
    answer = await bare_registry.ask(
        "PUT",
        SETTINGS,
        data='{"pypi_package_requests_forwarding":true,"default_group_visibility":"internal","unknown":[1],'
        '"default_project_visibility":null}',
        Content_Type="application/json",
    )
    assert (answer.status, answer.json) == (200, DEFAULTS | changes)
    assert (await put(bare_registry, SETTINGS, "unknown=1")).json == DEFAULTS | changes
    assert (await bare_registry.get(SETTINGS)).json == DEFAULTS | changes
    told = await bare_registry.rows("SELECT actor, details FROM audit_events WHERE action LIKE 'instance_settings.%'")
    assert [(actor, "forwarding" in details) for actor, details in told] == [("user:1", True)]


@pytest.mark.parametrize(
    ("url", "query", "error"),
    [
        (SETTINGS, "default_group_visibility=open", "default_group_visibility does not have a valid value"),
        (SETTINGS, "packages_protected_packages_delete=2", "packages_protected_packages_delete is invalid"),
        (LIMITS, "plan_name=gold", "plan_name does not have a valid value"),
        (LIMITS, "pypi_max_file_size=-1", "pypi_max_file_size is invalid"),
        (LIMITS, "pypi_max_file_size=1.5", "pypi_max_file_size is invalid"),
        (LIMITS, f"pypi_max_file_size={2**63}", "pypi_max_file_size is invalid"),
        (LIMITS, "pypi_max_file_size=", "pypi_max_file_size is invalid"),
    ],
)
async def test_bad_values_are_refused(bare_registry: Registry, url: str, query: str, error: str) -> None:
    answer = await put(bare_registry, url, query)
    assert (answer.status, answer.json) == (400, {"error": error})
    assert (await bare_registry.get(SETTINGS)).json == DEFAULTS


async def test_other_plans_have_no_limits(bare_registry: Registry) -> None:
    assert (await bare_registry.get(f"{LIMITS}?plan_name=default")).json == {"pypi_max_file_size": 5 * _GIB}
    answer = await bare_registry.get(f"{LIMITS}?plan_name=gold")
    assert (answer.status, answer.json) == (400, {"error": "plan_name does not have a valid value"})


class TestWithALimitInTheConfiguration:
    @pytest.fixture
    def environment(self) -> dict[str, str]:
        return {"LARDER_MAX_FILE_SIZE": "100000"}

    async def test_the_smaller_limit_bounds_the_next_upload(self, registry: Registry) -> None:
        small = build_wheel("pkg", "1.0")
        assert (await registry.get(LIMITS)).json == {"pypi_max_file_size": 100_000}

        async def limit(size: int, content: bytes) -> int:
            answer = await put(registry, LIMITS, f"plan_name=default&pypi_max_file_size={size}")
            assert (answer.status, answer.json) == (200, {"pypi_max_file_size": size})
            uploaded = await registry.upload(content)
            if uploaded.status == 413:
                assert uploaded.body == b'{"message":"400 Bad request - File is too large"}'
            return uploaded.status

        assert await limit(len(small) - 1, small) == 413
        assert await limit(len(small), small) == 201
        assert await limit(0, small) == 201
        assert await limit(1_000_000, b"x" * 100_001) == 413


async def reads(registry: Registry, project_id: int, token: str | None) -> int:
    return (await registry.get(f"{registry.pypi_of(project_id)}/simple/", token=token)).status


async def test_whether_guests_may_pull_is_decided_for_the_next_request(bare_registry: Registry) -> None:
    project = await bare_registry.add_project("target")
    user, token = await bare_registry.add_user("guest")
    await bare_registry.add_member(project, user, AccessLevel.GUEST)
    found: list[Any] = []
    for allowed in ("true", "false", "true"):
        await put(bare_registry, SETTINGS, f"allow_guest_plus_roles_to_pull_packages={allowed}")
        found.append(await reads(bare_registry, project.id, token))
    assert found == [200, 403, 200]


class TestWithGuestsKeptOutByTheConfiguration:
    @pytest.fixture
    def environment(self) -> dict[str, str]:
        return {"LARDER_ALLOW_GUESTS_TO_PULL": "false"}

    async def test_an_administrator_decides_otherwise(self, bare_registry: Registry) -> None:
        project = await bare_registry.add_project("target")
        user, token = await bare_registry.add_user("guest")
        await bare_registry.add_member(project, user, AccessLevel.GUEST)
        assert (await bare_registry.get(SETTINGS)).json["allow_guest_plus_roles_to_pull_packages"] is False
        assert await reads(bare_registry, project.id, token) == 403
        await put(bare_registry, SETTINGS, "allow_guest_plus_roles_to_pull_packages=true")
        assert await reads(bare_registry, project.id, token) == 200


async def test_whether_private_projects_may_open_their_registry_is_decided_for_the_next_request(
    bare_registry: Registry,
) -> None:
    project = await bare_registry.add_project("target", registry_access=RegistryAccess.PUBLIC)
    found: list[Any] = []
    for allowed in ("true", "false", "true"):
        await put(bare_registry, SETTINGS, f"package_registry_allow_anyone_to_pull_option={allowed}")
        found.append(await reads(bare_registry, project.id, None))
    assert found == [200, 401, 200]


async def test_what_is_created_without_a_visibility_has_the_default_or_less(bare_registry: Registry) -> None:
    await put(bare_registry, SETTINGS, "default_group_visibility=public&default_project_visibility=internal")

    async def create(kind: str, **new: Any) -> tuple[int, str]:
        answer = await bare_registry.post_json(f"/api/v4/{kind}", new)
        assert answer.status == 201, answer.body
        return answer.json["id"], answer.json["visibility"]

    top, visibility = await create("groups", name="top", path="top")
    assert visibility == "public"
    assert (await create("projects", name="a", namespace_id=top))[1] == "internal"
    assert (await create("projects", name="b"))[1] == "internal"
    closed, visibility = await create("groups", name="closed", path="closed", parent_id=top, visibility="private")
    assert visibility == "private"
    assert (await create("groups", name="below", path="below", parent_id=closed))[1] == "private"
    assert (await create("projects", name="c", namespace_id=closed))[1] == "private"
