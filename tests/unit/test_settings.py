"""What each LARDER_* variable takes, what it refuses, and that nothing of a secret is ever repeated."""

import ipaddress
import re
from dataclasses import fields
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import SettingsInvalid
from shared.limits import Limits
from shared.models import UploadChecks
from shared.settings import VARIABLE_NAMES, LogFormat, Settings, read_settings

_ROOT = Path(__file__).parents[2]
_GIB = 1024**3
_SECRET = "s3cr3t-s3cr3t-s3cr3t-s3cr3t"

_GOOD: list[tuple[str, str, str, Any]] = [
    ("HOST", "0.0.0.0", "host", "0.0.0.0"),
    ("HOST", "::1", "host", "::1"),
    ("HOST", "registry.example", "host", "registry.example"),
    ("PORT", "0", "port", 0),
    ("PORT", "65535", "port", 65535),
    ("DATA_DIR", "/srv/larder", "data_dir", Path("/srv/larder")),
    ("DATA_DIR", "/srv/a 'quoted' place", "data_dir", Path("/srv/a 'quoted' place")),
    ("EXTERNAL_URL", "https://pypi.example/registry/", "external_url", "https://pypi.example/registry"),
    ("EXTERNAL_URL", "http://127.0.0.1:8080", "external_url", "http://127.0.0.1:8080"),
    ("DATABASE_URL", "sqlite:////srv/larder.db", "database_url", "sqlite:////srv/larder.db"),
    ("DATABASE_URL", "postgresql://u:p@db/larder", "database_url", "postgresql://u:p@db/larder"),
    ("DATABASE_CONNECTIONS", "20", "database_connections", 20),
    ("DATABASE_WAIT_SECONDS", "2.5", "database_wait_seconds", 2.5),
    ("BLOB_URL", "file:///srv/blobs", "blob_url", "file:///srv/blobs"),
    ("BLOB_URL", "s3://bucket/prefix", "blob_url", "s3://bucket/prefix"),
    ("BLOB_REDIRECT_BYTES", "16MiB", "blob_redirect_bytes", 16 * 1024**2),
    ("REDIS_URL", "redis://redis:6379/0", "redis_url", "redis://redis:6379/0"),
    ("REDIS_URL", "rediss://:pw@redis:6380", "redis_url", "rediss://:pw@redis:6380"),
    ("REDIS_URL", "unix:///run/redis.sock", "redis_url", "unix:///run/redis.sock"),
    ("ROOT_TOKEN", "x" * 20, "root_token", "x" * 20),
    ("ROOT_TOKEN", "p@ss:w/rd%$`\"'!#?&=+~", "root_token", "p@ss:w/rd%$`\"'!#?&=+~"),
    ("API_PROCESSES", "1", "api_processes", 1),
    ("API_PROCESSES", "256", "api_processes", 256),
    ("MAX_FILE_SIZE", "1", "max_file_size_bytes", 1),
    ("MAX_FILE_SIZE", "64 MiB", "max_file_size_bytes", 64 * 1024**2),
    ("MAX_FILE_SIZE", "2gib", "max_file_size_bytes", 2 * _GIB),
    ("UPLOAD_WAIT_SECONDS", "0", "upload_wait_seconds", 0.0),
    ("UPLOAD_WAIT_SECONDS", "2.5", "upload_wait_seconds", 2.5),
    ("UPLOAD_MAX_SECONDS", "3600", "upload_max_seconds", 3600.0),
    ("FORWARD_URL", "https://pypi.example/simple/", "forward_url", "https://pypi.example/simple"),
    ("FORWARD_URL", "http://[::1]:8080/a%20b/simple//", "forward_url", "http://[::1]:8080/a%20b/simple"),
    ("FORWARD_URL", "https://pypi.example", "forward_url", "https://pypi.example"),
    (
        "TRUSTED_PROXIES",
        "10.0.0.0/8, 192.168.1.7,::1",
        "trusted_proxies",
        tuple(map(ipaddress.ip_network, ("10.0.0.0/8", "192.168.1.7", "::1"))),
    ),
    ("AUTH_FAILURES_PER_MINUTE", "5", "auth_failures_per_minute", 5),
    ("UPLOAD_CHECKS", "strict", "upload_checks", UploadChecks.STRICT),
    ("UPLOAD_CHECKS", "off", "upload_checks", UploadChecks.OFF),
    ("ALLOW_GUESTS_TO_PULL", "False", "allow_guests_to_pull", False),
    ("ALLOW_GUESTS_TO_PULL", "1", "allow_guests_to_pull", True),
    ("FIPS", "true", "is_fips", True),
    ("FIPS", "false", "is_fips", False),
    ("SCRUB_BYTES_PER_SECOND", "0", "scrub_bytes_per_second", 0),
    ("SCRUB_BYTES_PER_SECOND", "1 MiB", "scrub_bytes_per_second", 1024**2),
    ("SCRUB_INTERVAL_SECONDS", "3600", "scrub_interval_seconds", 3600.0),
    ("LOG_FORMAT", "console", "log_format", LogFormat.CONSOLE),
    ("CACHE_BYTES", "0", "cache_bytes", 0),
    (
        "DATABASE_URL",
        "postgresql://larder@/larder?host=/run/postgresql",
        "database_url",
        "postgresql://larder@/larder?host=/run/postgresql",
    ),
    ("DRAIN_SECONDS", "10", "drain_seconds", 10.0),
    ("REDIS_URL", "redis+sentinel://:pw@a:1,b/m", "redis_url", "redis+sentinel://:pw@a:1,b/m"),
    ("WORKER_METRICS_PORT", "9100", "worker_metrics_port", 9100),
    ("CACHE_BYTES", "2 MiB", "cache_bytes", 2 * 1024**2),
    ("READY_ANSWERS", "off", "keeps_ready_answers", False),
    ("STALL_SECONDS", "0.5", "limits.stall_seconds", 0.5),
    ("IDLE_SECONDS", "5", "limits.idle_seconds", 5.0),
    ("GRACE_SECONDS", "0", "limits.grace_seconds", 0.0),
    ("MAX_CONNECTIONS", "10000", "limits.max_connections", 10_000),
    ("MAX_CONNECTIONS_PER_ADDRESS", "1", "limits.max_connections_per_address", 1),
    ("MAX_UPLOADS_PER_PRINCIPAL", "2", "limits.max_uploads_per_principal", 2),
    ("PROJECT_QUOTA", "10 GiB", "limits.project_quota_bytes", 10 * _GIB),
    ("MAX_FORM_SIZE", "64KiB", "limits.max_form_bytes", 64 * 1024),
    ("MAX_FORM_PARTS", "100", "limits.max_form_parts", 100),
    ("MAX_HEADER_SIZE", "16384", "limits.max_header_bytes", 16384),
    ("MAX_ARCHIVE_ENTRIES", "7", "limits.max_archive_entries", 7),
    ("MAX_ARCHIVE_SIZE", "1GiB", "limits.max_archive_bytes", _GIB),
    ("MAX_ARCHIVE_RATIO", "20", "limits.max_archive_ratio", 20),
    ("INSPECTION_MEMORY", "1GiB", "limits.inspection_memory_bytes", _GIB),
    ("INSPECTION_SECONDS", "30", "limits.inspection_seconds", 30),
    ("INSPECTIONS_AT_ONCE", "1", "limits.inspections_at_once", 1),
]

_BAD: list[tuple[str, str]] = [
    ("HOST", ""),
    ("HOST", "a\nb"),
    ("PORT", ""),
    ("PORT", "65536"),
    ("PORT", "-1"),
    ("PORT", "80.0"),
    ("PORT", "٨٠"),
    ("PORT", " 80"),
    ("DATA_DIR", ""),
    ("DATA_DIR", "/srv/\x00"),
    ("EXTERNAL_URL", "pypi.example"),
    ("EXTERNAL_URL", "ftp://pypi.example"),
    ("EXTERNAL_URL", "https://user:pass@pypi.example"),
    ("EXTERNAL_URL", "https://pypi.example/?a=b"),
    ("EXTERNAL_URL", "https://pypi.example/#top"),
    ("EXTERNAL_URL", "https://pypi.example:99999"),
    ("EXTERNAL_URL", "https://[::1"),
    ("DATABASE_URL", "mysql://db/larder"),
    ("DATABASE_CONNECTIONS", "0"),
    ("DATABASE_WAIT_SECONDS", "0"),
    ("DATABASE_URL", "sqlite://larder.db"),
    ("DATABASE_URL", "postgresql:///larder"),
    ("BLOB_URL", "file://relative"),
    ("BLOB_URL", "s3://"),
    ("BLOB_REDIRECT_BYTES", "0"),
    ("BLOB_URL", "/srv/blobs"),
    ("REDIS_URL", "http://redis:6379"),
    ("REDIS_URL", "redis://"),
    ("REDIS_URL", "redis+sentinel://a,b"),
    ("REDIS_URL", "redis+sentinel:///mymaster"),
    ("DATABASE_URL", "postgresql:///larder"),
    ("DATABASE_URL", "postgresql://larder@/larder?host=run"),
    ("DATABASE_URL", "postgresql://larder@/larder?host=/a&host=/b"),
    ("DRAIN_SECONDS", "601"),
    ("REDIS_URL", "unix://redis.sock"),
    ("ROOT_TOKEN", ""),
    ("ROOT_TOKEN", "x" * 19),
    ("ROOT_TOKEN", "x" * 20 + " "),
    ("ROOT_TOKEN", "x" * 20 + "\n"),
    ("ROOT_TOKEN", "é" * 20),
    ("API_PROCESSES", "0"),
    ("API_PROCESSES", "257"),
    ("MAX_FILE_SIZE", "0"),
    ("MAX_FILE_SIZE", "-5"),
    ("MAX_FILE_SIZE", "5 GB"),
    ("MAX_FILE_SIZE", "2000 TiB"),
    ("UPLOAD_WAIT_SECONDS", "nan"),
    ("UPLOAD_WAIT_SECONDS", "-0.1"),
    ("UPLOAD_WAIT_SECONDS", "3601"),
    ("UPLOAD_MAX_SECONDS", "0"),
    ("UPLOAD_MAX_SECONDS", "inf"),
    ("FORWARD_URL", ""),
    ("FORWARD_URL", "pypi.example/simple"),
    ("FORWARD_URL", "file:///etc"),
    ("FORWARD_URL", "https:///simple"),
    ("FORWARD_URL", "https://pypi.example:99999/simple"),
    ("FORWARD_URL", "https://user:secret@pypi.example/simple"),
    ("FORWARD_URL", "https://:secret@pypi.example/simple"),
    ("FORWARD_URL", "https://@pypi.example/simple"),
    ("FORWARD_URL", "https://pypi.example/simple?token=secret"),
    ("FORWARD_URL", "https://pypi.example/simple?"),
    ("FORWARD_URL", "https://pypi.example/simple#"),
    ("FORWARD_URL", "https://pypi.example/simple\r\nSet-Cookie: a=b"),
    ("FORWARD_URL", "https://pypi.example/sim ple"),
    ("FORWARD_URL", 'https://pypi.example/"simple'),
    ("FORWARD_URL", "https://pypi.example/p\u00e4"),
    ("TRUSTED_PROXIES", "10.0.0.0/33"),
    ("TRUSTED_PROXIES", "proxy.example"),
    ("AUTH_FAILURES_PER_MINUTE", "0"),
    ("UPLOAD_CHECKS", "lenient"),
    ("UPLOAD_CHECKS", ""),
    ("FIPS", "140"),
    ("ALLOW_GUESTS_TO_PULL", "maybe"),
    ("SCRUB_BYTES_PER_SECOND", "fast"),
    ("SCRUB_BYTES_PER_SECOND", "-1"),
    ("SCRUB_INTERVAL_SECONDS", "0"),
    ("LOG_FORMAT", "xml"),
    ("CACHE_BYTES", "-1"),
    ("WORKER_METRICS_PORT", "65536"),
    ("CACHE_BYTES", "none"),
    ("READY_ANSWERS", "sometimes"),
    ("STALL_SECONDS", "0"),
    ("IDLE_SECONDS", "never"),
    ("GRACE_SECONDS", "-1"),
    ("MAX_CONNECTIONS", "0"),
    ("MAX_CONNECTIONS_PER_ADDRESS", "0"),
    ("MAX_UPLOADS_PER_PRINCIPAL", "none"),
    ("PROJECT_QUOTA", "0"),
    ("MAX_FORM_SIZE", "1KiB"),
    ("MAX_FORM_PARTS", "9"),
    ("MAX_HEADER_SIZE", "100"),
    ("MAX_ARCHIVE_ENTRIES", "0"),
    ("MAX_ARCHIVE_SIZE", "all"),
    ("MAX_ARCHIVE_RATIO", "1.5"),
    ("INSPECTION_MEMORY", "1MiB"),
    ("INSPECTION_SECONDS", "0"),
    ("INSPECTIONS_AT_ONCE", "0"),
]


@pytest.mark.parametrize(("name", "text", "field", "value"), _GOOD)
def test_a_good_value_is_read(name: str, text: str, field: str, value: object) -> None:
    settings = read_settings({f"LARDER_{name}": text})

    assert attrgetter(field)(settings) == value


@pytest.mark.parametrize(("name", "text"), _BAD)
def test_a_bad_value_is_refused_in_one_line_that_names_the_variable(name: str, text: str) -> None:
    with pytest.raises(SettingsInvalid) as refusal:
        read_settings({f"LARDER_{name}": text})

    assert refusal.value.problem.startswith(f"LARDER_{name} takes ")
    assert refusal.value.problem.isprintable()


def test_every_variable_has_a_good_and_a_bad_value_here() -> None:
    assert {f"LARDER_{name}" for name, *_ in _GOOD} == VARIABLE_NAMES
    assert {f"LARDER_{name}" for name, _ in _BAD} == VARIABLE_NAMES


def test_without_any_variable_the_defaults_of_the_readme_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    settings = read_settings({"PATH": "/bin", "OTHER_PORT": "1"})

    assert settings.host == "127.0.0.1"
    assert settings.port == 8080
    assert settings.data_dir == tmp_path / "var"
    assert settings.external_url is None
    assert settings.database_url == f"sqlite:///{tmp_path}/var/larder.sqlite3"
    assert settings.blob_url == f"file://{tmp_path}/var/blobs"
    assert settings.redis_url is None
    assert settings.root_token is None
    assert settings.root_token_file == tmp_path / "var" / "root-token"
    assert settings.api_processes >= 1
    assert settings.max_file_size_bytes == 5 * _GIB
    assert settings.upload_wait_seconds == 10.0
    assert settings.upload_max_seconds == 6 * 3600.0
    assert settings.forward_url is None
    assert settings.trusted_proxies == ()
    assert settings.auth_failures_per_minute == 600
    assert settings.upload_checks is UploadChecks.STRICT
    assert settings.allow_guests_to_pull is True
    assert settings.log_format is LogFormat.JSON
    assert settings.limits == Limits()


def test_a_relative_data_directory_is_taken_from_the_current_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    settings = read_settings({"LARDER_DATA_DIR": "registry"})

    assert settings.data_dir == tmp_path / "registry"
    assert settings.blob_url == f"file://{tmp_path}/registry/blobs"


@pytest.mark.parametrize("name", ["LARDER_PROT", "LARDER_", "LARDER_port", "LARDER_TOKEN"])
def test_an_unknown_variable_is_refused_by_name_and_not_by_value(name: str) -> None:
    with pytest.raises(SettingsInvalid) as refusal:
        read_settings({name: _SECRET})

    assert refusal.value.problem == f"{name} is no setting of Larder; README's table lists them all"


def test_the_wait_for_a_verdict_grows_with_the_size_up_to_two_minutes() -> None:
    settings = read_settings({})

    assert settings.upload_wait_for(0) == 10.0
    assert settings.upload_wait_for(50 * 1024**2) == 11.0
    assert settings.upload_wait_for(5 * _GIB) == pytest.approx(10 + 5 * 1024 / 50)
    assert settings.upload_wait_for(100 * _GIB) == 120.0


def test_a_longer_wait_of_the_operator_is_not_cut_to_two_minutes() -> None:
    settings = read_settings({"LARDER_UPLOAD_WAIT_SECONDS": "600"})

    assert settings.upload_wait_for(1) == 600.0


def test_secrets_are_not_in_the_repr_of_settings() -> None:
    settings = read_settings(
        {
            "LARDER_ROOT_TOKEN": _SECRET,
            "LARDER_DATABASE_URL": f"postgresql://larder:{_SECRET}@db/larder",
            "LARDER_BLOB_URL": f"s3://key:{_SECRET}@bucket/prefix",
            "LARDER_REDIS_URL": f"redis://:{_SECRET}@redis:6379",
        }
    )

    assert _SECRET not in repr(settings)
    assert _SECRET not in str(settings)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LARDER_ROOT_TOKEN", _SECRET + " "),
        ("LARDER_DATABASE_URL", f"mysql://u:{_SECRET}@db"),
        ("LARDER_REDIS_URL", f"http://u:{_SECRET}@redis"),
        ("LARDER_EXTERNAL_URL", f"https://u:{_SECRET}@host"),
    ],
)
def test_a_refusal_never_repeats_the_value_not_even_in_its_traceback(name: str, value: str) -> None:
    with pytest.raises(SettingsInvalid) as refusal:
        read_settings({name: value})

    assert _SECRET not in str(refusal.value)
    assert refusal.value.__cause__ is None
    assert refusal.value.__suppress_context__


def test_settings_cannot_be_changed() -> None:
    settings = read_settings({})

    with pytest.raises(AttributeError):
        settings.port = 1  # type: ignore[misc]  # that it cannot is what is tested


@given(st.dictionaries(st.sampled_from(sorted(VARIABLE_NAMES)), st.text(max_size=40), max_size=4))
def test_any_text_gives_settings_or_a_refusal(environment: dict[str, str]) -> None:
    read = _settings_or_problem(environment)

    if isinstance(read, Settings):
        assert read.data_dir.is_absolute()
    else:
        assert read.split()[0] in environment
        assert read.isprintable()


@given(st.sampled_from(sorted(VARIABLE_NAMES)), st.from_regex(r"[a-z0-9]{0,9}://[^/]{0,9}(:[0-9]{0,6})?/?.{0,9}"))
def test_any_url_gives_settings_or_a_refusal(name: str, text: str) -> None:
    read = _settings_or_problem({name: text})

    assert isinstance(read, Settings) or read.startswith(f"{name} takes ")


def test_the_readme_lists_every_variable_once_in_a_table() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")

    listed = re.findall(r"^\| `(LARDER_[A-Z_]+)` \|", readme, flags=re.MULTILINE)

    assert sorted(listed) == sorted(VARIABLE_NAMES)


def test_the_readme_says_of_each_limit_what_holds_without_a_word_and_which_tests_show_it() -> None:
    readme = (_ROOT / "README.md").read_text(encoding="utf-8").partition("## Limits")[2].partition("\n## ")[0]
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in readme.splitlines() if line.startswith("| `LAR")
    ]
    assert len(rows) == len(fields(Limits))
    for name, default, _, _, shown_by in rows:
        if default not in ("unset: none", "half of them"):
            variable = name.strip("`")
            assert read_settings({variable: default.strip("`")}).limits == Limits(), variable
        first, *others = re.findall(r"`([\w/.]+)`", shown_by)
        for path in (_ROOT / first, *((_ROOT / first).with_name(other) for other in others)):
            assert path.is_file(), path


def _settings_or_problem(environment: dict[str, str]) -> Settings | str:
    try:
        return read_settings(environment)
    except SettingsInvalid as refusal:
        return refusal.problem
