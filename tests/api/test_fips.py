"""FIPS mode: every upload brings its SHA-256, and MD5 is neither taken nor computed nor shown."""

import hashlib
import json
from typing import Any, NoReturn

import pytest

from shared.models import AccessLevel
from shared.protection import ProtectedPackageType, ProtectionLevel, ProtectionTerms
from tests.api.published import publish
from tests.api.registry import NOTHING, Registry, sha256
from tests.distributions import build_sdist, build_wheel, sdist_file_name

WHEEL = build_wheel("pkg", "1.0")
SHA256 = sha256(WHEEL)
CREATED = b'{"message":"201 Created"}'
UNPROCESSABLE = b'{"message":"422 Unprocessable Entity"}'
MD5 = hashlib.md5(WHEEL, usedforsecurity=False).hexdigest()


@pytest.fixture
def environment() -> dict[str, str]:
    return {"LARDER_FIPS": "true"}


@pytest.fixture
def _no_md5(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let MD5 fail in this process, which the API and the worker of these tests share, as it does where FIPS holds."""
    new = hashlib.new

    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise ValueError("disabled for FIPS")

    def new_but_md5(name: str, *arguments: Any, **options: Any) -> Any:
        return refuse() if name.lower() == "md5" else new(name, *arguments, **options)

    monkeypatch.setattr(hashlib, "md5", refuse)
    monkeypatch.setattr(hashlib, "new", new_but_md5)


@pytest.mark.usefixtures("_no_md5")
async def test_uploads_are_published_without_any_md5(registry: Registry) -> None:
    answer = await registry.upload(WHEEL, sha256_digest=SHA256)
    assert (answer.status, answer.body) == (201, CREATED)

    [file] = (await registry.page("pkg"))["files"]
    assert file["hashes"] == {"sha256": SHA256}
    assert (await registry.get(file["url"])).body == WHEEL
    [package] = (await registry.get(f"/api/v4/projects/{registry.project_id}/packages")).json
    [told] = (await registry.get(f"/api/v4/projects/{registry.project_id}/packages/{package['id']}/package_files")).json
    assert told["file_md5"] is None
    assert told["file_sha1"] == hashlib.sha1(WHEEL, usedforsecurity=False).hexdigest()
    assert told["file_sha256"] == SHA256
    assert await _stored(registry) == (None, {"name": ["pkg"], "version": ["1.0"], "sha256_digest": [SHA256]})


async def test_an_upload_that_does_not_say_its_sha256_is_refused_and_leaves_no_trace(bare_registry: Registry) -> None:
    for fields in ({}, {"md5_digest": MD5}, {"blake2_256_digest": "0" * 64}):
        answer = await bare_registry.upload(WHEEL, **fields)

        assert (answer.status, answer.body) == (422, UNPROCESSABLE)
        assert answer.headers["content-type"] == "application/json"
    assert await bare_registry.traces() == NOTHING
    assert bare_registry.blobs_held_open() == 0


async def test_permission_form_and_size_are_checked_before_the_digest_is_missed(bare_registry: Registry) -> None:
    nobody = await bare_registry.upload(WHEEL, token=None)
    formless = await bare_registry.upload(WHEEL, blake2_256_digest="0")
    url = f"/api/v4/application/plan_limits?plan_name=default&pypi_max_file_size={len(WHEEL) - 1}"
    assert (await bare_registry.ask("PUT", url)).status == 200
    large = await bare_registry.upload(WHEEL)

    assert (nobody.status, formless.status, large.status) == (401, 400, 413)


async def test_the_digest_is_missed_before_protection_and_names_are_looked_at(bare_registry: Registry) -> None:
    project_id, developer = await _protected_project(bare_registry)
    wrong: tuple[dict[str, str], ...] = (
        {"name": ".$/@!^*"},
        {"version": "one"},
        {"file_name": "x"},
        {"attestations": "{"},
    )

    for fields in ({}, *wrong):
        answer = await bare_registry.upload(WHEEL, to=project_id, token=developer, **fields)

        assert (answer.status, answer.body) == (422, UNPROCESSABLE)


async def test_with_its_digest_a_protected_package_is_protected(bare_registry: Registry) -> None:
    project_id, developer = await _protected_project(bare_registry)

    answer = await bare_registry.upload(WHEEL, to=project_id, token=developer, sha256_digest=SHA256)

    assert (answer.status, answer.json) == (403, {"message": "403 Forbidden - Package protected."})


async def test_a_wrong_sha256_is_refused_as_ever(registry: Registry) -> None:
    answer = await registry.upload(WHEEL, sha256_digest="0" * 64)

    assert answer.status == 400
    assert answer.json["message"].endswith("sha256_digest does not match the uploaded file")
    assert await registry.traces() == NOTHING


async def test_an_md5_is_passed_over_whatever_it_says(registry: Registry) -> None:
    for md5 in ("not even hexadecimal", "0" * 32, MD5):
        answer = await registry.upload(WHEEL, sha256_digest=SHA256, md5_digest=md5)
        assert (answer.status, answer.body) == (201, CREATED)

    assert await _stored(registry) == (None, {"name": ["pkg"], "version": ["1.0"], "sha256_digest": [SHA256]})


async def test_the_md5_of_a_file_from_before_is_nowhere_shown(registry: Registry) -> None:
    before = await publish(registry)
    assert before.sha256
    stored, _ = await _stored(registry)
    assert stored
    of_package = f"/api/v4/projects/{registry.project_id}/packages/{before.package_id}"

    [listed] = (await registry.get(f"{of_package}/package_files")).json
    yanked = (await registry.ask("PUT", f"{of_package}/package_files/{before.id}/yank")).json
    assert listed["file_md5"] is None
    assert yanked["file_md5"] is None
    for url in (
        f"{registry.pypi}/simple/pkg/",
        f"/root/packages/-/packages/{before.package_id}",
        f"{registry.pypi}/files/{before.sha256}/{before.file_name}",
        of_package,
    ):
        answer = await registry.get(url)
        assert answer.status == 200
        assert stored not in answer.body.decode() + str(answer.headers)


@pytest.mark.usefixtures("_no_md5")
async def test_a_file_from_before_is_joined_and_added_to(registry: Registry) -> None:
    first = await registry.upload(WHEEL, sha256_digest=SHA256)
    await registry.rows("UPDATE package_files SET md5 = :md5", md5=MD5)
    again = await registry.upload(WHEEL, sha256_digest=SHA256, md5_digest="0" * 32)
    sdist = build_sdist("pkg", "1.0")
    beside = await registry.upload(sdist, file_name=sdist_file_name("pkg", "1.0"), sha256_digest=sha256(sdist))

    assert (first.status, again.status, beside.status) == (201, 201, 201)


async def _stored(registry: Registry) -> tuple[str | None, dict[str, list[str]]]:
    """Return the MD5 and the form of the only file."""
    [(md5, form)] = await registry.rows(
        "SELECT md5, form FROM package_files JOIN package_file_metadata ON file_id = package_files.id"
    )
    return md5, json.loads(form)


async def _protected_project(registry: Registry) -> tuple[int, str]:
    """Return a project whose `pkg` is for administrators, and the token of a developer in it."""
    project = await registry.add_project("app")
    user, token = await registry.add_user("developer")
    await registry.add_member(project, user, AccessLevel.DEVELOPER)
    terms = ProtectionTerms(
        package_name_pattern="pkg",
        package_type=ProtectedPackageType.PYPI,
        minimum_access_level_for_push=ProtectionLevel.ADMIN,
        minimum_access_level_for_delete=None,
    )
    async with registry.backends.store.writing() as rows:
        await rows.protection_rules.add(project.id, terms)
    return project.id, token
