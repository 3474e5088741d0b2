"""The lists of packages of a project and of a group, with the bodies that clients get."""

from datetime import timedelta

from shared.models import AccessLevel, PackageStatus
from tests.api.package_answers import AT, group_packages_of, open_project, packages_of, told
from tests.api.registry import Registry
from tests.distributions import build_wheel
from tests.stored_packages import FIRST, Stored

ERROR, DEPRECATED = PackageStatus.ERROR, PackageStatus.DEPRECATED
INVISIBLE = (PackageStatus.HIDDEN, PackageStatus.PROCESSING, PackageStatus.PENDING_DESTRUCTION)


async def test_a_package_is_told_in_gitlabs_shape(bare_registry: Registry) -> None:
    project, (package_id, failed_id, old_id) = await open_project(
        bare_registry,
        Stored("Demo.App", "1.0", last_downloaded_at=FIRST + timedelta(hours=1)),
        Stored("broken", "1.0", ERROR, "its metadata names another package"),
        Stored("old", "1.0", DEPRECATED),
    )
    user, token = await bare_registry.add_user("keeper")
    await bare_registry.add_member(project, user, AccessLevel.MAINTAINER)
    first, failed, old = (await bare_registry.get(packages_of(project), token=None)).json
    assert first == {
        "id": package_id,
        "name": "Demo.App",
        "version": "1.0",
        "package_type": "pypi",
        "status": "default",
        "_links": {"web_path": f"/team/app/-/packages/{package_id}"},
        "created_at": AT,
        "last_downloaded_at": "2026-03-01T13:00:00.123Z",
        "tags": [],
    }
    assert failed == {
        "id": failed_id,
        "name": "broken",
        "version": "1.0",
        "package_type": "pypi",
        "status": "error",
        "status_message": "its metadata names another package",
        "_links": {},
        "created_at": "2026-03-01T12:00:01.123Z",
        "last_downloaded_at": None,
        "tags": [],
    }
    assert (old["status"], old["_links"]) == ("deprecated", {"web_path": f"/team/app/-/packages/{old_id}"})

    delete = f"{bare_registry.url}/api/v4/projects/{project.id}/packages/"
    shown = await bare_registry.get(f"{packages_of(project)}/{package_id}", token=token)
    links = {**first["_links"], "delete_api_path": f"{delete}{package_id}"}
    assert shown.json == {**first, "_links": links, "versions": []}
    as_keeper = (await bare_registry.get(packages_of(project), token=token)).json
    assert [one["_links"].get("delete_api_path") for one in as_keeper] == [
        f"{delete}{one}" for one in (package_id, failed_id, old_id)
    ]
    in_group = await bare_registry.get(group_packages_of(project), token=None)
    assert in_group.json == [
        {**one, "project_id": project.id, "project_path": "team/app"} for one in (first, failed, old)
    ]
    in_group = await bare_registry.get(group_packages_of(project), token=token)
    assert in_group.json == [{**one, "project_id": project.id, "project_path": "team/app"} for one in as_keeper]


async def test_a_group_says_where_to_delete_only_what_the_caller_may_delete(bare_registry: Registry) -> None:
    (own, _), (other, _) = [await open_project(bare_registry, Stored("demo"), path=path) for path in ("own", "other")]
    user, token = await bare_registry.add_user("keeper")
    await bare_registry.add_member(own, user, AccessLevel.MAINTAINER)
    await bare_registry.add_member(other, user, AccessLevel.DEVELOPER)
    listed = (await bare_registry.get(group_packages_of(own), token=token)).json
    assert {one["project_id"] for one in listed if "delete_api_path" in one["_links"]} == {own.id}
    listed = (await bare_registry.get(group_packages_of(own))).json
    assert {one["project_id"] for one in listed if "delete_api_path" in one["_links"]} == {own.id, other.id}


async def test_the_lists_are_filtered_and_sorted(bare_registry: Registry) -> None:
    stored = [
        Stored("b", "10.0", age_seconds=5),
        Stored("Requests_HTML", "9.0", age_seconds=9),
        Stored("requests", "1.0", age_seconds=5),
        Stored("b", "2.0", age_seconds=1),
        Stored("lost", "1.0", ERROR, age_seconds=10),
        Stored("old", "1.0", DEPRECATED, age_seconds=11),
        *(Stored("unseen", status, status, age_seconds=12) for status in INVISIBLE),
    ]
    project, _ = await open_project(bare_registry, *stored)
    everything = ["b 2.0", "b 10.0", "requests 1.0", "Requests_HTML 9.0", "lost 1.0", "old 1.0"]
    by_name = ["Requests_HTML 9.0", "b 10.0", "b 2.0", "lost 1.0", "old 1.0", "requests 1.0"]
    by_version = ["requests 1.0", "lost 1.0", "old 1.0", "b 10.0", "b 2.0", "Requests_HTML 9.0"]
    by_id = ["b 10.0", "Requests_HTML 9.0", "requests 1.0", "b 2.0", "lost 1.0", "old 1.0"]
    for query, expected in (
        ("", everything),
        ("?order_by=created_at&sort=desc", everything[::-1]),
        ("?order_by=name", by_name),
        ("?order_by=name&sort=desc", by_name[::-1]),
        ("?order_by=version&sort=asc", by_version),
        ("?order_by=version&sort=desc", by_version[::-1]),
        ("?order_by=type", by_id),
        ("?order_by=type&sort=desc", by_id[::-1]),
        ("?package_type=pypi", everything),
        *((f"?package_type={other}", []) for other in ("generic", "terraform_module", "npm", "ml_model", "cargo")),
        ("?package_name=REQUEST", ["requests 1.0", "Requests_HTML 9.0"]),
        ("?package_name=%20html%20%20quest%20", ["Requests_HTML 9.0"]),
        ("?package_name=%22html%22", ["Requests_HTML 9.0"]),
        ("?package_name=%22requests%20html%22", []),
        ("?package_name=s_h", ["Requests_HTML 9.0"]),
        ("?package_name=requests%25", []),
        ("?package_name=", everything),
        ("?package_name=%20%20", everything),
        ("?package_name=" + "x" * 6000, []),
        ("?package_version=1.0&package_name=re", ["requests 1.0"]),
        ("?package_version=1", []),
        ("?package_version=", everything),
        *((f"?include_versionless={word}", everything) for word in ("true", "True", "False", "1", "0", "")),
        ("?status=default", everything[:4]),
        ("?status=error", ["lost 1.0"]),
        ("?status=deprecated", ["old 1.0"]),
        *((f"?status={status}", [f"unseen {status}"]) for status in INVISIBLE),
        ("?status=default&package_version=2.0&order_by=name&package_type=pypi&unknown=ignored", ["b 2.0"]),
        ("?page=2&per_page=4", everything[4:]),
        ("?page=99", []),
        ("?page=0&per_page=-1", everything),
        ("?page=-3", everything),
        ("?page=99999999999999999999", []),
        ("?per_page=99999999999999999999", everything),
        ("?page=&per_page=", everything),
    ):
        for url in (packages_of(project), group_packages_of(project)):
            assert told(await bare_registry.get(f"{url}{query}", token=None)) == expected, (url, query)
    invisible = (await bare_registry.get(f"{packages_of(project)}?status=pending_destruction")).json
    assert [list(one["_links"]) for one in invisible] == [["delete_api_path"]]


async def test_bad_questions_are_refused_with_their_reasons(bare_registry: Registry) -> None:
    project, (package_id,) = await open_project(bare_registry, Stored())
    listing = (
        ("order_by=size", "order_by does not have a valid value"),
        ("order_by=", "order_by does not have a valid value"),
        ("order_by=NAME", "order_by does not have a valid value"),
        ("sort=up", "sort does not have a valid value"),
        ("sort=", "sort does not have a valid value"),
        ("status=gone", "status does not have a valid value"),
        ("status=", "status does not have a valid value"),
        ("package_type=wheel", "package_type does not have a valid value"),
        ("package_type=", "package_type does not have a valid value"),
        ("package_name=a%00b", "package_name is invalid"),
        ("package_name[]=a", "package_name is invalid"),
        ("package_name=" + "+".join(f"w{number}" for number in range(101)), "package_name is invalid"),
        ("package_version=%00", "package_version is invalid"),
        ("include_versionless=maybe", "include_versionless is invalid"),
        ("page=x", "page is invalid"),
        ("per_page=1.5", "per_page is invalid"),
        ("per_page=0", "per_page has a value not allowed"),
        ("page=999999999999999999999", "page is invalid"),
        (
            "status=x&page=y&order_by=z",
            "page is invalid, order_by does not have a valid value, status does not have a valid value",
        ),
    )
    own = (
        (packages_of(project), "order_by=project_path", "order_by does not have a valid value"),
        (group_packages_of(project), "exclude_subgroups=maybe", "exclude_subgroups is invalid"),
        *((packages_of(project), query, problem) for query, problem in listing),
        *((group_packages_of(project), query, problem) for query, problem in listing),
        (f"{packages_of(project)}/{package_id}/package_files", "order_by=size", "order_by does not have a valid value"),
        (f"{packages_of(project)}/{package_id}/package_files", "sort=", "sort does not have a valid value"),
        (f"{packages_of(project)}/{package_id}/package_files", "per_page=x", "per_page is invalid"),
    )
    for url, query, problem in own:
        answer = await bare_registry.get(f"{url}?{query}", token=None)
        assert (answer.status, answer.json) == (400, {"error": problem}), (url, query)


async def test_uploaded_packages_are_listed(registry: Registry) -> None:
    assert (await registry.upload(build_wheel("pkg", "1.0"))).status == 201
    url = f"/api/v4/projects/{registry.project_id}/packages"
    (package,) = (await registry.get(url)).json
    assert (package["name"], package["version"], package["status"]) == ("pkg", "1.0", "default")
    (file,) = (await registry.get(f"{url}/{package['id']}/package_files")).json
    assert file["file_name"] == "pkg-1.0-py3-none-any.whl"
    assert (await registry.get(f"{registry.pypi}/files/{file['file_sha256']}/{file['file_name']}")).status == 200
