"""The status that maintainers give to packages, and what follows from it."""

import json

import pytest

from services.api.schemas.out import instant
from shared.models import PackageFile, PackageStatus
from tests.api.published import CONTENT, audited, package_of, publish
from tests.api.registry import Answer, Registry

NO_RECORD = b'{"message":"404 Not found"}'
NO_VALID_VALUE = b'{"error":"status does not have a valid value"}'
MISSING = b'{"error":"status is missing"}'


async def put(registry: Registry, file: PackageFile, body: object) -> Answer:
    url = f"/api/v4/projects/{file.project_id}/packages/{file.package_id}"
    return await registry.ask("PUT", url, data=json.dumps(body).encode(), Content_Type="application/json")


async def test_a_package_moves_between_the_three_statuses_and_is_shown_as_it_is(bare_registry: Registry) -> None:
    file = await publish(bare_registry)
    here = f"/api/v4/projects/1/packages/{file.package_id}"
    told = {}
    for status in ("hidden", "deprecated", "deprecated", "default", "hidden", "default"):
        answer = await put(bare_registry, file, {"status": status})
        package = await package_of(bare_registry, file)
        assert package is not None
        assert package.status == status
        links = {} if status == "hidden" else {"web_path": f"/root/packages/-/packages/{package.id}"}
        assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
        assert answer.json == {
            "id": package.id,
            "name": "pkg",
            "version": "1.0",
            "package_type": "pypi",
            "status": status,
            "created_at": instant(package.created_at),
            "last_downloaded_at": package.last_downloaded_at and instant(package.last_downloaded_at),
            "tags": [],
            "_links": {**links, "delete_api_path": f"{bare_registry.url}{here}"},
        }
        by_id = await bare_registry.get(f"{here}/package_files/{file.id}/download")
        to_installers = await bare_registry.get(f"{bare_registry.pypi}/files/{file.sha256}/{file.file_name}")
        listed = [each["filename"] for each in (await bare_registry.page("pkg"))["files"]]
        told[status] = (by_id.status, to_installers.status, listed)
        assert by_id.body == (NO_RECORD if status == "hidden" else CONTENT)
    assert told == {
        "hidden": (404, 200, [file.file_name]),
        "deprecated": (200, 200, [file.file_name]),
        "default": (200, 200, [file.file_name]),
    }
    moves = [event[4] for event in await audited(bare_registry, "package.status_changed")]
    assert [(move["from"], move["to"]) for move in moves] == [
        ("default", "hidden"),
        ("hidden", "deprecated"),
        ("deprecated", "default"),
        ("default", "hidden"),
        ("hidden", "default"),
    ]
    (action, actor, target, project_id, details), *_ = await audited(bare_registry, "package.status_changed")
    assert (action, actor, target, project_id) == (
        "package.status_changed",
        "user:1",
        f"package:{file.package_id}",
        bare_registry.project_id,
    )
    assert details == {"name": "pkg", "version": "1.0", "from": "default", "to": "hidden"}


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({}, MISSING),
        ({"status": None}, MISSING),
        ({"other": "hidden"}, MISSING),
        ({"status": ""}, NO_VALID_VALUE),
        ({"status": "HIDDEN"}, NO_VALID_VALUE),
        ({"status": 1}, NO_VALID_VALUE),
        ({"status": ["hidden"]}, NO_VALID_VALUE),
        *(({"status": each}, NO_VALID_VALUE) for each in ("processing", "error", "pending_destruction", "other")),
    ],
    ids=str,
)
async def test_a_status_that_cannot_be_set_is_refused(bare_registry: Registry, body: object, told: bytes) -> None:
    file = await publish(bare_registry)
    answer = await put(bare_registry, file, body)
    assert (answer.status, answer.body) == (400, told)
    package = await package_of(bare_registry, file)
    assert package is not None
    assert package.status is PackageStatus.DEFAULT


async def test_only_a_good_file_ends_an_error_and_nothing_ends_a_destruction(bare_registry: Registry) -> None:
    in_error = b'{"message":"400 Bad request - Status of a package in error cannot be changed"}'
    expected = {
        PackageStatus.ERROR: (400, in_error),
        PackageStatus.PROCESSING: (404, NO_RECORD),
        PackageStatus.PENDING_DESTRUCTION: (404, NO_RECORD),
    }
    found = {}
    for number, status in enumerate(expected):
        file = await publish(bare_registry, version=str(number), status=status)
        answer = await put(bare_registry, file, {"status": "default"})
        found[status] = (answer.status, answer.body)
        package = await package_of(bare_registry, file)
        assert package is not None
        assert package.status is status
    assert found == expected


async def test_a_form_and_a_query_do_as_well(bare_registry: Registry) -> None:
    file = await publish(bare_registry)
    url = f"/api/v4/projects/root%2Fpackages/packages/{file.package_id}/"
    answer = await bare_registry.ask("PUT", url, data={"status": "hidden"})
    assert (answer.status, answer.json["status"]) == (200, "hidden")
    answer = await bare_registry.ask("PUT", f"{url}?status=default")
    assert (answer.status, answer.json["status"]) == (200, "default")
    unknown = await bare_registry.ask("PUT", "/api/v4/projects/1/packages/x?status=default")
    assert (unknown.status, unknown.body) == (400, b'{"error":"package_id is invalid"}')
