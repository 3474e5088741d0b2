"""Which of the secrets that a request brings an endpoint looks at."""

import pytest

from shared.credentials import BasicPair, Credentials, Door
from shared.usecases.authentication import brings_secret

PYPI, PACKAGES, CONTROL, OWN = Door.PYPI, Door.PACKAGES, Door.CONTROL, Door.OWN_TOKEN
NO_PASSWORD = BasicPair("somebody", "")


@pytest.mark.parametrize(
    ("credentials", "doors"),
    [
        (Credentials(), set()),
        (Credentials(private_token="x"), {PYPI, PACKAGES, CONTROL, OWN}),
        (Credentials(private_token="glcbt-x"), {OWN}),
        (Credentials(private_token="glcbt-x", bearer="x"), {PYPI, PACKAGES, CONTROL, OWN}),
        (Credentials(bearer="x"), {PYPI, PACKAGES, CONTROL, OWN}),
        (Credentials(basic=BasicPair("somebody", "x")), {PYPI, OWN}),
        (Credentials(basic=NO_PASSWORD), set()),
        (Credentials(deploy_token="x"), {PYPI, OWN}),
        (Credentials(basic=NO_PASSWORD, deploy_token="x"), {OWN}),
        (Credentials(job_token="x"), {PACKAGES, OWN}),
    ],
)
def test_each_door_looks_at_some_secrets_only(credentials: Credentials, doors: set[Door]) -> None:
    assert {door for door in Door if brings_secret(credentials, door)} == doors
