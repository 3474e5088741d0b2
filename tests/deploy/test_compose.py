"""The compose files name what Larder and its image have."""

from typing import Any

import pytest

from services.cli import _parser as make_parser
from shared.settings import read_settings
from tests.deploy.manifests import DEPLOY, compose

NAMES = ("one-machine", "scaled-out")


def larders(name: str) -> dict[str, Any]:
    """Return the services that run Larder."""
    return {key: one for key, one in compose(name)["services"].items() if one.get("image") == "larder"}


def test_these_are_all() -> None:
    assert {path.stem for path in (DEPLOY / "compose").iterdir()} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_services_run_commands_that_there_are_with_settings_that_are_taken(name: str) -> None:
    for service in larders(name).values():
        make_parser().parse_args(service.get("command", ["serve"]))
        read_settings({key: one for key, one in service.get("environment", {}).items() if key.startswith("LARDER_")})


@pytest.mark.parametrize("name", NAMES)
def test_containers_can_change_nothing_of_themselves(name: str) -> None:
    for service in larders(name).values():
        assert service["read_only"]
        assert service["tmpfs"] == ["/tmp"]  # noqa: S108 - the container's
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]


@pytest.mark.parametrize("name", NAMES)
def test_only_this_machine_can_reach_what_has_no_tls(name: str) -> None:
    ports = [port for service in compose(name)["services"].values() for port in service.get("ports", [])]
    assert ports == ["127.0.0.1:8080:8080"]


def test_the_parts_apart_run_on_one_database_one_redis_and_the_same_files() -> None:
    parts = larders("scaled-out")
    assert set(parts) == {"migrate", "api", "worker"}
    assert len({str((part["environment"], part["volumes"])) for part in parts.values()}) == 1


@pytest.mark.parametrize("name", NAMES)
def test_volumes_and_services_that_are_named_are_there(name: str) -> None:
    loaded = compose(name)
    for service in loaded["services"].values():
        named = {volume.partition(":")[0] for volume in service.get("volumes", []) if not volume.startswith(".")}
        assert named <= set(loaded["volumes"])
        files = [volume.partition(":")[0] for volume in service.get("volumes", []) if volume.startswith(".")]
        assert all((DEPLOY / "compose" / file).exists() for file in [*files, *_contexts(service)])
        assert set(service.get("depends_on", {})) <= set(loaded["services"])


def _contexts(service: dict[str, Any]) -> list[str]:
    build = service.get("build")
    return [build["context"], f"{build['context']}/{build['dockerfile']}"] if build else []
