from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.api.content_disposition import FormData, attachment, parse_form_data
from shared.errors import InvalidForm


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (b'form-data; name="name"', FormData("name", None)),
        (b"form-data; name=name", FormData("name", None)),
        (b'FORM-DATA;NAME="name" ; FileName=""', FormData("name", "")),
        (b'form-data; name="content"; filename="a-1.tar.gz"', FormData("content", "a-1.tar.gz")),
        (b'form-data; name="content"; filename="a; b=\\"c\\".whl"', FormData("content", 'a; b="c".whl')),
        (b'form-data; name="content"; filename="C:\\dist\\a.whl"', FormData("content", "C:\\dist\\a.whl")),
        (b'form-data; name="content"; filename="%22.whl"', FormData("content", "%22.whl")),
        ('form-data; name="content"; filename="p\u00e4.whl"'.encode(), FormData("content", "p\u00e4.whl")),
        (b"form-data; name=content; filename=x; filename*=UTF-8''p%C3%A4.whl", FormData("content", "p\u00e4.whl")),
        (b"form-data; name=content; filename*=iso-8859-1'en'p%E4.whl", FormData("content", "p\u00e4.whl")),
        (b'form-data; name="content"; filename="a";', FormData("content", "a")),
    ],
)
def test_names_are_read_as_clients_write_them(header: bytes, expected: FormData) -> None:
    assert parse_form_data(header) == expected


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"form-data",
        b'form-data; name=""',
        b'attachment; name="a"',
        b'form-data; filename="a"',
        b'form-data; name="a"; name="b"',
        b'form-data; name="a" b',
        b'form-data; name="a',
        b'form-data; name="\xff"',
        b'form-data; name="a\x00"',
        b'form-data; name="' + b"a" * 256 + b'"',
        b"form-data; name=a; filename*=utf-8''%ff",
        b"form-data; name=a; filename*=utf-8''%zz",
        b"form-data; name=a; filename*=ebcdic''a",
        b"form-data; name=a; filename*=a",
        b"form-data; name=a; filename*=utf-8''%0a",
    ],
)
def test_a_header_without_one_clear_name_is_refused(header: bytes) -> None:
    with pytest.raises(InvalidForm):
        parse_form_data(header)


@given(header=st.binary(max_size=60).map(lambda rest: b"form-data; name=" + rest))
def test_any_bytes_are_a_name_or_an_invalid_form(header: bytes) -> None:
    with suppress(InvalidForm):
        assert parse_form_data(header).name


def test_a_download_is_named_twice_so_that_every_client_reads_one() -> None:
    assert attachment("a-1!1.0+b.whl") == "attachment; filename=\"a-1!1.0+b.whl\"; filename*=UTF-8''a-1!1.0+b.whl"
    assert attachment("a-1.0.tar.gz") == "attachment; filename=\"a-1.0.tar.gz\"; filename*=UTF-8''a-1.0.tar.gz"
    assert attachment('p\u00e4"\n.whl') == "attachment; filename=\"p___.whl\"; filename*=UTF-8''p%C3%A4%22%0A.whl"
