"""Deletes of packages and package files: final for readers at once, and carried out by the worker."""

import asyncio
import hashlib
from datetime import UTC, datetime, timedelta

import pytest

from services.api.conditions import http_date
from shared.models import AccessLevel, IndexedFile, PackageFile, PackageStatus
from shared.names import normalize_name
from shared.protection import ProtectionLevel
from tests.api.published import CONTENT, audited, package_of, publish
from tests.api.raw_http import connected, head
from tests.api.registry import NOTHING, ROOT_TOKEN, Answer, Registry, sha256
from tests.api.test_protected_deletes import protect
from tests.distributions import build_sdist, build_wheel
from tests.waiting import eventually

pytestmark = pytest.mark.scaled

WHEEL, SDIST = build_wheel("pkg", "1.0"), build_sdist("pkg", "1.0")
WHEEL_NAME, SDIST_NAME = "pkg-1.0-py3-none-any.whl", "pkg-1.0.tar.gz"

NO_RECORD = b'{"message":"404 Not found"}'
NO_FILE = b'{"message":"404 Not Found"}'
TOO_LATE = b'{"message":"412 Precondition Failed"}'
HOUR = timedelta(hours=1)


def packages_of(project_id: int) -> str:
    return f"/api/v4/projects/{project_id}/packages"


def url_of(file: PackageFile) -> str:
    return f"{packages_of(file.project_id)}/{file.package_id}/package_files/{file.id}"


def package_url(file: PackageFile | IndexedFile) -> str:
    return f"{packages_of(file.project_id)}/{file.package_id}"


async def delete(registry: Registry, url: str, *, token: str = ROOT_TOKEN, **headers: str) -> tuple[int, bytes]:
    answer = await registry.ask("DELETE", url, token=token, **headers)
    return answer.status, answer.body


async def published(registry: Registry, name: str = "pkg") -> list[IndexedFile]:
    async with registry.backends.store.reading() as rows:
        page = await rows.packages.page(registry.project_id, normalize_name(name))
    return list(page.files if page else ())


async def wait_until(registry: Registry, traces: dict[str, int]) -> None:
    async def is_so() -> bool:
        return await registry.traces() == traces

    await eventually(is_so, what=f"{traces} are left", timeout_seconds=60)


async def test_a_deleted_package_is_gone_at_once_and_its_version_is_free_at_once(registry: Registry) -> None:
    for content, name in ((WHEEL, WHEEL_NAME), (SDIST, SDIST_NAME)):
        assert (await registry.upload(content, file_name=name)).status == 201
    old = (await published(registry))[0]
    assert old.file_name == WHEEL_NAME

    answer = await registry.ask("DELETE", package_url(old))

    assert (answer.status, answer.body) == (204, b"")
    assert "content-type" not in answer.headers
    assert (await registry.get(f"{registry.pypi}/simple/pkg/")).status == 404
    assert (await registry.get(f"{registry.pypi}/files/{sha256(WHEEL)}/{WHEEL_NAME}")).status == 404
    gone = await registry.get(f"{package_url(old)}/package_files/{old.file_id}/download")
    assert (gone.status, gone.body) == (404, NO_RECORD)
    assert await delete(registry, package_url(old)) == (404, NO_RECORD)
    assert await delete(registry, f"{package_url(old)}/package_files/{old.file_id}") == (404, NO_RECORD)

    assert (await registry.upload(WHEEL, file_name=WHEEL_NAME)).status == 201
    [new] = await published(registry)
    assert new.package_id > old.package_id
    assert new.file_id > old.file_id
    await wait_until(registry, {"packages": 1, "package_files": 1, "blobs": 1})
    assert (await registry.get(f"{registry.pypi}/files/{sha256(WHEEL)}/{WHEEL_NAME}")).body == WHEEL
    assert await audited(registry, "package.deleted", "package.emptied") == [
        (
            "package.deleted",
            "user:1",
            f"package:{old.package_id}",
            registry.project_id,
            {"name": "pkg", "version": "1.0"},
        )
    ]


async def test_deleted_files_are_gone_at_once_and_the_last_one_takes_the_package_along(registry: Registry) -> None:
    for content, name in ((WHEEL, WHEEL_NAME), (SDIST, SDIST_NAME)):
        assert (await registry.upload(content, file_name=name)).status == 201
    wheel, sdist = await published(registry)
    wheel_url, sdist_url = (f"{package_url(each)}/package_files/{each.file_id}" for each in (wheel, sdist))

    assert await delete(registry, wheel_url) == (204, b"")
    assert [file.file_name for file in await published(registry)] == [SDIST_NAME]
    assert await delete(registry, wheel_url) == (404, NO_FILE)
    gone = await registry.get(f"{wheel_url}/download")
    assert (gone.status, gone.body) == (404, NO_FILE)
    await wait_until(registry, {"packages": 1, "package_files": 1, "blobs": 1})

    assert (await registry.upload(WHEEL, file_name=WHEEL_NAME)).status == 201
    _, again = await published(registry)
    assert (again.package_id, again.file_name) == (wheel.package_id, WHEEL_NAME)
    assert again.file_id > sdist.file_id

    assert await delete(registry, sdist_url) == (204, b"")
    assert await delete(registry, f"{package_url(again)}/package_files/{again.file_id}") == (204, b"")
    await wait_until(registry, NOTHING)
    assert await delete(registry, package_url(wheel)) == (404, NO_RECORD)
    events = await audited(registry, "package_file.deleted", "package.emptied")
    assert [event[:3] for event in events] == [
        ("package_file.deleted", "user:1", f"package_file:{wheel.file_id}"),
        ("package_file.deleted", "user:1", f"package_file:{sdist.file_id}"),
        ("package_file.deleted", "user:1", f"package_file:{again.file_id}"),
        ("package.emptied", "worker", f"package:{wheel.package_id}"),
    ]
    assert events[0][4] == {"file_name": WHEEL_NAME, "sha256": sha256(WHEEL)}


async def test_what_is_not_there_is_told_in_the_order_of_the_checks(bare_registry: Registry) -> None:
    registry = bare_registry
    elsewhere = await registry.add_project("elsewhere")
    user, developer = await registry.add_user("developer")
    async with registry.backends.store.reading() as rows:
        project = await rows.tenants.project(registry.project_id)
    assert project is not None
    await registry.add_member(project, user, AccessLevel.DEVELOPER)
    file = await publish(registry)
    second = await publish(registry, file_name="pkg-1.0-py3-none-any.whl")
    assert await delete(registry, url_of(second)) == (204, b"")
    other = await publish(registry, version="2.0", file_name="pkg-2.0.tar.gz")
    foreign = await publish(registry, elsewhere.id)
    states = {
        status: await publish(registry, version=f"3.{number}", file_name=f"pkg-3.{number}.tar.gz", status=status)
        for number, status in enumerate(PackageStatus)
    }
    waiting = await publish(registry, version="4", file_name="pkg-4.tar.gz", is_judged=False)
    here = packages_of(registry.project_id)
    no_record, no_file = (404, NO_RECORD), (404, NO_FILE)

    def invalid(*names: str) -> tuple[int, bytes]:
        return 400, b'{"error":"%s"}' % ", ".join(f"{name} is invalid" for name in names).encode()

    bad_files = {
        "999": no_file,
        "0": no_file,
        "-1": no_file,
        "9" * 40: no_file,
        str(second.id): no_file,
        str(other.id): no_file,
        "x": invalid("package_file_id"),
        "1.5": invalid("package_file_id"),
    }
    bad_packages = {
        "999": no_record,
        "0": no_record,
        "-1": no_record,
        "9" * 40: no_record,
        str(foreign.package_id): no_record,
        str(waiting.package_id): no_record,
        **{
            str(states[status].package_id): no_record
            for status in (PackageStatus.HIDDEN, PackageStatus.PROCESSING, PackageStatus.PENDING_DESTRUCTION)
        },
        "x": invalid("package_id"),
        "1e3": invalid("package_id"),
    }
    expected: dict[str, tuple[int, bytes]] = {
        **{f"DELETE {here}/{each}": told for each, told in bad_packages.items()},
        **{f"DELETE {here}/{each}/package_files/999": told for each, told in bad_packages.items()},
        **{f"GET {here}/{each}/package_files/999/download": told for each, told in bad_packages.items()},
        **{f"DELETE {here}/{file.package_id}/package_files/{each}": told for each, told in bad_files.items()},
        **{f"GET {here}/{file.package_id}/package_files/{each}/download": told for each, told in bad_files.items()},
        f"DELETE {here}/x/package_files/y": invalid("package_id", "package_file_id"),
        f"GET {here}/x/package_files/y/download": invalid("package_id", "package_file_id"),
    }
    found, denied = {}, {}
    for request in expected:
        method, url = request.split(" ")
        answer = await registry.ask(method, url)
        found[request] = (answer.status, answer.body)
        if method == "DELETE":
            answer = await registry.ask(method, url, token=developer)
            denied[request] = (answer.status, answer.body)
    assert found == expected
    assert set(denied.values()) == {(403, b'{"message":"403 Forbidden"}')}, "the role comes before all that"

    # What is shown can be deleted, whether it can be installed or not.
    for status in (PackageStatus.DEFAULT, PackageStatus.ERROR, PackageStatus.DEPRECATED):
        assert await delete(registry, package_url(states[status])) == (204, b"")


async def test_a_protected_package_is_found_before_it_is_refused_and_refused_before_its_files_are_looked_for(
    bare_registry: Registry,
) -> None:
    registry = bare_registry
    project = await registry.add_project("app")
    tokens = {}
    for level in (AccessLevel.MAINTAINER, AccessLevel.OWNER):
        user, tokens[level] = await registry.add_user(level.name.lower())
        await registry.add_member(project, user, level)
    await protect(registry, project, "pkg*", push=None, delete=ProtectionLevel.OWNER)
    file, free = await publish(registry, project.id), await publish(registry, project.id, name="free")
    package = package_url(file)
    refused = (403, b'{"message":"Package is deletion protected."}')
    file_refused = (403, b'{"message":"403 Forbidden - Package is deletion protected."}')
    expected = {
        package: refused,
        f"{package}/package_files/{file.id}": file_refused,
        f"{package}/package_files/999": file_refused,
        f"{packages_of(project.id)}/999": (404, NO_RECORD),
        f"{packages_of(project.id)}/999/package_files/1": (404, NO_RECORD),
        package_url(free): (204, b""),
    }
    found = {url: await delete(registry, url, token=tokens[AccessLevel.MAINTAINER]) for url in expected}
    assert found == expected
    fetched = await registry.get(f"{url_of(file)}/download", token=tokens[AccessLevel.MAINTAINER])
    assert fetched.status == 200
    assert await delete(registry, f"{package}/package_files/999", token=tokens[AccessLevel.OWNER]) == (404, NO_FILE)
    assert await delete(registry, url_of(file), token=tokens[AccessLevel.OWNER]) == (204, b"")
    assert await delete(registry, package) == (204, b""), "administrators are never kept from it"


@pytest.mark.parametrize("of", ["package", "file"])
async def test_a_delete_may_depend_on_what_the_client_has_seen(bare_registry: Registry, of: str) -> None:
    file = await publish(bare_registry)
    package = await package_of(bare_registry, file)
    assert package is not None
    changed_at, url = (package.updated_at, package_url(file)) if of == "package" else (file.created_at, url_of(file))
    just_before = (changed_at - timedelta(milliseconds=1)).isoformat(timespec="milliseconds")
    for stale in (http_date(changed_at - timedelta(seconds=1)), http_date(changed_at - HOUR), just_before):
        assert await delete(bare_registry, url, If_Unmodified_Since=stale) == (412, TOO_LATE), stale
    assert (await package_of(bare_registry, file)) == package
    assert await audited(bare_registry, "package.deleted", "package_file.deleted") == []
    assert await delete(bare_registry, url, If_Unmodified_Since=http_date(changed_at)) == (204, b"")


@pytest.mark.parametrize(
    "since", ["in an hour", "as the API writes it", "yesterday or so"], ids=["later", "to-the-millisecond", "nonsense"]
)
async def test_a_condition_that_holds_or_says_nothing_is_no_hindrance(bare_registry: Registry, since: str) -> None:
    file = await publish(bare_registry)
    told = {
        "in an hour": http_date(file.created_at + HOUR),
        "as the API writes it": file.created_at.astimezone(UTC).isoformat(timespec="milliseconds"),
    }.get(since, since)
    assert await delete(bare_registry, url_of(file), If_Unmodified_Since=told) == (204, b"")


async def test_what_has_changed_is_told_before_what_a_rule_keeps(bare_registry: Registry) -> None:
    project = await bare_registry.add_project("app")
    file = await publish(bare_registry, project.id)
    await protect(bare_registry, project, "pkg", push=None, delete=ProtectionLevel.OWNER)
    user, token = await bare_registry.add_user("maintainer")
    await bare_registry.add_member(project, user, AccessLevel.MAINTAINER)
    for since, told in ((http_date(file.created_at - HOUR), 412), (http_date(file.created_at + HOUR), 403)):
        assert (await delete(bare_registry, package_url(file), token=token, If_Unmodified_Since=since))[0] == told


async def test_whoever_has_not_seen_the_newest_file_does_not_delete_it(bare_registry: Registry) -> None:
    file = await publish(bare_registry)
    seen = await package_of(bare_registry, file)
    assert seen is not None

    async def is_past() -> bool:
        return datetime.now(UTC) > seen.updated_at + timedelta(milliseconds=1)

    await eventually(is_past, what="the millisecond of what was seen is over", timeout_seconds=60)
    await publish(bare_registry, file_name="pkg-1.0-py3-none-any.whl")
    at = seen.updated_at.isoformat(timespec="milliseconds")
    assert await delete(bare_registry, package_url(file), If_Unmodified_Since=at) == (412, TOO_LATE)


async def test_of_deletes_at_once_one_deletes(bare_registry: Registry) -> None:
    file = await publish(bare_registry)
    whole = await publish(bare_registry, version="2.0", file_name="pkg-2.0.tar.gz")
    for url, told in ((url_of(file), NO_FILE), (package_url(whole), NO_RECORD)):
        async with asyncio.TaskGroup() as group:
            deletes = [group.create_task(delete(bare_registry, url)) for _ in range(6)]
        assert sorted(each.result() for each in deletes) == [(204, b""), *[(404, told)] * 5]
    assert len(await audited(bare_registry, "package.deleted", "package_file.deleted")) == 2


@pytest.mark.slow
async def test_deleting_and_uploading_the_same_version_at_once_leaves_one_or_none_whole(registry: Registry) -> None:
    assert (await registry.upload(WHEEL, file_name=WHEEL_NAME)).status == 201
    for _ in range(5):
        # Whatever the order: the upload finds the package doomed, or is deleted with it, or comes after.
        found = await published(registry)
        async with asyncio.TaskGroup() as group:
            upload = group.create_task(registry.upload(SDIST, file_name=SDIST_NAME))
            deletes = [group.create_task(delete(registry, package_url(each))) for each in found[:1]]
        assert upload.result().status in {201, 404}
        assert all(each.result() == (204, b"") for each in deletes)
        left = await published(registry)
        # A 201 may have been told before the delete came.
        names = [file.file_name for file in left]
        assert names in ([SDIST_NAME], []) if deletes else names == [SDIST_NAME]
        assert upload.result().status == 201 or not names
        for file in left:
            answer = await registry.get(f"{package_url(file)}/package_files/{file.file_id}/download")
            assert (answer.status, answer.body) == (200, SDIST)
        await wait_until(registry, {"packages": len(left), "package_files": len(left), "blobs": len(left)})


async def test_a_download_that_has_begun_ends_whole_though_its_file_is_destroyed(registry: Registry) -> None:
    large = bytes(range(256)) * (16 * 4096)
    file = await publish(registry, content=large, file_name="large.whl")
    async with connected(registry) as connection:
        await connection.send(head("GET", f"{url_of(file)}/download"))
        answer_head = await connection.reader.readuntil(b"\r\n\r\n")
        assert answer_head.startswith(b"HTTP/1.1 200 ")
        assert await delete(registry, url_of(file)) == (204, b"")
        await wait_until(registry, NOTHING)
        async with asyncio.timeout(60):
            body = await connection.reader.readexactly(len(large))
    assert hashlib.sha256(body).hexdigest() == sha256(large)


class TestWithoutRedis:
    @pytest.fixture
    def environment(self) -> dict[str, str]:
        return {"LARDER_REDIS_URL": "redis://127.0.0.1:1"}

    async def test_a_delete_needs_no_queue(self, bare_registry: Registry) -> None:
        file = await publish(bare_registry)
        assert await delete(bare_registry, package_url(file)) == (204, b"")
        package = await package_of(bare_registry, file)
        assert package is not None
        assert package.status is PackageStatus.PENDING_DESTRUCTION


async def test_a_file_by_its_number_comes_as_installers_get_it(bare_registry: Registry) -> None:
    file = await publish(bare_registry)
    url = f"{url_of(file)}/download"
    by_digest = f"{bare_registry.pypi}/files/{file.sha256}/{file.file_name}"

    async def ask(url: str, method: str, headers: dict[str, str]) -> Answer:
        return await bare_registry.ask(method, url, **headers)

    varying = {"date", "x-request-id"}
    for method, headers, status, body in (
        ("GET", {}, 200, CONTENT),
        ("HEAD", {}, 200, b""),
        ("GET", {"Range": "bytes=4-9"}, 206, CONTENT[4:10]),
        ("GET", {"Range": "bytes=-3"}, 206, CONTENT[-3:]),
        ("GET", {"Range": "bytes=99-"}, 416, b""),
        ("GET", {"If-None-Match": f'"{file.sha256}"'}, 304, b""),
        ("GET", {"If-Match": '"another"'}, 412, b""),
        ("GET", {"Range": "bytes=0-3", "If-Range": f'"{file.sha256}"'}, 206, CONTENT[:4]),
    ):
        one, other = await ask(url, method, headers), await ask(by_digest, method, headers)
        assert (one.status, one.body) == (status, body), headers
        assert {k: v for k, v in one.headers.items() if k not in varying} == {
            k: v for k, v in other.headers.items() if k not in varying
        }
    whole = (await bare_registry.get(url)).headers
    assert whole["content-type"] == "application/octet-stream"
    assert (
        whole["content-disposition"] == f"attachment; filename=\"{file.file_name}\"; filename*=UTF-8''{file.file_name}"
    )
    by_path = await bare_registry.get(url.replace("/projects/1/", "/projects/root%2Fpackages/") + "/")
    assert (by_path.status, by_path.body) == (200, CONTENT)
