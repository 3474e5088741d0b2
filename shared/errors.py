"""What can go wrong in the domain, as classes that carry fields and know no HTTP.

The one table that turns them into statuses and GitLab's wording is `services/api/middleware/errors.py`;
a test walks `LarderError.__subclasses__()` and fails on a class without a row.
"""


class LarderError(Exception):
    """Base of every error that a caller can react to."""


# --- who asks -------------------------------------------------------------------------------------------------------


class Unauthenticated(LarderError):
    """Nobody is signed in where somebody must be, or a credential that ends the request at once is unknown."""


class TokenExpired(LarderError):
    """The access token is known and past its expiry."""


class TokenRevoked(LarderError):
    """The access token is known and was revoked."""


class InsufficientScope(LarderError):
    """The access token is good, but none of its scopes covers this request.

    Args:
        accepted: the scopes of which one would have sufficed, in the order that GitLab names them.
    """

    def __init__(self, accepted: tuple[str, ...]) -> None:
        super().__init__(" ".join(accepted))
        self.accepted = accepted


class UserBlocked(LarderError):
    """The token's user may not sign in at the moment."""


class Forbidden(LarderError):
    """The caller is known and may see the target, but may not do this.

    Args:
        reason: a sentence for the caller, or None where GitLab says nothing more.
    """

    def __init__(self, reason: str | None = None) -> None:
        super().__init__(reason or "")
        self.reason = reason


class PackageDeleteProtected(LarderError):
    """The caller may delete packages, but a rule of the project protects this one."""


class Conflict(LarderError):
    """What was to be added is there already, told in a sentence and not per attribute.

    Args:
        reason: the sentence: "Email has already been taken".
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Refused(LarderError):
    """The request is well-formed, but the target is not in a state, or the caller not in a position, for it.

    Args:
        reason: why not: "Token already revoked".
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


# --- what is asked for ----------------------------------------------------------------------------------------------


class NotFound(LarderError):
    """The target does not exist, or the caller may not know that it does.

    Args:
        resource: the word that GitLab puts into the body ("Project", "Package"), or None for none.
    """

    def __init__(self, resource: str | None = None) -> None:
        super().__init__(resource or "")
        self.resource = resource


class RecordNotFound(LarderError):
    """The source is there, but has no such record; GitLab words this otherwise than `NotFound`."""


class PackageNotDetailed(LarderError):
    """The package is listed, but in a status in which nothing more is told of it."""


class BlobMissing(LarderError):
    """The store has no blob under this key.

    Args:
        key: the key that was asked for.
    """

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


class PreconditionFailed(LarderError):
    """The target was changed since the caller looked at it, and the caller wanted nothing done in that case."""


# --- what was sent --------------------------------------------------------------------------------------------------


class InvalidParameters(LarderError):
    """Parameters are missing or malformed, told as GitLab tells them: "name is missing".

    Args:
        problems: one sentence a parameter, in the order in which the parameters are declared; never empty.
    """

    def __init__(self, *problems: str) -> None:
        super().__init__(", ".join(problems))
        self.problems = problems


class InvalidForm(LarderError):
    """The body is not the multipart form that an upload must be, or one of its parts breaks a bound.

    Args:
        reason: what is wrong with it, for the person who sent it.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ValidationFailed(LarderError):
    """What was sent is well-formed, but a rule of the registry refuses it.

    Args:
        reason: the rule in words: "Name is invalid".
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class RecordInvalid(LarderError):
    """A record that was to be saved breaks rules, told per attribute.

    Args:
        messages: attribute -> sentences, as GitLab's models name them: {"path": ("has already been taken",)}.
    """

    def __init__(self, messages: dict[str, tuple[str, ...]]) -> None:
        super().__init__(str(messages))
        self.messages = messages


class ProtectionRuleInvalid(LarderError):
    """A protection rule would say what no rule may say, or there would be one too many.

    Args:
        problems: one sentence each; never empty.
    """

    def __init__(self, *problems: str) -> None:
        super().__init__(", ".join(problems))
        self.problems = problems


class DigestMissing(LarderError):
    """An upload does not say what its SHA-256 is, and in FIPS mode each must."""


class FileNameTaken(LarderError):
    """The package already has a file of this name with other bytes."""


class FileTooLarge(LarderError):
    """The file is larger than the limit.

    Args:
        limit_bytes: the largest size that is taken.
    """

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(str(limit_bytes))
        self.limit_bytes = limit_bytes


class QuotaExceeded(LarderError):
    """The files of the project would hold more than they may.

    Args:
        used_bytes: what they hold now.
        allowed_bytes: what they may hold.
    """

    def __init__(self, *, used_bytes: int, allowed_bytes: int) -> None:
        super().__init__(f"{used_bytes} of {allowed_bytes}")
        self.used_bytes = used_bytes
        self.allowed_bytes = allowed_bytes


class DistributionRejected(LarderError):
    """The archive is not a distribution that can be published.

    Args:
        reason: what is wrong with it, for the person who built it.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class UploadStalled(LarderError):
    """The client sent nothing for too long, or took longer than an upload may take."""


class UploadTooOld(LarderError):
    """The upload began so long ago that the orphan sweep may already look at its blob; it must be sent again."""


# --- what it stands on ----------------------------------------------------------------------------------------------


class StorageFull(LarderError):
    """The disk or the bucket takes no more bytes."""


class BlobStoreUnavailable(LarderError):
    """The blob store does not answer, or answers with a fault of its own."""


class MetadataUnavailable(LarderError):
    """The database does not answer in time."""


class MetadataDamaged(MetadataUnavailable):
    """The database is there, but what is in it cannot be read as one: damaged, or no database at all."""


class SchemaUnknown(LarderError):
    """The database holds a schema that this version of Larder does not know.

    Args:
        found: its revision, or None when the database is empty.
        expected: the revision of this version.
    """

    def __init__(self, found: str | None, expected: str) -> None:
        super().__init__(f"{found} instead of {expected}")
        self.found = found
        self.expected = expected


class OperatorError(LarderError):
    """Something that only whoever operates the registry can put right; no client ever hears of it.

    Args:
        problem: one line that says what, and what to do about it.
    """

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem


class DatabaseNotEmpty(LarderError):
    """Rows were to be put into a database that holds some already."""


class QueueUnavailable(LarderError):
    """Redis does not answer. Nothing is lost: the sweep enqueues again what was to be enqueued."""


class SettingsInvalid(LarderError):
    """A LARDER_* variable is unknown or holds a bad value.

    Args:
        problem: one line that names the variable and says what it takes.
    """

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem
