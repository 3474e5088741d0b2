"""Read a simple index as its clients do: the requests, and both forms of its pages, without the server's help."""

import base64
import http.client
import json
from dataclasses import dataclass, field
from functools import cached_property
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urldefrag, urljoin, urlsplit

JSON = "application/vnd.pypi.simple.v1+json"
HTML = "application/vnd.pypi.simple.v1+html"
TEXT_HTML = "text/html"
_MOST_REDIRECTS = 5
_TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True)
class Answer:
    """All of a response.

    Args:
        url: where it came from, after redirects.
        headers: lower-case names.
    """

    url: str
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def media_type(self) -> str:
        """Return the content type without its parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @cached_property
    def json(self) -> Any:
        """Return the body as JSON."""
        return json.loads(self.body)

    @cached_property
    def page(self) -> "HtmlPage":
        """Return the body as HTML."""
        page = HtmlPage()
        page.feed(self.body.decode())
        page.close()
        return page

    @property
    def files(self) -> list["Anchor"]:
        """Return the anchors with their URLs made absolute."""
        return [Anchor(anchor.text, anchor.attributes, base=self.url) for anchor in self.page.anchors]


@dataclass(frozen=True)
class Anchor:
    """A link of a page."""

    text: str
    attributes: dict[str, str | None]
    base: str = ""

    @property
    def url(self) -> str:
        """Return the absolute URL, with its fragment."""
        return urljoin(self.base, self.attributes.get("href") or "")

    @property
    def target(self) -> str:
        """Return the absolute URL without its fragment."""
        return urldefrag(self.url).url

    @property
    def digest(self) -> str:
        """Return the fragment."""
        return urldefrag(self.url).fragment


class HtmlPage(HTMLParser):
    """The parts of a page that the standards speak of."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.declaration = ""
        self.metas: list[dict[str, str | None]] = []
        self.anchors: list[Anchor] = []
        self._open: dict[str, str | None] | None = None
        self._text: list[str] = []

    def handle_decl(self, decl: str) -> None:
        self.declaration = decl

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "meta":
            self.metas.append(dict(attrs))
        if tag == "a":
            self._open, self._text = dict(attrs), []

    def handle_data(self, data: str) -> None:
        self._text.append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag == "a" and self._open is not None:
            self.anchors.append(Anchor("".join(self._text).strip(), self._open))
            self._open = None


@dataclass
class Index:
    """A simple index at a URL.

    Args:
        url: the root page's, with a slash at its end.
        project: the normalized name to look at closely.
        credentials: user name and password, or None.
    """

    url: str
    project: str
    credentials: tuple[str, str] | None = None
    _kept: dict[tuple[str, str], Answer] = field(default_factory=dict)

    def root(self, accept: str = TEXT_HTML) -> Answer:
        """Return the root page."""
        return self.kept(self.url, accept)

    def page(self, accept: str = TEXT_HTML) -> Answer:
        """Return the project's page."""
        return self.kept(self.page_url, accept)

    @property
    def page_url(self) -> str:
        """Return the URL of the project's page."""
        return f"{self.url}{self.project}/"

    def kept(self, url: str, accept: str) -> Answer:
        """Return what the URL gives; asked for once."""
        if (url, accept) not in self._kept:
            self._kept[url, accept] = self.get(url, Accept=accept)
        return self._kept[url, accept]

    def get(self, url: str, method: str = "GET", /, **headers: str) -> Answer:
        """Ask, and follow redirects as clients do: with the same headers."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        for _ in range(_MOST_REDIRECTS):
            answer = self._ask(method, urldefrag(url).url, sent)
            if answer.status not in (301, 302, 303, 307, 308):
                return answer
            url = urljoin(url, answer.headers["location"])
        raise AssertionError(f"more than {_MOST_REDIRECTS} redirects at {url}")

    def ask_once(self, url: str, method: str = "GET", /, **headers: str) -> Answer:
        """Ask, and follow nothing."""
        return self._ask(method, url, {name.replace("_", "-"): value for name, value in headers.items()})

    def _ask(self, method: str, url: str, headers: dict[str, str]) -> Answer:
        parts = urlsplit(url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(parts.netloc, timeout=_TIMEOUT_SECONDS)
        if self.credentials and parts.netloc == urlsplit(self.url).netloc:
            pair = base64.b64encode(":".join(self.credentials).encode()).decode()
            headers = {"Authorization": f"Basic {pair}", **headers}
        try:
            path = parts.path + (f"?{parts.query}" if parts.query else "")
            connection.request(method, path, headers=headers)
            response = connection.getresponse()
            told = {name.lower(): value for name, value in response.getheaders()}
            return Answer(url, response.status, told, response.read())
        finally:
            connection.close()
