"""The manifests render, keep Kubernetes' own schemas to the letter, and name what Larder has."""

from pathlib import Path

import pytest

from services.api.routes import ENDPOINTS
from services.cli import _parser as make_parser
from shared.settings import read_settings
from tests.deploy.manifests import OVERLAYS, manifests, pods, render, run_tool

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_manifest_keeps_the_schemas_strictly(overlay: str, tmp_path: Path) -> None:
    rendered = tmp_path / "rendered.yaml"
    rendered.write_text(render(overlay), encoding="utf-8")
    told = run_tool("kubernetes-validate", "--strict", str(rendered))
    assert "WARN" not in told
    assert told.count(" passed ") == len(manifests(overlay))


def test_the_overlays_make_what_they_say() -> None:
    made = {overlay: sorted(one["kind"] for one in manifests(overlay)) for overlay in OVERLAYS}
    shared = ["ConfigMap", "Ingress", "NetworkPolicy", "Service", "ServiceAccount"]
    assert made["small"] == sorted([*shared, "StatefulSet"])
    assert made["scaled"] == sorted(
        [*shared, "Deployment", "Deployment", "HorizontalPodAutoscaler", "Job", "PodDisruptionBudget"]
    )


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_pods_are_nobody_and_can_change_nothing_of_themselves(overlay: str) -> None:
    for kind, pod in pods(overlay):
        assert pod["securityContext"]["runAsNonRoot"], kind
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert {"/tmp", "/var/lib/larder"} == {mount["mountPath"] for mount in container["volumeMounts"]}  # noqa: S108
            assert container["resources"]["requests"]
            assert container["resources"]["limits"]["memory"]
            assert not container["image"].endswith((":latest", "larder"))


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_no_service_of_the_cluster_becomes_a_setting(overlay: str) -> None:
    # A Service named `larder` would set LARDER_PORT=tcp://... in every pod beside it.
    assert [pod["enableServiceLinks"] for _, pod in pods(overlay)] == [False] * len(list(pods(overlay)))


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_pods_run_commands_that_there_are_with_settings_that_are_taken(overlay: str) -> None:
    [settings] = [one["data"] for one in manifests(overlay) if one["kind"] == "ConfigMap"]
    for _, pod in pods(overlay):
        [container] = pod["containers"]
        make_parser().parse_args(container["args"])
        own = {one["name"]: one["value"] for one in container.get("env", [])}
        read_settings({**settings, **own})


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_probes_ask_routes_that_are_open_to_all(overlay: str) -> None:
    asked = {
        container[probe]["httpGet"]["path"]
        for _, pod in pods(overlay)
        for container in pod["containers"]
        for probe in ("startupProbe", "livenessProbe", "readinessProbe")
        if probe in container
    }
    assert asked == {"/-/liveness", "/-/readiness"}
    assert asked <= {endpoint.path for endpoint in ENDPOINTS}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_service_finds_the_pods_that_listen(overlay: str) -> None:
    [selector] = [one["spec"]["selector"] for one in manifests(overlay) if one["kind"] == "Service"]
    found = [
        one["spec"]["template"]["spec"]
        for one in manifests(overlay)
        if "template" in one.get("spec", {})
        and selector.items() <= one["spec"]["template"]["metadata"]["labels"].items()
    ]
    assert [pod["containers"][0]["ports"][0]["name"] for pod in found] == ["http"]


def test_a_pod_of_the_api_is_given_the_time_that_it_takes_to_drain() -> None:
    [api] = [pod for _, pod in pods("scaled") if pod["containers"][0]["args"] == ["api"]]
    [container] = api["containers"]
    settings = read_settings({one["name"]: one["value"] for one in container["env"]})
    probe = container["readinessProbe"]
    assert settings.drain_seconds > probe["periodSeconds"] * probe["failureThreshold"] + probe["timeoutSeconds"]
    assert api["terminationGracePeriodSeconds"] >= settings.drain_seconds + settings.limits.grace_seconds + 5
