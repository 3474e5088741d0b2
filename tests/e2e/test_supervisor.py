"""`larder serve` as an operator meets it: what runs, what comes back when it dies, and where it may be."""

import asyncio
import json
import os
import signal
import stat
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.e2e.conftest import LarderStarter
from tests.e2e.processes import (
    CHILDREN,
    START_SECONDS,
    LarderProcess,
    run_larder,
    running_larder,
)
from tests.redis_server import RedisServer
from tests.waiting import wait_for

pytestmark = pytest.mark.timeout(180)

# --- what runs ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_ps_shows_one_named_process_for_each_part(larder_of_module: LarderProcess) -> None:
    supervisor = larder_of_module.process.pid
    names = [one.title.partition(" /")[0] for one in larder_of_module.members() if one.parent == supervisor]

    assert sorted(names) == CHILDREN
    assert larder_of_module.pids("larder serve") == [supervisor]


def test_each_child_has_its_own_process_group_in_the_supervisors_session(larder_of_module: LarderProcess) -> None:
    supervisor = larder_of_module.process.pid
    members = larder_of_module.members()
    children = [one for one in members if one.parent == supervisor]

    assert len(children) == len(CHILDREN)
    assert all(one.group == one.pid for one in children)
    assert {one.session for one in members} == {supervisor}


def test_the_page_names_the_url_the_tokens_place_and_the_commands(larder_of_module: LarderProcess) -> None:
    larder = larder_of_module
    port = larder.url.rpartition(":")[2]
    token_file = larder.data_dir / "root-token"
    pypi = f"{larder.url}/api/v4/projects/{larder.project_id}/packages/pypi"
    authorized = f'"http://root:$(cat {token_file})@127.0.0.1:{port}{pypi.removeprefix(larder.url)}/simple/"'

    assert (
        larder.page
        == f"""
Larder is ready: {larder.url}

  Simple index    {pypi}/simple/
  Administrator   root, whose token is in {token_file}
  Data directory  {larder.data_dir}

Publish (in another terminal, beside the dist/ directory of your project):

  TWINE_USERNAME=root TWINE_PASSWORD="$(cat {token_file})" twine upload --repository-url {pypi} dist/*

Install:

  pip install --index-url {authorized} your-package
  uv pip install --index-url {authorized} your-package

Stop with Ctrl-C.
"""
    )


def test_the_root_token_is_kept_private_and_printed_nowhere(larder_of_module: LarderProcess) -> None:
    token_file = larder_of_module.data_dir / "root-token"
    token = larder_of_module.token

    assert stat.S_IMODE(token_file.stat().st_mode) == 0o600
    assert token.startswith("glpat-")
    assert len(token) >= len("glpat-") + 160 // 6
    assert token not in larder_of_module.page
    assert token not in larder_of_module.errors.read_text(encoding="utf-8")
    for one in larder_of_module.members():
        assert token not in one.title
        assert token.encode() not in Path(f"/proc/{one.pid}/environ").read_bytes()


def test_the_root_token_signs_in(larder_of_module: LarderProcess) -> None:
    assert _user(larder_of_module, larder_of_module.token) == 200
    assert _user(larder_of_module, "glpat-" + "x" * 30) == 401


def test_what_is_in_the_data_directory_is_private(larder_of_module: LarderProcess) -> None:
    data_dir = larder_of_module.data_dir

    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (data_dir, *data_dir.rglob("*"))}

    assert {str(path): oct(mode) for path, mode in modes.items() if mode & 0o077} == {}


@pytest.mark.slow
def test_a_second_start_on_the_same_data_directory_is_refused_with_one_line(larder_of_module: LarderProcess) -> None:
    data_dir = larder_of_module.data_dir

    second = run_larder("serve", {"DATA_DIR": str(data_dir), "PORT": "0"})

    assert second.returncode == 1
    assert second.stdout == ""
    assert second.stderr == (
        f"larder: another larder (process {larder_of_module.process.pid}) is using the data directory {data_dir}; "
        "stop it first, or name another directory in LARDER_DATA_DIR\n"
    )
    assert _is_ready(larder_of_module)


@pytest.mark.slow
def test_migrating_a_data_directory_in_use_is_refused_too(larder_of_module: LarderProcess) -> None:
    migration = run_larder("migrate", {"DATA_DIR": str(larder_of_module.data_dir)})

    assert migration.returncode == 1
    assert "another larder" in migration.stderr


@pytest.mark.slow
def test_a_taken_port_is_told_in_one_line_that_names_the_setting(
    larder_of_module: LarderProcess, tmp_path: Path
) -> None:
    port = larder_of_module.url.rpartition(":")[2]

    second = run_larder("serve", {"DATA_DIR": str(tmp_path / "var"), "PORT": port})

    assert second.returncode == 1
    assert second.stdout == ""
    assert second.stderr == (
        f"larder: port {port} on 127.0.0.1 is taken by another program: "
        "stop it, or choose another port in LARDER_PORT\n"
    )


@pytest.mark.slow
def test_an_address_of_another_machine_is_told_in_one_line(tmp_path: Path) -> None:
    refused = run_larder("serve", {"DATA_DIR": str(tmp_path / "var"), "HOST": "192.0.2.1", "PORT": "0"})

    assert refused.returncode == 1
    assert refused.stderr == (
        "larder: cannot listen on 192.0.2.1, port 0: Cannot assign requested address; "
        "change LARDER_HOST or LARDER_PORT\n"
    )


def test_a_data_directory_that_cannot_be_made_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    refused = run_larder("serve", {"DATA_DIR": str(tmp_path / "file" / "var"), "PORT": "0"})

    assert refused.returncode == 1
    assert refused.stdout == ""
    assert refused.stderr == (
        f"larder: the data directory {tmp_path}/file/var cannot be used: Not a directory; "
        "name another one in LARDER_DATA_DIR\n"
    )


# --- what comes back ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("title", ["larder api", "larder worker", "redis-server"])
def test_a_killed_child_is_started_again_and_the_registry_is_ready_again(
    larder_of_module: LarderProcess, title: str
) -> None:
    larder = larder_of_module
    (*others, victim) = larder.pids(title)

    os.kill(victim, signal.SIGKILL)

    wait_for(lambda: _is_whole_without(larder, {victim}), what=f"another {title} runs", timeout_seconds=START_SECONDS)
    wait_for(lambda: _everything_answers(larder), what="every part answers again", timeout_seconds=START_SECONDS)
    assert set(others) <= set(larder.pids(title))
    (death,) = [line for line in larder.events("process.died") if line["pid"] == victim]
    assert (death["child"], death["signal"]) == (title, "SIGKILL")
    assert title in [line["child"] for line in larder.events("process.restarting")]


def test_the_api_goes_on_while_redis_is_restarted(larder_of_module: LarderProcess) -> None:
    larder = larder_of_module
    apis = larder.pids("larder api")
    (redis,) = larder.pids("redis-server")

    os.kill(redis, signal.SIGKILL)

    wait_for(lambda: redis not in larder.pids("redis-server"), what="Redis is gone", timeout_seconds=START_SECONDS)
    assert [_user(larder, larder.token) for _ in range(8)] == [200] * 8
    wait_for(lambda: _everything_answers(larder), what="every part answers again", timeout_seconds=START_SECONDS)
    assert larder.pids("larder api") == apis


@pytest.mark.slow
def test_connections_made_while_no_api_process_runs_are_answered_by_the_next_one(start: LarderStarter) -> None:
    larder = start(API_PROCESSES="1").wait_until_ready()
    (api,) = larder.pids("larder api")

    os.kill(api, signal.SIGKILL)

    assert _user(larder, larder.token) == 200


# --- tokens and places ----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_restart_keeps_the_token_and_the_project(start: LarderStarter) -> None:
    first = start().wait_until_ready()
    before = (first.token, first.project_id)
    assert first.stop() == 0

    second = start().wait_until_ready()

    assert (second.token, second.project_id) == before
    assert _user(second, second.token) == 200


@pytest.mark.slow
def test_the_configured_root_token_replaces_the_one_before_and_is_printed_nowhere(
    tmp_path: Path, start: LarderStarter
) -> None:
    assert run_larder("migrate", {"DATA_DIR": str(tmp_path / "var")}).returncode == 0
    generated = (tmp_path / "var" / "root-token").read_text(encoding="ascii").strip()
    configured = "configured-token-of-the-operator"

    larder = start(ROOT_TOKEN=configured).wait_until_ready()

    assert _user(larder, configured) == 200
    assert _user(larder, generated) == 401
    assert "the value of LARDER_ROOT_TOKEN" in larder.page
    assert 'TWINE_PASSWORD="$LARDER_ROOT_TOKEN"' in larder.page
    assert configured not in larder.page
    assert configured not in larder.errors.read_text(encoding="utf-8")
    for one in larder.members():
        if one.pid != larder.process.pid:
            assert configured.encode() not in Path(f"/proc/{one.pid}/environ").read_bytes()


@pytest.mark.slow
def test_a_new_token_is_made_when_its_file_was_removed(tmp_path: Path, start: LarderStarter) -> None:
    assert run_larder("migrate", {"DATA_DIR": str(tmp_path / "var")}).returncode == 0
    token_file = tmp_path / "var" / "root-token"
    lost = token_file.read_text(encoding="ascii").strip()
    token_file.unlink()

    larder = start().wait_until_ready()

    assert larder.token != lost
    assert _user(larder, larder.token) == 200
    assert _user(larder, lost) == 401


@pytest.mark.slow
def test_it_runs_from_any_directory_with_relative_and_awkward_places(tmp_path: Path) -> None:
    elsewhere = tmp_path / "else where"
    (elsewhere / "services").mkdir(parents=True)
    (elsewhere / "services" / "__init__.py").write_text("raise SystemExit('the wrong code')\n", encoding="utf-8")
    data_dir = elsewhere / ("it's my " + "long " * 30 + "directory")

    with running_larder(data_dir, cwd=elsewhere) as larder:
        (command,) = [line.strip() for line in larder.page.splitlines() if line.startswith("  TWINE_USERNAME=")]
        assignment = command.partition(" twine upload ")[0]
        shown = subprocess.run(
            ["sh", "-c", f'{assignment}; printf %s "$TWINE_PASSWORD"'], capture_output=True, text=True, check=True
        )

        assert shown.stdout == larder.token
        assert _user(larder, larder.token) == 200
        wait_for(lambda: _everything_answers(larder), what="every part answers", timeout_seconds=START_SECONDS)


@pytest.mark.slow
async def test_a_redis_of_ones_own_is_used_instead_of_an_embedded_one(
    start: LarderStarter, redis_server: RedisServer
) -> None:
    larder = await asyncio.to_thread(lambda: start(REDIS_URL=redis_server.url).wait_until_ready())

    await asyncio.to_thread(
        wait_for, lambda: _everything_answers(larder), what="every part answers", timeout_seconds=START_SECONDS
    )
    assert larder.pids("redis-server") == []
    assert not (larder.data_dir / "redis").exists()


@pytest.mark.slow
def test_it_listens_on_ipv6_too(start: LarderStarter) -> None:
    larder = start(HOST="::1").wait_until_ready()

    assert larder.url.startswith("http://[::1]:")
    assert _is_ready(larder)


# --- small words ----------------------------------------------------------------------------------------------------


def _is_ready(larder: LarderProcess) -> bool:
    try:
        with urllib.request.urlopen(f"{larder.url}/-/readiness", timeout=30) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _user(larder: LarderProcess, token: str) -> int:
    request = urllib.request.Request(f"{larder.url}/api/v4/user", headers={"PRIVATE-TOKEN": token})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def _everything_answers(larder: LarderProcess) -> bool:
    try:
        with urllib.request.urlopen(f"{larder.url}/-/readiness?all=1", timeout=30) as answer:
            checks = json.load(answer)
    except OSError:
        return False
    return all(check[0]["status"] == "ok" for name, check in checks.items() if name.endswith("_check"))


def _is_whole_without(larder: LarderProcess, gone: set[int]) -> bool:
    pids = [larder.pids(title) for title in ("larder api", "larder worker", "redis-server")]
    return [len(found) for found in pids] == [2, 1, 1] and gone.isdisjoint(pid for found in pids for pid in found)
