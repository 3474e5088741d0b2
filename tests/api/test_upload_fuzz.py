"""Whatever is sent as a form: an answer below 500, and nothing left of what was not taken."""

import asyncio
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.api.raw_http import BOUNDARY, END, FORM_TYPE, connected, head, part, upload_target
from tests.api.registry import NOTHING, Registry
from tests.distributions import build_wheel
from tests.waiting import eventually

pytestmark = pytest.mark.slow

WHEEL = build_wheel("pkg", "1.0")
FIELDS = [
    part("name", b"pkg"),
    part("version", b"1.0"),
    part(":action", b"file_upload"),
    part("classifiers", b"Programming Language :: Python"),
    part("description", b"\r\n--boundary-of-the-test\r\n--" * 20),
]
CONTENT = part("content", WHEEL, file_name="pkg-1.0-py3-none-any.whl")

fuzzing = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
cuts = st.lists(st.floats(min_value=0, max_value=1), max_size=5)


async def _send_in_pieces(registry: Registry, body: bytes, places: list[float], *, declared: int) -> int:
    """Send a body in pieces, broken off where fewer bytes are sent than declared; return the status, 0 where
    nobody waits for one."""
    request = head("POST", upload_target(registry), Content_Type=FORM_TYPE, Content_Length=str(declared)) + body
    edges = [0, *sorted(int(place * len(request)) for place in places), len(request)]
    async with connected(registry) as connection:
        for start, end in pairwise(edges):
            await connection.send(request[start:end])
            await asyncio.sleep(0)
        if declared > len(body):
            return 0
        status, _ = await connection.answer()
        return status


@fuzzing
@given(order=st.permutations([*FIELDS, CONTENT]), places=cuts)
async def test_any_order_in_any_pieces_is_taken(registry: Registry, order: list[bytes], places: list[float]) -> None:
    body = b"".join(order) + END
    assert await _send_in_pieces(registry, body, places, declared=len(body)) == 201
    assert await registry.traces() == {"packages": 1, "package_files": 1, "blobs": 1}


@fuzzing
@given(order=st.permutations([*FIELDS, CONTENT]), kept=st.floats(min_value=0, max_value=0.999), places=cuts)
async def test_what_is_cut_off_is_never_taken(
    bare_registry: Registry, order: list[bytes], kept: float, places: list[float]
) -> None:
    body = b"".join(order) + END[:-2]
    sent = body[: int(kept * len(body))]
    assert await _send_in_pieces(bare_registry, sent, places, declared=len(sent)) == 400
    assert await _send_in_pieces(bare_registry, sent, places, declared=len(body)) == 0
    await eventually(lambda: _nothing_remains(bare_registry), what="nothing remains", timeout_seconds=60)


garbage = st.lists(
    st.binary(max_size=60)
    | st.sampled_from([*FIELDS, CONTENT[:200], END, b"\r\n\r\n", b"\r\n", f"--{BOUNDARY}".encode()])
    | st.builds(part, st.sampled_from(["name", "content", "a;b", 'q"']), st.binary(max_size=20)),
    max_size=8,
).map(b"".join)


@fuzzing
@given(body=garbage, places=cuts)
async def test_garbage_is_a_bad_request(bare_registry: Registry, body: bytes, places: list[float]) -> None:
    assert await _send_in_pieces(bare_registry, body, places, declared=len(body)) == 400
    assert await bare_registry.traces() == NOTHING


async def _nothing_remains(registry: Registry) -> bool:
    return await registry.traces() == NOTHING and registry.blobs_held_open() == 0
