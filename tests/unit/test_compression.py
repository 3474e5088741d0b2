import asyncio
import gzip
import sys

import pytest

from services.api.presenters.compression import Coding, choose_coding, encode

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
