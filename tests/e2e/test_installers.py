"""Every installer does every errand of the table in `installers.py`, against one registry."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.e2e.assortment import Assortment, arrived, stock
from tests.e2e.installers import INSTALLATIONS, INSTALLERS, Installation, Installer
from tests.e2e.processes import LarderProcess, running_larder

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
_AT_ONCE = 2


@pytest.fixture(scope="module")
def larder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LarderProcess]:
    """One API process, so that its log is in the order of what was asked."""
    with running_larder(tmp_path_factory.mktemp("installers") / "var", {"API_PROCESSES": "1"}) as process:
        yield process


@pytest.fixture(scope="module")
def assortment(larder: LarderProcess) -> Assortment:
    return stock(larder)


@pytest.mark.parametrize("name", INSTALLERS)
def test_an_installer_gets_what_it_is_sent_for(assortment: Assortment, name: str, tmp_path: Path) -> None:
    installer = INSTALLERS[name]

    def problem(number: int, installation: Installation) -> str | None:
        command = installation.command_of(installer)
        return command and problem_of(assortment, installer, installation, command, tmp_path / str(number))

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        problems = dict(zip(INSTALLATIONS, pool.map(problem, range(99), INSTALLATIONS.values()), strict=False))
    assert not any(problems.values()), "\n\n".join(f"{what}: {told}" for what, told in problems.items() if told)


def problem_of(
    assortment: Assortment, installer: Installer, installation: Installation, command: str, cwd: Path
) -> str | None:
    """Return what is not as it should be; None when all is."""
    done = assortment.send(installer, command, cwd)
    output = " ".join((done.stdout + done.stderr).split())
    problems = []
    if (done.returncode != 0) is not installation.fails:
        problems.append(f"exit {done.returncode}")
    if arrived(cwd) != installation.gets:
        problems.append(f"{arrived(cwd)} has arrived")
    if installation.says.get(installer.column, "") not in output:
        problems.append("the words are missing")
    return "\n".join([", ".join(problems), command, output]) if problems else None
