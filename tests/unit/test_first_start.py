"""The administrator's token at first start: made once, whole or not at all, and private."""

import os
import stat
from pathlib import Path

import pytest

from services.standalone.errors import StartFailed
from services.standalone.first_start import ensure_first_start, prepare_database
from shared.settings import Settings, read_settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "var").mkdir()
    return read_settings({"LARDER_DATA_DIR": str(tmp_path / "var")})


async def test_the_token_is_made_once_and_only_its_owner_may_read_it(settings: Settings) -> None:
    first = await prepare_database(settings)
    token = settings.root_token_file.read_text(encoding="ascii")
    second = await prepare_database(settings)

    assert first == second
    assert first.token_file == settings.root_token_file
    assert settings.root_token_file.read_text(encoding="ascii") == token
    assert stat.S_IMODE(settings.root_token_file.stat().st_mode) == 0o600
    assert len(token.strip().removeprefix("glpat-")) * 6 >= 160


async def test_a_write_that_fails_leaves_no_token_and_the_next_start_makes_one(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StartFailed) as failure:
            await prepare_database(settings)
    left_behind = settings.root_token_file.exists()
    await prepare_database(settings)

    assert failure.value.problem == (
        f"the root token's file {settings.root_token_file} cannot be used: No space left on device"
    )
    assert not left_behind
    assert settings.root_token_file.read_text(encoding="ascii").startswith("glpat-")


async def test_what_a_crash_left_half_written_is_never_taken_for_the_token(settings: Settings) -> None:
    part = settings.root_token_file.with_name(".root-token.part")
    part.write_text("glpat-half-a-token-of-a-crash", encoding="ascii")

    await prepare_database(settings)

    assert "half" not in settings.root_token_file.read_text(encoding="ascii")
    assert not part.exists()


async def test_a_configured_token_is_not_written_down(tmp_path: Path) -> None:
    (tmp_path / "var").mkdir()
    settings = read_settings(
        {"LARDER_DATA_DIR": str(tmp_path / "var"), "LARDER_ROOT_TOKEN": "configured-token-of-the-operator"}
    )

    first_start = await prepare_database(settings)

    assert first_start.token_file is None
    assert not settings.root_token_file.exists()


@pytest.mark.parametrize("content", [b"", b"\n", b"short", b"two words that are long enough", b"\xff" * 30])
async def test_a_file_without_a_token_is_refused_and_kept(settings: Settings, content: bytes) -> None:
    await prepare_database(settings)
    settings.root_token_file.write_bytes(content)

    with pytest.raises(StartFailed) as failure:
        await ensure_first_start(settings)

    assert failure.value.problem == (
        f"{settings.root_token_file} holds no token of 20 characters or more: remove it to get a new one"
    )
    assert settings.root_token_file.read_bytes() == content
