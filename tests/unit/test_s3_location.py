"""What LARDER_BLOB_URL says of S3."""

import pytest

from shared.backends import open_blobs
from shared.blobs.s3.location import S3Location, parse_s3_url
from shared.errors import SettingsInvalid
from shared.settings import read_settings


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("s3://packages", S3Location("packages", "", None, None, "auto")),
        ("s3://packages/", S3Location("packages", "", None, None, "auto")),
        ("s3://my.packages/a/b%2Dc/", S3Location("my.packages", "a/b-c/", None, None, "auto")),
        (
            "s3://packages/larder?endpoint_url=https://store.example:9000/&region=eu-1&addressing_style=path",
            S3Location("packages", "larder/", "https://store.example:9000", "eu-1", "path"),
        ),
    ],
)
def test_a_url_is_read(url: str, location: S3Location) -> None:
    assert parse_s3_url(url) == location


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("s3://key:secret@packages", "no credentials"),
        ("s3://Packages", "no name of a bucket"),
        ("s3://pa", "no name of a bucket"),
        ("s3://packages:9000", "no name of a bucket"),
        ("s3://packages/a//b", "prefix"),
        ("s3://packages/../b", "prefix"),
        ("s3://packages/a%2F..%2Fb", "prefix"),
        ("s3://packages/a b", "prefix"),
        ("s3://packages#a", "fragment"),
        ("s3://packages?aws_secret_access_key=secret", "each once"),
        ("s3://packages?region=a&region=b", "each once"),
        ("s3://packages?region=a/b", "region"),
        ("s3://packages?addressing_style=host", "auto, path, virtual"),
        ("s3://packages?endpoint_url=store.example", "endpoint_url"),
        ("s3://packages?endpoint_url=ftp://store.example", "endpoint_url"),
        ("s3://packages?endpoint_url=http://key:secret@store.example", "endpoint_url"),
        ("s3://packages?endpoint_url=http://store.example/path", "endpoint_url"),
        ("s3://packages?endpoint_url=http://store.example:99999", "endpoint_url"),
    ],
)
def test_another_url_stops_the_start_and_is_not_repeated(url: str, problem: str) -> None:
    with pytest.raises(SettingsInvalid, match=problem) as caught:
        open_blobs(read_settings({"LARDER_BLOB_URL": url}))

    assert str(caught.value).startswith("LARDER_BLOB_URL takes")
    assert "secret@" not in str(caught.value)
    assert "=secret" not in str(caught.value)
