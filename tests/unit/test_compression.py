import asyncio
import gzip
import sys

import pytest

from services.api.presenters import text_response
from services.api.presenters.compression import Coding, choose_coding, encode
from services.api.presenters.text_response import RenderedPage

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PAGE = b"<a href='x'>x</a>\n" * 100


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ([], Coding.IDENTITY),
        ([""], Coding.IDENTITY),
        (["gzip, deflate"], Coding.GZIP),
        (["gzip, deflate, zstd"], Coding.ZSTD),
        (["gzip", "zstd"], Coding.ZSTD),
        (["GZIP"], Coding.GZIP),
        (["x-gzip"], Coding.GZIP),
        (["zstd;q=0.5, gzip"], Coding.GZIP),
        (["zstd;q=0, gzip;q=0.1"], Coding.GZIP),
        (["gzip;q=0"], Coding.IDENTITY),
        (["*"], Coding.ZSTD),
        (["*;q=0"], Coding.IDENTITY),
        (["zstd;q=0, *"], Coding.GZIP),
        (["identity"], Coding.IDENTITY),
        (["identity, gzip;q=0.5"], Coding.IDENTITY),
        (["identity;q=0.5, gzip"], Coding.GZIP),
        (["br, deflate"], Coding.IDENTITY),
        (["gzip;q=2, zstd;q=nan"], Coding.IDENTITY),
        ([",,;q=1,gzip;;"], Coding.GZIP),
    ],
)
def test_the_coding_that_suits_the_client_best_is_chosen(accepted: list[str], coding: Coding) -> None:
    assert choose_coding(accepted, size_bytes=len(PAGE)) is coding


def test_what_is_short_is_not_encoded() -> None:
    assert choose_coding(["gzip"], size_bytes=100) is Coding.IDENTITY


@pytest.mark.parametrize("times", [1, 1000])
def test_what_is_encoded_can_be_decoded_and_is_the_same_each_time(times: int) -> None:
    body = PAGE * times
    encoded = {coding: asyncio.run(encode(body, coding)) for coding in Coding}
    assert encoded == {coding: asyncio.run(encode(body, coding)) for coding in Coding}
    assert encoded[Coding.IDENTITY] == gzip.decompress(encoded[Coding.GZIP]) == zstd.decompress(encoded[Coding.ZSTD])
    assert body == encoded[Coding.IDENTITY]


async def test_those_who_want_a_page_in_a_coding_at_once_have_it_encoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded = []

    async def noted(body: bytes, coding: Coding) -> bytes:
        encoded.append(coding)
        return await encode(body, coding)

    monkeypatch.setattr(text_response, "encode", noted)
    page = RenderedPage.of(PAGE * 200)
    waiting = [asyncio.create_task(page.in_coding(Coding.GZIP)) for _ in range(5)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    others = await asyncio.gather(*waiting[1:])
    assert [gzip.decompress(one) for one in others] == [page.body] * 4
    assert await page.in_coding(Coding.GZIP) is others[0]
    assert encoded == [Coding.GZIP]
