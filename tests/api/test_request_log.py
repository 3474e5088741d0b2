"""What stands in the log of a request, and what never does."""

import random
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import pytest
import structlog

from services.api.handlers import health
from services.api.presenters import file_response
from tests.api.raw_http import connected, head, upload_target
from tests.api.registry import ROOT_TOKEN, Registry, sha256
from tests.distributions import build_wheel

Entry = MutableMapping[str, Any]


def finished(logs: list[Entry]) -> list[Entry]:
    return [entry for entry in logs if entry["event"] == "request.finished"]


async def test_each_request_is_one_line_with_ids_and_without_secrets(registry: Registry) -> None:
    with structlog.testing.capture_logs() as logs:
        wheel = build_wheel("pkg", "1.0")
        await registry.upload(wheel)
        page = await registry.get(
            f"/api/v4/projects/1/packages/pypi/simple/pkg/?private_token={ROOT_TOKEN}", token=None
        )
        await registry.get("/api/v4/nothing?job_token=secret")
    upload, read, missing = finished(logs)
    assert upload["method"] == "POST"
    assert upload["route"] == "/api/v4/projects/{project}/packages/pypi"
    assert (upload["status"], upload["principal"], upload["log_level"]) == (201, "user:1", "info")
    assert isinstance(upload["received_bytes"], int)
    assert upload["received_bytes"] > len(wheel)
    assert (read["status"], read["bytes"], read["principal"]) == (200, len(page.body), "user:1")
    assert isinstance(read["seconds"], float)
    assert (missing["status"], missing["route"], missing["principal"]) == (404, "/{anything*}", None)
    assert ROOT_TOKEN not in str(logs)
    assert "secret" not in str(logs)


async def test_a_fault_that_nobody_foresaw_is_told_by_its_id_only(
    bare_registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_down(*_: object) -> None:
        raise ZeroDivisionError("a secret detail")

    monkeypatch.setattr(health, "_told", break_down)
    with structlog.testing.capture_logs() as logs:
        answer = await bare_registry.get("/-/readiness")
    request_id = answer.headers["x-request-id"]
    assert (answer.status, answer.body.decode()) == (
        500,
        f'{{"message":"500 Internal Server Error","request_id":"{request_id}"}}',
    )
    [failed] = [entry for entry in logs if entry["event"] == "request.failed"]
    assert failed["exc_info"]
    assert (failed["log_level"], finished(logs)[0]["log_level"]) == ("error", "error")


@pytest.mark.embedded("a file on the disk is shorter than its row says")
async def test_an_answer_that_cannot_be_finished_is_cut_off_and_not_answered_twice(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # Larger than what is sent from memory.
    wheel = build_wheel("pkg", "1.0", extra_files={"pkg.dat": random.Random(7).randbytes(100_000)})
    await registry.upload(wheel)
    short = tmp_path / "short"
    short.write_bytes(b"short")
    monkeypatch.setattr(file_response, "_open", lambda *_: short.open("rb"))
    target = f"{upload_target(registry)}/files/{sha256(wheel)}/pkg-1.0-py3-none-any.whl"
    with structlog.testing.capture_logs() as logs:
        async with connected(registry) as connection:
            await connection.send(head("GET", target))
            received = await connection.reader.read()
    assert received.count(b"HTTP/1.1") == 1
    assert received.endswith(b"\r\n\r\nshort")
    events = [entry for entry in logs if str(entry["event"]).startswith("request.")]
    assert [entry["event"] for entry in events] == ["request.broken_off", "request.cut_off"]
    assert events[0]["exc_info"]
