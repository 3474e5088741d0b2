"""Attestations (PEP 740): taken with an upload, announced on both forms of the pages, and served beside their files."""

import json
from typing import Any

import pytest

from shared.models import Visibility
from tests.api.raw_http import END, part, post_form
from tests.api.registry import NOTHING, SIMPLE_JSON, Registry, sha256
from tests.api.tenants import add_group, add_project
from tests.attestations import PUBLISH, SLSA, attestation, encoded, statement
from tests.conformance.reader import HtmlPage
from tests.distributions import build_sdist, build_wheel

pytestmark = pytest.mark.slow

WHEEL = build_wheel("pkg", "1.0")
NAME = "pkg-1.0-py3-none-any.whl"
SDIST = build_sdist("pkg", "1.0")
SDIST_NAME = "pkg-1.0.tar.gz"
CREATED = (201, b'{"message":"201 Created"}')
NO_PACKAGE = (404, b'{"message":"404 Package Not Found"}')
TYPE = "application/vnd.pypi.integrity.v1+json"
GOOD = attestation(statement(NAME, sha256(WHEEL)), extra="ä & <b>")
OF_ANOTHER = attestation(statement(NAME, sha256(SDIST)))


def sent(*attestations: Any) -> str:
    """Return the field as uploaders send it."""
    return json.dumps(attestations)


def provenance_of(*attestations: Any) -> bytes:
    """Return the one body that a file with these attestations has beside it."""
    inner = json.dumps(attestations, ensure_ascii=False, separators=(",", ":"))
    bundle = f'{{"publisher":{{"kind":"Larder","claims":null}},"attestations":{inner}}}'
    return f'{{"version":1,"attestation_bundles":[{bundle}]}}'.encode()


async def announced(registry: Registry, pypi: str, *, token: str | None = None) -> dict[str, str | None]:
    """Return file name -> URL of its provenance, if any, which both forms of the page of `pkg` tell alike."""
    identity = {} if token is None else {"token": token}
    in_json = await registry.get(f"{pypi}/simple/pkg/", Accept=SIMPLE_JSON, **identity)
    told = {file["filename"]: file.get("provenance") for file in in_json.json["files"]}
    assert all(url is None or url.startswith("http://") for url in told.values())
    html = HtmlPage()
    html.feed((await registry.get(f"{pypi}/simple/pkg/", **identity)).body.decode())
    html.close()
    assert {anchor.text: anchor.attributes.get("data-provenance") for anchor in html.anchors} == told
    return told


async def stored(registry: Registry) -> list[tuple[Any, Any]]:
    """Return the attestations and the form of each file, the oldest first."""
    rows = await registry.rows("SELECT attestations, form FROM package_file_metadata ORDER BY file_id")
    return [(attestations, json.loads(form)) for attestations, form in rows]


async def test_what_was_attested_is_announced_and_served_as_it_was_sent(registry: Registry) -> None:
    slsa = attestation(statement(NAME, sha256(WHEEL), predicate_type=SLSA))
    answer = await registry.upload(WHEEL, attestations=sent(GOOD, slsa))
    assert (answer.status, answer.body) == CREATED
    answer = await registry.upload(SDIST, file_name=SDIST_NAME)
    assert (answer.status, answer.body) == CREATED

    url = f"{registry.pypi}/files/{sha256(WHEEL)}/{NAME}.provenance"
    assert await announced(registry, registry.pypi) == {NAME: url, SDIST_NAME: None}
    for place in (url, f"{registry.pypi_of('root/packages')}/files/{sha256(WHEEL)}/{NAME}.provenance", f"{url}/"):
        answer = await registry.get(place)
        assert (answer.status, answer.body) == (200, provenance_of(GOOD, slsa))
    expected = {
        "content-type": TYPE,
        "content-length": str(len(answer.body)),
        "etag": f'"{sha256(answer.body)}"',
        "cache-control": "private, no-cache",
    }
    assert {name: answer.headers.get(name) for name in expected} == expected
    assert "content-disposition" not in answer.headers

    asked = await registry.ask("HEAD", url, Accept_Encoding="identity")
    assert (asked.status, asked.body) == (200, b"")
    varying = {"date", "x-request-id"}
    assert {k: v for k, v in asked.headers.items() if k not in varying} == {
        k: v for k, v in answer.headers.items() if k not in varying
    }
    again = await registry.get(url, If_None_Match=answer.headers["etag"])
    assert (again.status, again.body) == (304, b"")

    for method in ("GET", "HEAD"):
        for missing in (f"{sha256(SDIST)}/{SDIST_NAME}", f"{sha256(SDIST)}/{NAME}", f"{sha256(WHEEL)}/x.whl"):
            answer = await registry.ask(method, f"{registry.pypi}/files/{missing}.provenance")
            assert (answer.status, answer.body or NO_PACKAGE[1]) == NO_PACKAGE
    assert await stored(registry) == [
        (
            json.dumps([GOOD, slsa], ensure_ascii=False, separators=(",", ":")).encode(),
            {"name": ["pkg"], "version": ["1.0"]},
        ),
        (None, {"name": ["pkg"], "version": ["1.0"]}),
    ]


async def test_the_exact_lines_of_both_pages(registry: Registry) -> None:
    assert (await registry.upload(WHEEL, attestations=sent(GOOD))).status == 201
    url = f"{registry.pypi}/files/{sha256(WHEEL)}/{NAME}"
    in_html = (await registry.get(f"{registry.pypi}/simple/pkg/")).body.decode()
    (line,) = (line for line in in_html.splitlines() if "<a " in line)
    assert line.startswith(f'    <a href="{url}#sha256={sha256(WHEEL)}" data-requires-python="" data-core-metadata="')
    assert line.endswith(f' data-provenance="{url}.provenance">{NAME}</a><br>')
    (file,) = (await registry.page("pkg"))["files"]
    assert list(file)[-1] == "provenance"
    assert file["provenance"] == f"{url}.provenance"


@pytest.mark.parametrize("field", ["", " \n", "[]", " [ ] "], ids=["empty", "blank", "none", "spaced"])
async def test_no_attestations_are_none(registry: Registry, field: str) -> None:
    answer = await registry.upload(WHEEL, attestations=field)
    assert (answer.status, answer.body) == CREATED
    assert await announced(registry, registry.pypi) == {NAME: None}
    answer = await registry.get(f"{registry.pypi}/files/{sha256(WHEEL)}/{NAME}.provenance")
    assert (answer.status, answer.body) == NO_PACKAGE
    assert await stored(registry) == [(None, {"name": ["pkg"], "version": ["1.0"]})]


REFUSED = [
    ("no json", "attestations are no JSON"),
    ("{}", "attestations are no JSON array"),
    ("null", "attestations are no JSON array"),
    (sent(*[GOOD] * 9), "attestations are more than 8"),
    (f"[{' ' * 512 * 1024}]", "attestations are larger than 512 KiB"),
    (sent(GOOD, GOOD), "attestations hold two of the same predicate type"),
    (f'[{json.dumps(GOOD)[:-1]},"more":NaN}}]', "attestations are no JSON"),
    (sent(GOOD | {"version": 2}), "an attestation's version is not 1"),
    (sent(GOOD | {"envelope": None}), "an attestation's envelope is missing or malformed"),
    (
        sent(attestation([], envelope={"statement": "!", "signature": encoded(b"s")})),
        "an attestation's statement is not in base64",
    ),
    (sent(attestation(statement("pkg-2.0-py3-none-any.whl", sha256(WHEEL)))), f"an attestation is not about {NAME}"),
    (sent(OF_ANOTHER), "an attestation's digest does not match the uploaded file"),
    (sent(GOOD, OF_ANOTHER), "an attestation's digest does not match the uploaded file"),
    (
        sent(attestation(statement(NAME, sha256(WHEEL), predicate_type=f"{PUBLISH}0"))),
        "an attestation's predicate type is not known",
    ),
]


async def test_what_is_malformed_or_about_another_file_is_refused_and_leaves_no_trace(bare_registry: Registry) -> None:
    for field, reason in REFUSED:
        answer = await bare_registry.upload(WHEEL, attestations=field)
        assert (answer.status, answer.json) == (
            400,
            {"message": f"400 Bad request - Validation failed: {reason}"},
        ), field[:80]
        assert await bare_registry.traces() == NOTHING
    assert bare_registry.blobs_held_open() == 0
    # Nor does a name that was never accepted stay.
    assert await stored(bare_registry) == []


async def test_the_field_may_be_there_once(bare_registry: Registry) -> None:
    field = part("attestations", sent(GOOD).encode())
    form = part("name", b"pkg") + part("version", b"1.0") + field + field + part("content", WHEEL, file_name=NAME)
    assert await post_form(bare_registry, form + END) == (400, b'{"error":"attestations is invalid"}')
    assert await bare_registry.traces() == NOTHING


async def test_the_same_bytes_again_keep_what_was_attested_first(registry: Registry) -> None:
    assert (await registry.upload(WHEEL, attestations=sent(GOOD))).status == 201
    page = await registry.page("pkg")
    url = f"{registry.pypi}/files/{sha256(WHEEL)}/{NAME}.provenance"
    for field in ("", sent(attestation(statement(NAME, sha256(WHEEL), predicate_type=SLSA)))):
        answer = await registry.upload(WHEEL, attestations=field)
        assert (answer.status, answer.body) == CREATED
        assert (await registry.get(url)).body == provenance_of(GOOD)
        assert await registry.page("pkg") == page
    answer = await registry.upload(WHEEL, attestations=sent(OF_ANOTHER))
    assert answer.status == 400
    assert await registry.traces() == {"packages": 1, "package_files": 1, "blobs": 1}


async def test_who_may_not_read_the_files_learns_nothing_of_what_was_attested(registry: Registry) -> None:
    group = await add_group(registry, "team", visibility=Visibility.PUBLIC)
    shown = await add_project(registry, group, "shown", visibility=Visibility.PUBLIC)
    hidden = await add_project(registry, group, "hidden")
    other = build_wheel("pkg", "2.0")
    other_name = "pkg-2.0-py3-none-any.whl"
    of_other = attestation(statement(other_name, sha256(other)))
    assert (await registry.upload(WHEEL, to=shown.id, attestations=sent(GOOD))).status == 201
    answer = await registry.upload(
        other, to=hidden.id, file_name=other_name, version="2.0", attestations=sent(of_other)
    )
    assert answer.status == 201
    _, stranger = await registry.add_user("stranger")
    place, other_place = f"files/{sha256(WHEEL)}/{NAME}.provenance", f"files/{sha256(other)}/{other_name}.provenance"
    of_group = f"{registry.url}/api/v4/groups/{group.id}/-/packages/pypi"

    assert await announced(registry, of_group) == {NAME: f"{of_group}/{place}", other_name: f"{of_group}/{other_place}"}
    for url, body in ((f"{of_group}/{place}", GOOD), (f"{of_group}/{other_place}", of_other)):
        answer = await registry.get(url)
        assert (answer.status, answer.body, answer.headers["content-type"]) == (200, provenance_of(body), TYPE)
    answer = await registry.get(f"{registry.pypi_of(shown.id)}/{place}", token=None)
    assert (answer.status, answer.headers["cache-control"]) == (200, "no-cache")

    assert await announced(registry, of_group, token=stranger) == {NAME: f"{of_group}/{place}"}
    assert (await registry.get(f"{of_group}/{place}", token=stranger)).body == provenance_of(GOOD)
    for root in (of_group, registry.pypi_of(hidden.id)):
        for method in ("GET", "HEAD"):
            denied = await registry.ask(method, f"{root}/{other_place}", token=stranger)
            missing = await registry.ask(method, f"{root}/files/{'0' * 64}/{other_name}.provenance", token=stranger)
            assert (denied.status, denied.body) == (missing.status, missing.body)
            assert denied.status == 404


async def test_what_is_not_offered_has_no_provenance(registry: Registry) -> None:
    assert (await registry.upload(WHEEL, attestations=sent(GOOD))).status == 201
    url = f"{registry.pypi}/files/{sha256(WHEEL)}/{NAME}.provenance"
    status = f"{registry.pypi}/names/pkg/status"
    for word, expected in (("quarantined", 404), ("archived", 200), ("active", 200)):
        said = json.dumps({"status": word}).encode()
        assert (await registry.ask("PUT", status, data=said, Content_Type="application/json")).status == 200
        assert (await registry.get(url)).status == expected
        assert await announced(registry, registry.pypi) == ({NAME: url} if expected == 200 else {})

    packages = f"/api/v4/projects/{registry.project_id}/packages"
    (package,) = (await registry.get(packages)).json
    assert (await registry.ask("DELETE", f"{packages}/{package['id']}")).status == 204
    answer = await registry.get(url)
    assert (answer.status, answer.body) == NO_PACKAGE


class TestWithTheChecksOff:
    """Anything may be uploaded under any name; what is attested of it is looked at all the same."""

    @pytest.fixture
    def environment(self) -> dict[str, str]:
        return {"LARDER_UPLOAD_CHECKS": "off"}

    async def test_attestations_are_checked_all_the_same(self, registry: Registry) -> None:
        answer = await registry.upload(WHEEL, file_name="any.bin", attestations=sent(GOOD))
        assert (answer.status, answer.json) == (
            400,
            {"message": "400 Bad request - Validation failed: an attestation is not about any.bin"},
        )
        assert await registry.traces() == NOTHING
        good = attestation(statement("any.bin", sha256(WHEEL)))
        assert (await registry.upload(WHEEL, file_name="any.bin", attestations=sent(good))).status == 201
        url = f"{registry.pypi}/files/{sha256(WHEEL)}/any.bin.provenance"
        assert (await registry.get(url)).body == provenance_of(good)

    async def test_a_file_that_is_called_so_itself_still_downloads(self, registry: Registry) -> None:
        assert (await registry.upload(b"mine", file_name="any.bin.provenance")).status == 201
        url = f"{registry.pypi}/files/{sha256(b'mine')}/any.bin.provenance"
        answer = await registry.get(url)
        assert (answer.status, answer.body) == (200, b"mine")
        assert answer.headers["content-type"] == "application/octet-stream"
