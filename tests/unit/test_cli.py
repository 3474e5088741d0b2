"""The console command: what it says about itself, and how it says no."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from services.cli import main

_COMMANDS = ("serve", "api", "worker", "migrate", "check", "backup", "restore", "move")
_ARGUMENTS = {"backup": ["copy"], "restore": ["copy"]}


@pytest.fixture(autouse=True)
def _without_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LARDER_REDIS_URL", "LARDER_ROOT_TOKEN", "LARDER_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)


def test_help_lists_the_commands_and_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--help"])

    assert end.value.code == 0
    text = capsys.readouterr().out
    assert all(f"\n    {command} " in text for command in _COMMANDS)
    assert "exit codes:" in text


@pytest.mark.parametrize("command", _COMMANDS)
def test_each_command_says_what_it_does_which_settings_matter_and_its_exit_codes(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])

    assert end.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: larder {command} ")
    assert "settings that matter here:\n  LARDER_" in text
    assert "exit codes:\n  0  " in text


def test_help_loads_neither_the_web_server_nor_the_queue_nor_the_database() -> None:
    program = (
        "import sys, services.cli\n"
        "try:\n    services.cli.main(['--help'])\n"
        "except SystemExit:\n    pass\n"
        "print('loaded:', *{'aiohttp', 'arq', 'redis', 'sqlalchemy', 'structlog'} & set(sys.modules))"
    )

    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=_source())

    assert shown.stdout.splitlines()[-1] == "loaded:"


def test_help_answers_within_a_second_even_on_a_busy_machine() -> None:
    def seconds() -> float:
        began = time.monotonic()
        subprocess.run([sys.executable, "-m", "services.cli", "--help"], capture_output=True, check=True, cwd=_source())
        return time.monotonic() - began

    assert any(seconds() < 1.0 for _ in range(20))


def test_the_version_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0

    assert capsys.readouterr().out.startswith("larder ")


def test_without_a_command_it_shows_the_help_and_fails_as_bad_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2

    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("usage: larder ")


@pytest.mark.parametrize(
    "arguments",
    [["publish"], ["serve", "--port", "1"], ["api", "--fd", "x"], ["backup"], ["restore"], ["move", "there"]],
)
def test_bad_usage_is_exit_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(arguments)

    assert end.value.code == 2
    assert capsys.readouterr().err.startswith("usage: larder ")


@pytest.mark.parametrize("command", _COMMANDS)
def test_a_bad_setting_is_one_line_and_exit_code_2(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LARDER_PORT", "http")

    assert main([command, *_ARGUMENTS.get(command, [])]) == 2

    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == "larder: LARDER_PORT takes a whole number from 0 to 65535\n"


def test_an_unknown_setting_is_one_line_and_exit_code_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LARDER_PROT", "8080")

    assert main(["serve"]) == 2

    assert capsys.readouterr().err == "larder: LARDER_PROT is no setting of Larder; README's table lists them all\n"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([], "say where to: --to-database, --to-blobs, or both"),
        (
            ["--to-database", "mysql://ada:secret@db/larder"],
            "--to-database takes a URL that begins with sqlite:// or postgresql://",
        ),
        (["--to-database", "postgresql://ada:secret@db"], "--to-database is none"),
        (["--to-blobs", "s3://ada:secret@packages"], "--to-blobs takes no credentials"),
    ],
)
def test_a_place_that_nothing_can_be_moved_to_is_one_line_and_exit_code_2(
    arguments: list[str],
    problem: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("LARDER_DATA_DIR", str(tmp_path / "var"))

    assert main(["move", *arguments]) == 2

    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith(f"larder: {problem}")
    assert shown.err.count("\n") == 1
    assert "secret" not in shown.err
    assert not (tmp_path / "var").exists()


def _source() -> Path:
    return Path(__file__).parents[2]
