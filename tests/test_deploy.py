"""The deployment files: valid against the schemas, and about a server that there is."""

import re
from pathlib import Path

import pytest
import typer
import yaml

from ghostnet.cli.main import command

REPOSITORY = Path(__file__).resolve().parents[1]
DEPLOY = REPOSITORY / "deploy"

KUBERNETES = list(yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text()))
KSERVE = yaml.safe_load((DEPLOY / "kserve.yaml").read_text())

PROCESS_MIB = 256
"""What a server takes beside its requests."""

# As in KServe's pkg/apis/serving/v1beta1, component.go: what an InferenceService's predictor has
# beside the fields of a PodSpec. The minimal CRD leaves both to KServe's webhook.
COMPONENT = {
    "minReplicas": {"type": "integer", "minimum": 0},
    "maxReplicas": {"type": "integer", "minimum": 0},
    "scaleTarget": {"type": "integer", "minimum": 1},
    "scaleMetric": {"enum": ["cpu", "memory", "concurrency", "rps"]},
    "containerConcurrency": {"type": "integer", "minimum": 0},
    "timeout": {"type": "integer", "minimum": 1},
    "canaryTrafficPercent": {"type": "integer", "minimum": 0, "maximum": 100},
    "labels": {"type": "object", "additionalProperties": {"type": "string"}},
    "annotations": {"type": "object", "additionalProperties": {"type": "string"}},
}

INFERENCE_SERVICE = {
    "type": "object",
    "required": ["apiVersion", "kind", "metadata", "spec"],
    "additionalProperties": False,
    "properties": {
        "apiVersion": {"const": "serving.kserve.io/v1beta1"},
        "kind": {"const": "InferenceService"},
        "metadata": {
            "type": "object",
            "required": ["name"],
            "properties": {
                "name": {"type": "string", "pattern": "^[a-z]([-a-z0-9]*[a-z0-9])?$"},
                "annotations": COMPONENT["annotations"],
            },
        },
        "spec": {
            "type": "object",
            "required": ["predictor"],
            "additionalProperties": False,
            "properties": {
                "predictor": {
                    "type": "object",
                    "required": ["containers"],
                    "properties": COMPONENT,
                }
            },
        },
    },
}


def predictor_pod() -> dict:
    """The predictor as the pod that KServe makes of it."""
    predictor = KSERVE["spec"]["predictor"]
    spec = {name: value for name, value in predictor.items() if name not in COMPONENT}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "predictor"}, "spec": spec}


def test_the_manifests_are_valid() -> None:
    kubernetes = pytest.importorskip("kubernetes_validate", reason="needs the extra dev")
    for document in (*KUBERNETES, predictor_pod()):
        kubernetes.validate(document, kubernetes.latest_version(), strict=True)


def test_the_inference_service_is_valid() -> None:
    schemas = pytest.importorskip("jsonschema", reason="needs the extra dev")
    schemas.validate(KSERVE, INFERENCE_SERVICE)


def test_the_inference_service_names_the_container_as_kserve_does() -> None:
    (container,) = KSERVE["spec"]["predictor"]["containers"]
    assert container["name"] == "kserve-container"


def containers() -> list[dict]:
    deployment = next(document for document in KUBERNETES if document["kind"] == "Deployment")
    return [
        *deployment["spec"]["template"]["spec"]["containers"],
        *KSERVE["spec"]["predictor"]["containers"],
    ]


@pytest.mark.parametrize("container", containers(), ids=lambda container: container["name"])
def test_a_container_starts_the_server_as_the_command_takes_it(container: dict) -> None:
    verb, *words = container["args"]
    serve = typer.main.get_command(command([verb])).commands[verb]
    parameters = serve.make_context(verb, words, resilient_parsing=True).params
    assert parameters["port"] == container["ports"][0]["containerPort"]
    assert parameters["host"] == "0.0.0.0"
    memory = container["resources"]["limits"]["memory"]
    assert memory == f"{parameters['workers'] * (parameters['memory_mib'] + PROCESS_MIB)}Mi"
    assert f"takes up to {PROCESS_MIB} MiB" in (REPOSITORY / "docs/serving.md").read_text()


def test_metrics_are_scraped_where_no_token_is_asked() -> None:
    pod = KUBERNETES[0]["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    words = container["args"]
    port = words[words.index("--metrics-port") + 1]
    assert pod["metadata"]["annotations"]["prometheus.io/port"] == port
    assert {"name": "metrics", "containerPort": int(port)} in container["ports"]


def test_the_selectors_find_the_pods() -> None:
    deployment, service, budget = KUBERNETES
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"] == labels
    assert service["spec"]["selector"] == labels
    assert budget["spec"]["selector"]["matchLabels"] == labels


def test_the_dockerfile_builds_what_the_manifests_run() -> None:
    text = (REPOSITORY / "Dockerfile").read_text()
    stages = re.findall(r"^FROM (\S+)(?: AS (\S+))?$", text, re.MULTILINE)
    names = [name for _, name in stages]
    assert "serve" in names
    for source in re.findall(r"--from=(\S+)", text):
        assert source in names
    assert all(container["image"].startswith("ghostnet-serve:") for container in containers())
    for file in re.findall(r"/source/(requirements/\S+\.txt)", text):
        assert (REPOSITORY / file).exists()
