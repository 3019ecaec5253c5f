"""Prometheus' rules and Grafana's dashboard: checked by promtool, and by a real Prometheus on a real Triton."""

import asyncio
import contextlib
import json
import re
import shutil
import socket
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import small_models
import yaml

from batchlab import server
from batchlab.plots import COLOURS
from batchlab.repository import DynamicBatching, QueuePolicy
from batchlab.server import Server

DOCKER = Path(__file__).resolve().parent.parent / "docker"
PROMETHEUS = DOCKER / "prometheus"
DASHBOARD = json.loads((DOCKER / "grafana" / "dashboards" / "batchlab.json").read_text())
NEEDED = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="no prometheus; scripts/install-system-packages installs it"
)
FROM_PROMETHEUS = {"up", "ALERTS"}
KEYWORDS = {"and", "or", "unless", "bool", "by", "on", "without", "group_left", "sum", "max"}
CRITICAL, BEST_EFFORT = "fraud_check", "ad_scoring"
BODY = json.dumps({"inputs": [{"name": "item", "shape": [1, 1], "datatype": "INT32", "data": [1]}]}).encode()


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((PROMETHEUS / "rules.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def recorded() -> set[str]:
    return {rule["record"] for rule in rules() if "record" in rule}


def shown() -> list[str]:
    """Return every query of the dashboard."""
    return [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", ())]


def metrics_of(expression: str) -> set[str]:
    """Return the metric names in a PromQL expression."""
    plain = re.sub(r'"[^"]*"|\{[^}]*\}|\[[^]]*\]|\b(?:by|on|without|group_left)\s*\([^)]*\)', " ", expression)
    return set(re.findall(r"(?<![\w:.])([A-Za-z_:][\w:]*)(?![\w:]*\s*\()", plain)) - KEYWORDS


def promtool(*words: str) -> subprocess.CompletedProcess[str]:
    command = ["promtool", *words]
    return subprocess.run(command, cwd=PROMETHEUS, capture_output=True, text=True, timeout=120)


# Without a server


def test_names_are_found_in_an_expression() -> None:
    expression = 'sum by (m, n) (rate(a_b{x="y"}[5m])) / (c:d:e > 0) and on (m) f'
    assert metrics_of(expression) == {"a_b", "c:d:e", "f"}


@NEEDED
@pytest.mark.parametrize("words", ["check config prometheus.yml", "check rules rules.yml", "test rules rules_test.yml"])
def test_promtool_agrees(words: str) -> None:
    done = promtool(*words.split())
    assert done.returncode == 0, done.stdout + done.stderr


@NEEDED
def test_the_rules_tests_can_fail(tmp_path: Path) -> None:
    shutil.copy(PROMETHEUS / "rules.yml", tmp_path)
    cases = yaml.safe_load((PROMETHEUS / "rules_test.yml").read_text())
    down = next(case for case in cases["tests"] if "does not answer" in case["name"])
    down["input_series"][0]["values"] = "1x9"
    (tmp_path / "broken.yml").write_text(yaml.safe_dump({**cases, "tests": [down]}))
    done = promtool("test", "rules", str(tmp_path / "broken.yml"))
    assert done.returncode == 1
    assert "TritonDown" in done.stdout + done.stderr


def test_every_alert_is_tested_and_explained() -> None:
    alerts = {rule["alert"] for rule in rules() if "alert" in rule}
    cases = yaml.safe_load((PROMETHEUS / "rules_test.yml").read_text())["tests"]
    fired = {each["alertname"] for case in cases for each in case.get("alert_rule_test", ()) if each["exp_alerts"]}
    page = (DOCKER.parent / "docs" / "monitoring.md").read_text()
    assert fired == alerts
    assert alerts == set(re.findall(r"^\| `(\w+)` \|", page, flags=re.MULTILINE))


def test_every_panel_of_the_dashboard_is_explained() -> None:
    page = (DOCKER.parent / "docs" / "monitoring.md").read_text()
    titles = {panel["title"] for panel in DASHBOARD["panels"] if panel["type"] != "row"}
    assert titles == set(re.findall(r"^\| \*\*([^*]+)\*\* \|", page, flags=re.MULTILINE))
    assert all(panel["description"] for panel in DASHBOARD["panels"] if panel["type"] != "row")


def test_the_dashboard_shows_recorded_series_with_the_slo_and_the_course_s_colours() -> None:
    names = set().union(*(metrics_of(expression) for expression in shown()))
    assert names <= recorded() | FROM_PROMETHEUS
    assert {"model:queue_ms:mean10s", "model:compute_ms:mean10s", "model:batch:mean10s", "model:pending:sum"} <= names
    assert {"model:rejected:rate10s", "model:slo_ms"} <= names
    text = json.dumps(DASHBOARD)
    for concept in ("queue", "compute", "slo", "throughput"):
        assert f'"fixedColor": "{COLOURS[concept]}"' in text


def test_the_dashboard_hangs_together() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    source = yaml.safe_load((DOCKER / "grafana/provisioning/datasources/prometheus.yml").read_text())["datasources"][0]
    used = {part["datasource"]["uid"] for panel in panels for part in [*panel.get("targets", ()), panel]
            if "datasource" in part}  # fmt: skip
    assert used == {source["uid"]}
    variables = {each["name"] for each in DASHBOARD["templating"]["list"]}
    assert set(re.findall(r"\$(\w+)", " ".join(shown()))) <= variables


# A real Prometheus, watching a real Triton


@pytest.fixture(scope="module")
def triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A quick critical model and a slow one whose queue times out, with summaries on."""
    repository = tmp_path_factory.mktemp("repository")
    small_models.put_emulated(repository, CRITICAL, "1:2", "a", max_batch_size=1)
    slow = small_models.put_emulated(repository, BEST_EFFORT, "1:100", "b", max_batch_size=1)
    policy = QueuePolicy(default_timeout_microseconds=5_000_000)
    changed = slow.replace(dynamic_batching=DynamicBatching(default_queue_policy=policy))
    (repository / BEST_EFFORT / "config.pbtxt").write_text(changed.to_pbtxt())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BATCHLAB_HOME", str(tmp_path_factory.mktemp("home")))
        summaries = ["--metrics-config", "summary_latencies=true"]
        names = [CRITICAL, BEST_EFFORT]
        with server.start(names, repository=repository, reuse=False, extra_args=summaries) as started:
            yield started


@pytest.mark.server
def test_every_metric_of_the_rules_is_one_of_triton_s(triton: Server) -> None:
    used = set().union(*(metrics_of(rule["expr"]) for rule in rules()))
    assert used <= set(triton.metrics()) | recorded() | FROM_PROMETHEUS
    assert "nv_inference_queue_duration_us" in used


class Prometheus:
    """A Prometheus on 127.0.0.1 that scrapes one target by the project's own files."""

    def __init__(self, folder: Path, target: str) -> None:
        shutil.copytree(PROMETHEUS, folder / "etc")
        (folder / "etc" / "targets.yml").write_text(yaml.safe_dump([{"targets": [target]}]))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.url = f"127.0.0.1:{probe.getsockname()[1]}"
        command = ["setpriv", "--pdeathsig", "KILL", "prometheus"]  # it ends with the tests, however they end
        options = {
            "config.file": folder / "etc" / "prometheus.yml",
            "storage.tsdb.path": folder / "data",
            "web.listen-address": self.url,
            "log.level": "warn",
        }
        command += [f"--{name}={value}" for name, value in options.items()]
        self.log = (folder / "log").open("w")
        self.process = subprocess.Popen(command, cwd=folder, stdout=self.log, stderr=subprocess.STDOUT)

    def query(self, expression: str) -> list[dict[str, Any]]:
        words = urllib.parse.urlencode({"query": expression})
        with urllib.request.urlopen(f"http://{self.url}/api/v1/query?{words}", timeout=10) as answer:
            return list(json.load(answer)["data"]["result"])

    def up(self) -> bool:
        assert self.process.poll() is None, Path(self.log.name).read_text()
        with contextlib.suppress(OSError):
            return any(each["value"][1] == "1" for each in self.query("up"))
        return False

    def __enter__(self) -> "Prometheus":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(20)
        self.log.close()


async def send(url: str, model: str, rate_rps: float, stop: threading.Event) -> None:
    """Send requests at an even rate, whether answers come or not."""
    host, port = url.split(":")
    head = f"POST /v2/models/{model}/infer HTTP/1.1\r\nHost: x\r\nContent-Length: {len(BODY)}\r\n\r\n".encode()

    async def ask() -> None:
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(head + BODY)
            await reader.read(1)
            writer.close()

    waiting: set[asyncio.Task[None]] = set()
    while not stop.is_set():
        waiting.add(task := asyncio.create_task(ask()))
        task.add_done_callback(waiting.discard)
        await asyncio.sleep(1 / rate_rps)
    for task in waiting:
        task.cancel()


@contextlib.contextmanager
def traffic(url: str, rates_rps: dict[str, float]) -> Iterator[None]:
    stop = threading.Event()

    async def both() -> None:
        await asyncio.gather(*(send(url, model, rate, stop) for model, rate in rates_rps.items()))

    thread = threading.Thread(target=lambda: asyncio.run(both()))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(20)


def until(true: Callable[[], bool], within_s: float, what: Callable[[], object]) -> None:
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline, what()
        time.sleep(0.5)


@NEEDED
@pytest.mark.server
def test_a_real_prometheus_sees_a_real_triton_overloaded_and_its_alerts_fire(triton: Server, tmp_path: Path) -> None:
    with Prometheus(tmp_path, triton.metrics_url) as prometheus:

        def firing() -> set[tuple[str, str]]:
            found = prometheus.query('ALERTS{alertstate="firing"}')
            return {(each["metric"]["alertname"], each["metric"].get("model", "")) for each in found}

        until(prometheus.up, 20, lambda: "Prometheus does not reach Triton")
        assert firing() == set()
        wanted = {("QueueGrows", BEST_EFFORT), ("RequestsRejected", BEST_EFFORT)}
        # 10 a second is what the slow model can do.
        with traffic(triton.url, {BEST_EFFORT: 40, CRITICAL: 10}):
            until(lambda: wanted <= firing(), 30, firing)
            # The critical model has a device of its own. (A stall of this machine may well burn its SLO.)
            assert not firing() & {("QueueGrows", CRITICAL), ("RequestsRejected", CRITICAL)}
            for expression in shown():
                both = expression.replace("$model", ".+").replace("$instance", ".+")
                until(lambda both=both: bool(prometheus.query(both)), 15, lambda both=both: f"nothing for {both}")
        rate = prometheus.query(f'max_over_time(model:requests:rate10s{{model="{BEST_EFFORT}"}}[1m])')
        assert 4 < float(rate[0]["value"][1]) < 13
