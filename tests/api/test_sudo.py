"""An administrator acts as somebody else: the `Sudo` header and the `sudo` parameter (contract, PyPI 2.2)."""

import pytest

from tests.api.registry import ROOT_TOKEN, Registry

UNAUTHORIZED = b'{"message":"401 Unauthorized"}'
NO_ADMIN = b'{"message":"403 Forbidden - Must be admin to use sudo"}'
NO_SCOPE = (
    b'{"error":"insufficient_scope","error_description":"The request requires higher privileges than provided by the '
    b'access token.","scope":"sudo"}'
)
SUDO_TOKEN = "glpat-of-root-with-sudo"


@pytest.fixture
async def registry_with_sudo(bare_registry: Registry) -> Registry:
    async with bare_registry.backends.store.reading() as rows:
        root = await rows.tenants.user_by_username("root")
    assert root is not None
    await bare_registry.add_token(root, SUDO_TOKEN, scopes=("api", "sudo"))
    return bare_registry


async def test_an_administrator_is_whom_he_names(registry_with_sudo: Registry) -> None:
    registry = registry_with_sudo
    ada, _ = await registry.add_user("ada")
    for wanted in ("ada", "ADA", str(ada.id)):
        assert (await registry.get("/api/v4/user", token=SUDO_TOKEN, Sudo=wanted)).json["username"] == "ada"
        assert (await registry.get(f"/api/v4/user?sudo={wanted}", token=SUDO_TOKEN)).json["username"] == "ada"
    assert (await registry.get("/api/v4/user?sudo=", token=SUDO_TOKEN)).json["username"] == "root"


async def test_he_may_do_what_they_may_and_no_more(registry_with_sudo: Registry) -> None:
    registry = registry_with_sudo
    await registry.add_user("ada")
    hidden = await registry.add_project("hidden")
    page = f"{registry.pypi_of(hidden.id)}/simple/"
    assert (await registry.get(page, token=SUDO_TOKEN)).status == 200
    assert (await registry.get(page, token=SUDO_TOKEN, Sudo="ada")).status == 404
    assert (await registry.ask("POST", registry.pypi_of(hidden.id), token=SUDO_TOKEN, Sudo="ada")).status == 404
    assert (await registry.get("/api/v4/application/settings", token=SUDO_TOKEN, Sudo="ada")).status == 403


async def test_nobody_else_acts_as_another(registry_with_sudo: Registry) -> None:
    registry = registry_with_sudo
    ada, ada_token = await registry.add_user("ada")
    await registry.add_token(ada, "glpat-of-ada-with-sudo", scopes=("api", "sudo"))
    for token, status, body in (
        (None, 401, UNAUTHORIZED),
        (ada_token, 403, NO_ADMIN),
        ("glpat-of-ada-with-sudo", 403, NO_ADMIN),
        (ROOT_TOKEN, 403, NO_SCOPE),
    ):
        for path in ("/api/v4/user", f"{registry.pypi}/simple/", f"/api/v4/projects/{registry.project_id}/packages"):
            answer = await registry.get(path, token=token, Sudo="root")
            assert (answer.status, answer.body) == (status, body)


async def test_who_is_not_there_or_blocked_cannot_be_acted_as(registry_with_sudo: Registry) -> None:
    registry = registry_with_sudo
    ada, _ = await registry.add_user("ada")
    assert (await registry.ask("POST", f"/api/v4/users/{ada.id}/block")).status == 201
    blocked = await registry.get("/api/v4/user", token=SUDO_TOKEN, Sudo="ada")
    assert (blocked.status, blocked.body) == (403, b'{"message":"403 Forbidden - Your account has been blocked."}')
    for wanted in ("nobody", "4711", "9" * 40, "%00", "\u00e4"):
        answer = await registry.get(f"/api/v4/user?sudo={wanted}", token=SUDO_TOKEN)
        assert answer.status == 404
        assert answer.json["message"].startswith("404 User with ID or username '")
