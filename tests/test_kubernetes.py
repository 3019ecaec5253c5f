"""deploy/kubernetes/: rendered by Kustomize, validated strictly against Kubernetes' schemas, without a cluster."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

PROJECT = Path(__file__).resolve().parent.parent
KUBERNETES = PROJECT / "deploy" / "kubernetes"
VERSION = "1.31"
APPLIED = ("base", "keda", "prometheus-adapter", "load")
# Of kustomize itself, and values of a Helm chart: nothing that is sent to a cluster.
NO_MANIFESTS = {"kustomization.yaml", "adapter-values.yaml"}
NEEDS_KUBECTL = pytest.mark.skipif(shutil.which("kubectl") is None, reason="no kubectl here to render with")
# What the schema of this custom resource allows. Source: https://keda.sh/docs/2.15/reference/scaledobject-spec/
SCALED_OBJECT = {
    "scaleTargetRef", "pollingInterval", "cooldownPeriod", "initialCooldownPeriod", "idleReplicaCount",
    "minReplicaCount", "maxReplicaCount", "fallback", "advanced", "triggers",
}  # fmt: skip


def manifests() -> list[Path]:
    return sorted(path for path in KUBERNETES.rglob("*.yaml") if path.name not in NO_MANIFESTS)


def documents(text: str) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(text) if document]


def rendered(folder: Path) -> list[dict[str, Any]]:
    """Return what `kubectl apply -k` would send."""
    done = subprocess.run(["kubectl", "kustomize", folder], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return documents(done.stdout)


def judge(document: dict[str, Any]) -> None:
    """Validate one document strictly.

    Raises:
        Exception: an unknown field, a missing one, or a wrong type.
    """
    if document["apiVersion"].startswith("keda.sh/"):
        assert set(document) == {"apiVersion", "kind", "metadata", "spec"}
        assert set(document["spec"]) <= SCALED_OBJECT
        behaviour = document["spec"]["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
        # KEDA hands this part on as it is: the autoscaler's own schema holds for it.
        judge(autoscaler(behaviour))
        return
    kubernetes_validate.validate(document, VERSION, strict=True)


def autoscaler(behaviour: dict[str, Any]) -> dict[str, Any]:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "triton"}
    spec = {"scaleTargetRef": target, "maxReplicas": 2, "behavior": behaviour}
    return {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "t"}, "spec": spec}


def named(documents: list[dict[str, Any]], kind: str, name: str = "triton") -> dict[str, Any]:
    (found,) = [d for d in documents if d["kind"] == kind and d["metadata"]["name"] == name]
    return found


@pytest.mark.parametrize("path", manifests(), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_manifest_is_valid(path: Path) -> None:
    found = documents(path.read_text())
    assert found
    for document in found:
        judge(document)


def test_a_mistyped_field_would_be_found() -> None:
    triton = named(documents((KUBERNETES / "base" / "triton.yaml").read_text()), "Deployment")
    triton["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError, match="readynessProbe"):
        judge(triton)
    with pytest.raises(kubernetes_validate.ValidationError):
        judge(autoscaler({"scaleUp": {"policies": [{"type": "Percent", "value": "100"}]}}))


@NEEDS_KUBECTL
@pytest.mark.parametrize("name", APPLIED)
def test_every_overlay_renders_to_valid_manifests_with_the_tags_of_versions_env(name: str) -> None:
    found = rendered(KUBERNETES / name)
    tags = (PROJECT / "docker" / "versions.env").read_text()
    for document in found:
        judge(document)
        assert document["kind"] == "Namespace" or document["metadata"]["namespace"] == "batchlab"
    images = re.findall(r"'image': '([^']+)'", str(found))
    assert images
    for image in images:
        assert re.search(rf"^\w+_IMAGE={re.escape(image)}$", tags, re.MULTILINE), image
    # The ConfigMap of tags is read by Kustomize and not sent.
    assert not [d for d in found if d["metadata"]["name"] == "versions"]


@NEEDS_KUBECTL
def test_the_gpu_component_gives_each_replica_a_gpu(tmp_path: Path) -> None:
    shutil.copytree(PROJECT / "deploy", tmp_path / "deploy")
    (tmp_path / "docker").mkdir()
    for name in ("kustomization.yaml", "versions.env"):
        shutil.copy(PROJECT / "docker" / name, tmp_path / "docker" / name)
    overlay = tmp_path / "deploy" / "kubernetes" / "keda"
    text = (overlay / "kustomization.yaml").read_text()
    # The line that a user takes the mark away from.
    assert "# components: [../gpu]" in text
    (overlay / "kustomization.yaml").write_text(text.replace("# components", "components"))
    triton = named(rendered(overlay), "Deployment")
    judge(triton)
    container = triton["spec"]["template"]["spec"]["containers"][0]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert "--model-config-name=gpu" in container["args"]


def test_everything_runs_without_rights_and_is_probed() -> None:
    seen = set()
    for path in manifests():
        for document in documents(path.read_text()):
            pod = document.get("spec", {}).get("template", {}).get("spec")
            if not pod:
                continue
            seen.add(document["metadata"]["name"])
            assert pod["securityContext"]["runAsNonRoot"]
            assert pod["automountServiceAccountToken"] is False
            for container in pod["containers"]:
                assert container["securityContext"]["readOnlyRootFilesystem"]
                assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
                assert {"cpu", "memory"} <= set(container["resources"]["requests"])
                assert "memory" in container["resources"]["limits"]
    assert seen == {"models", "triton", "locust", "locust-worker"}
    triton = named(documents((KUBERNETES / "base" / "triton.yaml").read_text()), "Deployment")
    container = triton["spec"]["template"]["spec"]["containers"][0]
    assert {"startupProbe", "readinessProbe", "livenessProbe"} <= set(container)
    assert "replicas" not in triton["spec"]


def test_scaling_reads_metrics_that_triton_has() -> None:
    known = set(re.findall(r"nv_inference_\w+", (PROJECT / "docker" / "prometheus" / "rules.yml").read_text()))
    for name in ("keda/scaled-object.yaml", "prometheus-adapter/adapter-values.yaml"):
        used = set(re.findall(r"nv_inference_\w+", (KUBERNETES / name).read_text()))
        assert "nv_inference_queue_duration_us" in used
        assert used <= known
    asked = named(documents((KUBERNETES / "prometheus-adapter" / "autoscaler.yaml").read_text()),
                  "HorizontalPodAutoscaler")["spec"]["metrics"][0]["pods"]["metric"]["name"]  # fmt: skip
    values = yaml.safe_load((KUBERNETES / "prometheus-adapter" / "adapter-values.yaml").read_text())
    assert values["rules"]["custom"][0]["name"]["as"] == asked


def test_the_locustfile_sends_what_the_classifier_takes() -> None:
    text = (KUBERNETES / "load" / "locustfile.py").read_text()
    compile(text, "locustfile.py", "exec")
    config = (PROJECT / "triton_repo" / "text_classifier" / "config.pbtxt").read_text()
    (name,) = re.findall(r'input \{ name: "(\w+)" data_type: TYPE_STRING', config)
    assert f'"name": "{name}"' in text
    assert 'MODEL", "text_classifier"' in text
