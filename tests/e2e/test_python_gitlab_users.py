"""Users and their tokens, administered by an unmodified python-gitlab against real processes."""

import json
import urllib.request
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

import gitlab
import pytest

from tests.e2e.processes import LarderProcess

pytestmark = pytest.mark.slow

PASSWORD = "a long enough one"


@pytest.fixture
def admin(larder_of_module: LarderProcess) -> Iterator[gitlab.Gitlab]:
    with signed_in(larder_of_module, larder_of_module.token) as client:
        yield client


def signed_in(larder: LarderProcess, token: str) -> gitlab.Gitlab:
    client = gitlab.Gitlab(larder.url, private_token=token, timeout=30)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # among others, about a web_url that is none of this server
        client.auth()
    return client


def status_of(larder: LarderProcess, token: str) -> int:
    request = urllib.request.Request(f"{larder.url}/api/v4/user", headers={"PRIVATE-TOKEN": token})
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        json.load(error)
        return error.code


def test_users_are_created_found_paged_and_blocked(admin: gitlab.Gitlab, larder_of_module: LarderProcess) -> None:
    assert admin.user is not None
    assert admin.user.username == "root"
    for number in range(5):
        admin.users.create(
            {
                "username": f"user-{number}",
                "name": f"User {number}",
                "email": f"user-{number}@example.org",
                "password": PASSWORD,
                "skip_confirmation": True,
            }
        )
    (found,) = admin.users.list(username="USER-3", get_all=True)
    assert admin.users.get(found.id).email == "user-3@example.org"
    everybody = admin.users.list(search="user-", per_page=2, iterator=True)
    assert [user.username for user in everybody] == [f"user-{number}" for number in (4, 3, 2, 1, 0)]
    token = found.personal_access_tokens.create({"name": "laptop", "scopes": ["api"]})
    for verb, status in ((found.block, HTTPStatus.FORBIDDEN), (found.unblock, HTTPStatus.OK)):
        assert verb() is True
        assert status_of(larder_of_module, token.token) == status
    with pytest.raises(gitlab.GitlabCreateError, match="Email has already been taken") as refused:
        admin.users.create({"username": "x", "name": "x", "email": "user-1@example.org", "password": PASSWORD})
    assert refused.value.response_code == HTTPStatus.CONFLICT
    with pytest.raises(gitlab.GitlabGetError, match="404 User Not Found"):
        admin.users.get(10_000)


def test_tokens_are_made_listed_rotated_and_deleted(admin: gitlab.Gitlab, larder_of_module: LarderProcess) -> None:
    ada = admin.users.create({"username": "ada", "name": "Ada", "email": "ada@example.org", "password": PASSWORD})
    end = (datetime.now(UTC) + timedelta(days=30)).date().isoformat()
    made = [
        ada.personal_access_tokens.create({"name": name, "scopes": ["read_api", "api"], "expires_at": end})
        for name in ("first", "second")
    ]
    assert [token.name for token in admin.personal_access_tokens.list(user_id=ada.id, get_all=True)] == [
        "first",
        "second",
    ]
    assert admin.personal_access_tokens.get(made[0].id).expires_at == end

    with signed_in(larder_of_module, made[0].token) as client:
        itself = client.personal_access_tokens.get("self")
        assert (itself.id, itself.active) == (made[0].id, True)
        assert len(client.personal_access_tokens.list(get_all=True)) == 2
        with pytest.raises(gitlab.GitlabAuthenticationError):
            client.personal_access_tokens.list(user_id=1, get_all=True)
        with pytest.raises(gitlab.GitlabCreateError, match="403 Forbidden"):
            client.users.create({"username": "x", "name": "x", "email": "x@example.org", "password": PASSWORD})
        itself.rotate()
    assert itself.token.startswith("glpat-")
    assert itself.id not in {token.id for token in made}
    assert status_of(larder_of_module, made[0].token) == HTTPStatus.UNAUTHORIZED

    with signed_in(larder_of_module, itself.token) as client:
        client.personal_access_tokens.get("self").delete()
    assert status_of(larder_of_module, itself.token) == HTTPStatus.UNAUTHORIZED

    admin.personal_access_tokens.delete(made[1].id)
    assert status_of(larder_of_module, made[1].token) == HTTPStatus.UNAUTHORIZED
    found = admin.personal_access_tokens.list(user_id=ada.id, state="active", get_all=True)
    assert found == []


def test_settings_and_namespaces_are_read_and_changed(admin: gitlab.Gitlab) -> None:
    settings = admin.settings.get()
    assert settings.allow_guest_plus_roles_to_pull_packages is True
    settings.pypi_package_requests_forwarding = True
    settings.save()
    assert admin.settings.get().pypi_package_requests_forwarding is True
    assert admin.namespaces.get("root").kind == "user"
    assert "root" in [namespace.full_path for namespace in admin.namespaces.list(iterator=True)]
