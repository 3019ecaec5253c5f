"""``batchlab load`` on a server reached by URL: numbers, files, exit status, one line for each bad input."""

import json

import numpy as np
import pytest
from fake_server import MODEL, FakeServer
from typer.testing import CliRunner

from batchlab import arrivals, journal
from batchlab.cli import app
from batchlab.plan import Plan

pytestmark = pytest.mark.alone


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    monkeypatch.setenv("BATCHLAB_HOME", str(tmp_path))
    monkeypatch.setenv("BATCHLAB_PROGRESS", "0")
    monkeypatch.delenv("BATCHLAB_URL", raising=False)
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def server():
    with FakeServer(service_ms=2) as fake:
        yield fake


def run(server, *arguments, model=MODEL):
    return CliRunner().invoke(app, ["load", model, "--url", server.url, *map(str, arguments)])


def test_json_has_every_number(server):
    done = run(server, "--rate", 50, "--seconds", 1, "--slo-p99-ms", 500, "--seed", 7, "--json")
    told = json.loads(done.stdout)
    planned = arrivals.poisson(50, 1, seed=7)
    assert told["requests"] == len(planned)
    assert told["throughput_rps"] > 0
    assert told["goodput_rps"] == pytest.approx(told["throughput_rps"])
    assert told["p50_ms"] >= 2
    assert told["lateness_p99_ms"] >= 0
    assert told["provenance"]["seed"] == 7
    # Fifty requests prove no P99: the status says that the SLO is open.
    assert told["verdict"]["outcome"] in ("NEED MORE DATA", "NOT VALID")
    assert done.exit_code == 1


def test_the_table_names_the_three_rates_and_the_verdict(server):
    done = run(server, "--rate", 40, "--seconds", 1, "--pattern", "constant", "--slo-p99-ms", 500)
    for word in ("constant: 40 requests", "offered", "throughput", "goodput", "P99", "lateness P99", "mean batch"):
        assert word in done.stdout
    assert "NEED MORE DATA" in done.stdout or "NOT VALID" in done.stdout


@pytest.mark.parametrize("pattern", ["gamma", "on-off", "spike", "ramp", "diurnal"])
def test_every_pattern_makes_a_plan_of_its_own(server, tmp_path, pattern):
    done = run(server, "--rate", 60, "--seconds", 20, "--pattern", pattern, "--plan", tmp_path / "plan.npz")
    assert done.exit_code == 0, done.output
    assert "BATCHLAB_PLAN=" in done.stdout
    plan = Plan.load(tmp_path / "plan.npz")
    assert 200 < len(plan.times_s) < 2500
    assert 0 < plan.end_s <= 20
    assert server.fetch("/arrivals")["arrivals"] == []


def test_a_trace_is_replayed_and_the_record_kept(server, tmp_path):
    times = np.array([100.0, 100.1, 100.15, 100.4])
    (tmp_path / "trace.json").write_text(json.dumps(times.tolist()))
    out = tmp_path / "kept.jsonl"
    done = run(server, "--trace", tmp_path / "trace.json", "--out", out)
    assert out.exists(), done.output
    kept = journal.load(out)
    assert np.allclose(np.sort(kept.samples["intended_s"]), times - 100)


def test_requests_carry_their_priority_and_their_patience(server):
    asked = ("--priority", 2, "--queue-timeout-ms", 1.5, "--retries", 1)
    done = run(server, "--rate", 40, "--seconds", 1, "--json", *asked)
    assert json.loads(done.stdout)["requests"] > 0
    carried = server.fetch("/arrivals")["parameters"]
    assert carried[1:]
    assert {(each["priority"], each["timeout"]) for each in carried[1:]} == {(2, 1500)}


def test_a_closed_loop_by_clients(server):
    done = run(server, "--clients", 3, "--seconds", 0.5, "--json")
    told = json.loads(done.stdout)
    assert (told["kind"], told["valid"], told["verdict"]) == ("closed_loop", True, None)
    assert done.exit_code == 0
    assert told["requests"] > 10


def test_inputs_of_one_s_own(server, tmp_path):
    np.savez(tmp_path / "own.npz", item=np.ones((5, 1), np.int32))
    done = run(server, "--clients", 1, "--seconds", 0.3, "--inputs", tmp_path / "own.npz", "--json")
    told = json.loads(done.stdout)
    assert told["throughput_ips"] == pytest.approx(5 * told["throughput_rps"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--rate", "-3"], "rate_rps must be a finite number above 0, got -3"),
        (["--rate", "0"], "rate_rps must be a finite number above 0, got 0"),
        (["--seconds", "0"], "seconds must be a finite number above 0"),
        (["--burstiness", "0", "--pattern", "gamma"], "burstiness must be"),
        (["--clients", "0"], "clients must be 1 or more"),
        (["--workers", "0"], "workers must be 1 or more"),
        (["--batch-size", "9"], "Batch size 9 is out of range"),
        (["--slo-p99-ms", "0"], "number of milliseconds above 0"),
        (["--trace", "none.csv"], "none.csv cannot be read"),
        (["--inputs", "none.npz"], "none.npz holds no request inputs"),
        (["--out", "no/such/run.jsonl"], "there is no folder"),
        (["--clients", "1", "--plan", "p.npz"], "a plan needs a schedule"),
        (["--clients", "1", "--priority", "1"], "leave --clients out"),
        (["--retries", "-1"], "retries must lie in 0 to"),
    ],
)
def test_bad_input_is_one_clear_line(server, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    done = run(server, *arguments)
    assert done.exit_code == 2, done.output
    assert words in done.stderr
    assert "Traceback" not in done.output
    assert server.fetch("/arrivals")["arrivals"] == []


def test_a_trace_with_a_bad_line_names_the_line(server, tmp_path):
    (tmp_path / "trace.csv").write_text("time_s\n0.1\nsoon\n")
    done = run(server, "--trace", tmp_path / "trace.csv")
    assert done.exit_code == 2
    assert "line 3" in done.stderr


def test_no_server_is_one_clear_line(server):
    server.kill()
    done = run(server)
    assert done.exit_code == 1
    assert f"No Triton answers at {server.url}" in done.stderr


OTHER = ["--protocol", "http", "--path", "/classify/$model", "--tier", "cpu", "--rate", 40, "--seconds", 1, "--json"]


def test_any_http_server_takes_a_path_a_body_and_headers(server):
    done = run(server, *OTHER, "--body", '{"parameters": {"size": $size}}', "--header", "X-Key: a:b", "--seed", 3)
    told = json.loads(done.stdout)
    assert told["errors"] == 0
    assert told["lateness_p99_ms"] >= 0
    assert told["mean_batch"] is None
    assert told["provenance"]["details"]["protocol"] == "http"
    heard = server.fetch("/arrivals")
    assert set(heard["paths"]) == {f"/classify/{MODEL}"}
    assert heard["parameters"][0] == {"size": 1}


def test_another_protocol_posts_a_file_as_it_is(server, tmp_path):
    (tmp_path / "request.json").write_text('{"text": "hi"}')
    done = run(server, *OTHER, "--inputs", tmp_path / "request.json")
    assert done.exit_code in (0, 1), done.output
    assert set(server.fetch("/arrivals")["lengths"]) == {14}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--protocol", "mosek", "--tier", "cpu"], "No protocol is called 'mosek'"),
        (["--protocol", "mosec"], "does not tell what computes"),
        (["--protocol", "http", "--tier", "cpu"], "say where to post"),
        (["--protocol", "http", "--tier", "cpu", "--path", "here"], "must begin with '/'"),
        (["--protocol", "http", "--tier", "cpu", "--path", "/a", "--header", "none"], "is no 'Name: value'"),
        (["--path", "/predict"], "go with another --protocol"),
        (["--protocol", "mosec", "--tier", "cpu", "--priority", "1"], "only Triton knows priorities"),
        (["--protocol", "mosec", "--tier", "cpu", "--inputs", "none.json"], "cannot be posted"),
        (["--protocol", "mosec", "--tier", "cpu", "--batch-size", "2"], "requests of one item"),
        (["--protocol", "mosec", "--tier", "cpu", "--size", "2"], "leave --batch-size and --size out"),
    ],
)
def test_bad_input_of_other_protocols_is_one_clear_line(server, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    done = run(server, *arguments)
    assert done.exit_code == 2, done.output
    assert words in done.stderr
    assert "Traceback" not in done.output


def test_another_server_needs_its_address_and_garbage_is_told():
    import http.server
    import threading

    class Html(http.server.BaseHTTPRequestHandler):
        def do_POST(self):  # the name that the standard library asks for
            self.send_response(200)
            self.send_header("Content-Length", "6")
            self.end_headers()
            self.wfile.write(b"<html>")

        def log_message(self, *arguments):
            pass

    asked = ["load", "m", "--protocol", "litserve", "--tier", "cpu"]
    done = CliRunner().invoke(app, asked)
    assert done.exit_code == 2
    assert "say where the other server is" in done.stderr
    with http.server.HTTPServer(("127.0.0.1", 0), Html) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        done = CliRunner().invoke(app, [*asked, "--url", f"127.0.0.1:{server.server_port}"])
        server.shutdown()
    assert done.exit_code == 1
    assert "is no litserve server: it answers b'<html>'" in done.stderr
