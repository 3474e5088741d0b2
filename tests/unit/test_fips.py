"""FIPS mode comes on by itself where OpenSSL is in it, and only there."""

from types import SimpleNamespace

import pytest

from shared import fips
from shared.settings import read_settings

OPENSSL_IN_FIPS_MODE = SimpleNamespace(get_fips_mode=lambda: 1)


@pytest.mark.parametrize("openssl", [SimpleNamespace(get_fips_mode=lambda: 0), SimpleNamespace(), None])
def test_elsewhere_it_is_off(monkeypatch: pytest.MonkeyPatch, openssl: object) -> None:
    monkeypatch.setattr(fips, "openssl", openssl)

    assert not read_settings({}).is_fips


def test_where_openssl_is_in_fips_mode_it_is_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fips, "openssl", OPENSSL_IN_FIPS_MODE)

    assert read_settings({}).is_fips


@pytest.mark.parametrize("openssl", [OPENSSL_IN_FIPS_MODE, None])
def test_the_operator_may_decide_otherwise(monkeypatch: pytest.MonkeyPatch, openssl: object) -> None:
    monkeypatch.setattr(fips, "openssl", openssl)

    assert read_settings({"LARDER_FIPS": "true"}).is_fips
    assert not read_settings({"LARDER_FIPS": "false"}).is_fips


def test_the_openssl_of_this_machine_answers() -> None:
    assert fips.is_openssl_in_fips_mode() in {True, False}
