"""What can go wrong between HTTP and the domain: requests that no use case ever sees.

They are rows of the one table in `middleware/errors.py`, like the errors of the domain.
"""

from shared.errors import LarderError


class UnknownRoute(LarderError):
    """No resource has this URL."""


class ApiVersionGone(LarderError):
    """The URL is one of API version 3."""


class MethodNotAllowed(LarderError):
    """The resource has no such method.

    Args:
        allowed: the methods that it has, sorted.
    """

    def __init__(self, allowed: tuple[str, ...]) -> None:
        super().__init__(", ".join(allowed))
        self.allowed = allowed


class NotAcceptable(LarderError):
    """The client takes none of the representations that there are.

    Args:
        offered: their media types.
    """

    def __init__(self, offered: tuple[str, ...]) -> None:
        super().__init__(", ".join(offered))
        self.offered = offered


class KeysetUnavailable(LarderError):
    """The list can be followed by a cursor in one order only, and another one is wanted."""


class FramingUnclear(LarderError):
    """Where this request ends, others may see otherwise: nothing behind it on its connection is looked at.

    Args:
        status: 400 for what contradicts itself, 501 for a transfer coding and 505 for a version not spoken here.
    """

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class ExpectationFailed(LarderError):
    """The client expects something else than `100-continue`."""


class UnsupportedMediaType(LarderError):
    """The body is of a type that this resource does not read.

    Args:
        content_type: what the client says it is; may be empty.
    """

    def __init__(self, content_type: str) -> None:
        super().__init__(content_type)
        self.content_type = content_type


class MalformedBody(LarderError):
    """The body is not what its Content-Type says."""


class BodyTooLarge(LarderError):
    """A body that is no upload is larger than such bodies may be."""


class TooManyFailures(LarderError):
    """The client has brought too many wrong secrets, and is not asked for any more for now.

    Args:
        seconds: how long that lasts; more than 0.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(f"{seconds:g}")
        self.seconds = seconds


class TooManyUploads(LarderError):
    """The caller has as many uploads under way as anybody may have.

    Args:
        most: how many that are.
    """

    def __init__(self, most: int) -> None:
        super().__init__(str(most))
        self.most = most


class GroupInvalid(LarderError):
    """A group that was to be saved breaks rules; GitLab tells this in one sentence, other records as an object.

    Args:
        messages: attribute -> sentences.
    """

    def __init__(self, messages: dict[str, tuple[str, ...]]) -> None:
        super().__init__(str(messages))
        self.messages = messages


class DeployTokenInvalid(LarderError):
    """A deploy token that was to be saved breaks rules; GitLab tells all of them in one sentence.

    Args:
        messages: attribute -> sentences.
    """

    def __init__(self, messages: dict[str, tuple[str, ...]]) -> None:
        super().__init__(str(messages))
        self.messages = messages
