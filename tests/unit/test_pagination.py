"""The pages of lists, as python-gitlab and other clients read them."""

import pytest
from aiohttp.test_utils import make_mocked_request
from aiohttp.web import Application, Request

from services.api.keys import SETTINGS
from services.api.pagination import page_headers, read_page_request
from shared.errors import InvalidParameters
from shared.pages import Page, PageRequest
from shared.settings import read_settings


def _request(query: str) -> Request:
    app = Application()
    app[SETTINGS] = read_settings({"LARDER_EXTERNAL_URL": "https://larder.example"})
    return make_mocked_request("GET", f"/api/v4/projects/a%2Fb/packages{query}", app=app)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", PageRequest(1, 20)),
        ("?page=3&per_page=50", PageRequest(3, 50)),
        ("?page=0&per_page=101", PageRequest(1, 100)),
        ("?page=-7&per_page=", PageRequest(1, 20)),
        ("?page=99999999999999999999", PageRequest(2**31, 20)),
        ("?page=1&page=2&per_page=5&per_page=6", PageRequest(2, 6)),
    ],
)
def test_a_page_is_read_from_the_query(query: str, expected: PageRequest) -> None:
    assert read_page_request(_request(query)) == expected


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("?page=x", "page is invalid"),
        ("?per_page=1.5", "per_page is invalid"),
        ("?page=x&per_page=y", "page is invalid, per_page is invalid"),
        ("?per_page=0", "per_page has a value not allowed"),
        ("?page=\u0661", "page is invalid"),
    ],
)
def test_a_page_that_is_no_number_is_refused(query: str, problem: str) -> None:
    with pytest.raises(InvalidParameters) as refusal:
        read_page_request(_request(query))
    assert ", ".join(refusal.value.problems) == problem


def test_a_page_in_the_middle_links_to_its_neighbours_and_to_both_ends() -> None:
    page = Page(entries=(1, 2), total=9, has_more=True)

    headers = page_headers(
        _request("?per_page=2&page=2&package_name=x%20y"),
        PageRequest(2, 2),
        page,
        parameters={"id": "a/b", "sort": "asc"},
    )

    def link(number: int, relation: str) -> str:
        query = f"id=a%2Fb&package_name=x+y&page={number}&per_page=2&sort=asc"
        return f'<https://larder.example/api/v4/projects/a%2Fb/packages?{query}>; rel="{relation}"'

    assert headers == {
        "X-Per-Page": "2",
        "X-Page": "2",
        "X-Next-Page": "3",
        "X-Prev-Page": "1",
        "X-Total": "9",
        "X-Total-Pages": "5",
        "Link": ", ".join([link(1, "prev"), link(3, "next"), link(1, "first"), link(5, "last")]),
    }


def test_an_empty_list_has_one_page() -> None:
    headers = page_headers(_request(""), PageRequest(1, 20), Page((), total=0, has_more=False), parameters={})

    assert (headers["X-Total-Pages"], headers["X-Next-Page"], headers["X-Prev-Page"]) == ("1", "", "")
    assert 'rel="last"' in headers["Link"]


def test_a_page_beyond_the_last_has_no_neighbours() -> None:
    headers = page_headers(_request("?page=99"), PageRequest(99, 20), Page((), total=2, has_more=False), parameters={})

    assert (headers["X-Page"], headers["X-Next-Page"], headers["X-Prev-Page"]) == ("99", "", "")
    assert 'rel="prev"' not in headers["Link"]


def test_a_list_too_long_to_count_has_neither_totals_nor_a_last_page() -> None:
    headers = page_headers(_request(""), PageRequest(1, 20), Page((), total=None, has_more=True), parameters={})

    assert "X-Total" not in headers
    assert "X-Total-Pages" not in headers
    assert 'rel="last"' not in headers["Link"]


def test_lists_that_were_sent_stand_in_the_links_as_they_were_sent() -> None:
    headers = page_headers(
        _request("?user_ids[]=4&user_ids[]=2&sort=desc"),
        PageRequest(1, 20),
        Page((), total=None, has_more=False),
        parameters={"sort": "asc"},
    )

    assert headers["Link"] == (
        "<https://larder.example/api/v4/projects/a%2Fb/packages"
        '?page=1&per_page=20&sort=desc&user_ids%5B%5D=4&user_ids%5B%5D=2>; rel="first"'
    )


@pytest.mark.parametrize("name", ["private_token", "access_token", "bearer_token", "job_token"])
def test_credentials_are_not_repeated_in_the_links(name: str) -> None:
    headers = page_headers(
        _request(f"?{name}=glpat-secret&search=x"), PageRequest(1, 20), Page((), total=21, has_more=True), parameters={}
    )

    assert "secret" not in headers["Link"]
    assert name not in headers["Link"]
    assert headers["Link"].count("search=x") == 3


def test_links_that_would_be_too_long_repeat_only_what_the_endpoint_knows() -> None:
    query = f"?sort=desc&page=2&per_page=2&noise={'x' * 2000}"
    page = Page(entries=(1, 2), total=9, has_more=True)

    headers = page_headers(_request(query), PageRequest(2, 2), page, parameters={"id": "a/b", "sort": "asc"})

    def link(number: int, relation: str) -> str:
        query = f"id=a%2Fb&page={number}&per_page=2&sort=desc"
        return f'<https://larder.example/api/v4/projects/a%2Fb/packages?{query}>; rel="{relation}"'

    assert headers["Link"] == ", ".join([link(1, "prev"), link(3, "next"), link(1, "first"), link(5, "last")])


def test_links_that_just_fit_repeat_everything() -> None:
    headers = page_headers(
        _request(f"?noise={'x' * 5000}"), PageRequest(1, 20), Page((), total=None, has_more=False), parameters={}
    )

    assert "noise=xxx" in headers["Link"]
