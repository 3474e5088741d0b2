"""What a request brought to prove who it is, before anybody has looked at it. No secret shows in a repr."""

import hashlib
from dataclasses import dataclass, field
from enum import Enum, auto


@dataclass(frozen=True, slots=True)
class BasicPair:
    """The two halves of an `Authorization: Basic` header."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Credentials:
    """Every secret that came along, by the place where it stood; None where nothing stood.

    Args:
        private_token: `private_token` parameter, else `PRIVATE-TOKEN` header.
        bearer: `Authorization: Bearer`, else `access_token` or `bearer_token` parameter.
        deploy_token: `Deploy-Token` header.
        sudo: `sudo` parameter, else `Sudo` header: as whom an administrator wants to act, by number or name.
        job_token: `job_token` or `token` parameter, else `JOB-TOKEN` header.
    """

    basic: BasicPair | None = None
    private_token: str | None = field(default=None, repr=False)
    bearer: str | None = field(default=None, repr=False)
    deploy_token: str | None = field(default=None, repr=False)
    job_token: str | None = field(default=None, repr=False)
    sudo: str | None = None

    def digest(self) -> bytes:
        """Return the SHA-256 of all that was brought, by which it may be told from anything else that could be."""
        basic = (self.basic.username, self.basic.password) if self.basic else None
        others = (self.private_token, self.bearer, self.deploy_token, self.job_token, self.sudo)
        return hashlib.sha256(repr((basic, others)).encode()).digest()


class Door(Enum):
    """Which of the credentials an endpoint looks at; the others are as if they had not been sent.

    Source: contract, PyPI 2.1 and Packages 1.4.
    """

    PYPI = auto()
    """PyPI endpoints: deploy tokens, personal tokens (Basic too), job tokens as Basic or Bearer."""
    PACKAGES = auto()
    """Packages API of a project: personal tokens and job tokens, no Basic."""
    CONTROL = auto()
    """Everything else: personal tokens, no Basic."""
    OWN_TOKEN = auto()
    """A token's own endpoints: personal tokens; other kinds, wherever they stand, hear that they are none."""
