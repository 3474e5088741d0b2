"""The page that `larder serve` prints when the registry is ready: what a stranger can act on, without any secret."""

import ipaddress
import shlex
from pathlib import Path
from urllib.parse import quote, urlsplit

from services.standalone.first_start import FirstStart
from shared.settings import Settings

_PAGE = """
Larder is ready: {url}

  Simple index    {simple}
  Administrator   root, whose token is {place}
  Data directory  {data_dir}

Publish (in another terminal, beside the dist/ directory of your project):

  TWINE_USERNAME=root TWINE_PASSWORD="{token}" twine upload --repository-url {upload} dist/*

Install:

  pip install {trust}--index-url "{authorized}" your-package
  uv pip install --index-url "{authorized}" your-package

Stop with Ctrl-C.
"""


def ready_page(settings: Settings, first_start: FirstStart, *, url: str) -> str:
    """Return the page.

    Args:
        url: how clients reach the registry, without a trailing slash.
    """
    upload = f"{url}/api/v4/projects/{first_start.project_id}/packages/pypi"
    scheme, rest = f"{upload}/simple/".split("://", 1)
    return _PAGE.format(
        url=url,
        simple=f"{upload}/simple/",
        place=_token_place(first_start.token_file),
        data_dir=settings.data_dir,
        token=_token_in_shell(first_start.token_file),
        upload=shlex.quote(upload),
        trust=_trust(url),
        authorized=f"{scheme}://root:{_token_in_url(settings, first_start.token_file)}@{rest}",
    )


def _token_place(token_file: Path | None) -> str:
    return f"in {token_file}" if token_file else "the value of LARDER_ROOT_TOKEN"


def _token_in_shell(token_file: Path | None) -> str:
    """Return what a shell replaces by the token inside double quotes."""
    return f"$(cat {shlex.quote(str(token_file))})" if token_file else "$LARDER_ROOT_TOKEN"


def _token_in_url(settings: Settings, token_file: Path | None) -> str:
    """Return what a shell replaces by the token as it stands in a URL."""
    if token_file or not settings.root_token or quote(settings.root_token, safe="") == settings.root_token:
        return _token_in_shell(token_file)
    program = "import os, urllib.parse; print(urllib.parse.quote(os.environ['LARDER_ROOT_TOKEN'], safe=''))"
    return f"$(python3 -c {shlex.quote(program)})"


def _trust(url: str) -> str:
    """Return the option without which pip ignores an index that is neither on this machine nor behind TLS."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme == "https" or host == "localhost":
        return ""
    try:
        if ipaddress.ip_address(host).is_loopback:
            return ""
    except ValueError:
        pass
    return f"--trusted-host {shlex.quote(parts.netloc)} "
