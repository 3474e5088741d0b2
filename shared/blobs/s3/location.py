"""Where an S3 store is, as `LARDER_BLOB_URL` says it."""

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlsplit

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PREFIX_SEGMENT = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9!_.*'()-]{1,200}")
_REGION = re.compile(r"[A-Za-z0-9-]{1,40}")
_STYLES = ("auto", "path", "virtual")


@dataclass(frozen=True, slots=True)
class S3Location:
    """A bucket, and a place in it. No credentials: those come from where AWS's own tools take them.

    Args:
        prefix: what stands before each key: empty, or with a slash at its end.
        endpoint_url: None: AWS itself.
        region: None: what the environment says.
        addressing_style: whether the bucket stands in the path or in the host name.
    """

    bucket: str
    prefix: str
    endpoint_url: str | None
    region: str | None
    addressing_style: str


def parse_s3_url(url: str) -> S3Location:
    """Return what `s3://bucket/prefix?endpoint_url=...&region=...&addressing_style=...` says.

    Raises:
        ValueError: it says something else; the message goes on from the name of the setting and repeats nothing of it.
    """
    parts = urlsplit(url)
    if "@" in parts.netloc:
        raise ValueError("takes no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment")
    if not _BUCKET.fullmatch(parts.netloc):
        raise ValueError("takes s3://bucket/prefix, and what stands there is no name of a bucket")
    prefix = unquote(parts.path).strip("/")
    if prefix and not all(_PREFIX_SEGMENT.fullmatch(segment) for segment in prefix.split("/")):
        raise ValueError("takes a prefix of letters, digits and !_.*'()- between slashes")
    options: dict[str, str] = {}
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name not in ("endpoint_url", "region", "addressing_style") or name in options:
            raise ValueError("takes endpoint_url, region and addressing_style behind the question mark, each once")
        options[name] = value
    if parts.fragment:
        raise ValueError("takes no fragment")
    style = options.get("addressing_style", "auto")
    if style not in _STYLES:
        raise ValueError("takes an addressing_style out of: " + ", ".join(_STYLES))
    region = options.get("region")
    if region is not None and not _REGION.fullmatch(region):
        raise ValueError("takes a region like eu-central-1")
    return S3Location(
        bucket=parts.netloc,
        prefix=f"{prefix}/" if prefix else "",
        endpoint_url=_endpoint(options.get("endpoint_url")),
        region=region,
        addressing_style=style,
    )


def _endpoint(url: str | None) -> str | None:
    if url is None:
        return None
    problem = "takes an endpoint_url like https://host:port, without credentials, path or query"
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ValueError(problem) from None
    is_plain = parts.path in ("", "/") and not parts.query and not parts.fragment and "@" not in parts.netloc
    if parts.scheme not in ("http", "https") or not parts.hostname or not is_plain:
        raise ValueError(problem)
    return url.rstrip("/")
