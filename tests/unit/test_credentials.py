"""Which secrets an endpoint looks at."""

import pytest

from shared.credentials import BasicPair, Credentials, Door, brings_secret

PYPI, PACKAGES, CONTROL = Door.PYPI, Door.PACKAGES, Door.CONTROL


@pytest.mark.parametrize(
    ("credentials", "doors"),
    [
        (Credentials(), set()),
        (Credentials(private_token="x"), {PYPI, PACKAGES, CONTROL}),
        (Credentials(bearer="x"), {PYPI, PACKAGES, CONTROL}),
        (Credentials(basic=BasicPair("somebody", "x")), {PYPI}),
        (Credentials(basic=BasicPair("somebody", "")), set()),
        (Credentials(deploy_token="x"), {PYPI}),
        (Credentials(job_token="x"), {PACKAGES}),
    ],
)
def test_each_door_looks_at_some_secrets_only(credentials: Credentials, doors: set[Door]) -> None:
    assert {door for door in Door if brings_secret(credentials, door)} == doors
