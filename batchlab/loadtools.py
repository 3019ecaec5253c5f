"""hey, wrk, vegeta and JMeter: the files each is given, the command, and how its answer is read back.

Each class is a `batchlab.external.Tool`. Their attributes are the rows of the table of what each tool hides; every
statement was read in the tool's source or manual, named in `source`.
"""

import csv
import io
import json
import shutil
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from urllib.parse import urlsplit
from xml.sax.saxutils import escape

import numpy as np

from batchlab import traces
from batchlab.external import ExternalError, Plan, Report, Tool, execute, lateness_note, not_found, reported, samples

US_PER_S = 1_000_000


def tools() -> list[Tool]:
    """Return the tools that Batchlab speaks, installed or not."""
    return [Hey(), Wrk(), Vegeta(), JMeter()]


class Hey:
    """hey: a fixed number of workers, each waiting for its answer and, with ``-q``, for its own ticker."""

    name = "hey"
    install = "apt-get install hey"
    loop = "closed: a worker waits for its answer"
    schedule = "mean rate only, the same for each worker, all workers in step"
    latency_from = "the actual send"
    resolution = "0.1 ms in the CSV"
    hides = (
        "waiting before the send (the ticker drops ticks while a worker is busy); failed requests are not in the CSV"
    )
    source = "rakyll/hey v0.1.4, requester/requester.go (runWorker), requester/report.go (runReporter)"

    def missing(self) -> bool:
        """Whether it is not installed here."""
        return not_found("hey")

    def prepare(self, folder: Path, plan: Plan) -> Sequence[str]:
        """Write the body; hey sends one body only."""
        _one_body(self.name, plan)
        (folder / "body").write_bytes(plan.target.body)
        # hey sends requests // workers each, so that a remainder is never sent.
        requests, workers = len(plan.arrivals), min(plan.clients, len(plan.arrivals))
        rate = requests / plan.arrivals.seconds / workers
        command = ["hey", "-n", str(requests), "-c", str(workers), "-q", f"{rate:.6f}", "-m", "POST", "-o", "csv"]
        command += ["-t", str(max(1, round(plan.timeout_s))), "-D", "body"]
        kind = plan.target.headers.get("Content-Type", "application/octet-stream")
        others = [f"{name}: {value}" for name, value in plan.target.headers.items() if name != "Content-Type"]
        return [*command, "-T", kind, *(part for other in others for part in ("-H", other)), plan.target.url]

    def read(self, folder: Path, plan: Plan, output: str) -> Report:
        """Read the CSV rows; the intended time is unknown, so the record starts from the actual send."""
        rows = list(csv.DictReader(io.StringIO(output)))
        sent = np.array([float(row["offset"]) for row in rows])
        took = np.array([float(row["response-time"]) for row in rows])
        codes = [row["status-code"] for row in rows]
        errors = ["" if code.startswith("2") else f"HTTP {code}" for code in codes]
        run = plan.run("closed_loop", samples(sent, sent, took, errors), self.name)
        workers = min(plan.clients, len(plan.arrivals))
        lost = len(plan.arrivals) // workers * workers - len(rows)
        if lost:
            run.invalid.append(f"{lost} requests failed, and hey's CSV does not say when.")
        notes = ("Latency from the actual send: the wait for a free worker is not in it.",)
        good = np.array([not error for error in errors], dtype=bool)
        failed = int((~good).sum()) + lost
        return Report(self.name, reported(took[good] * 1000, failed, run.duration_s), run, notes)


class Wrk:
    """wrk: connections in one event loop, paced by a Lua script of ours."""

    name = "wrk"
    install = "apt-get install wrk"
    loop = "closed by nature; with our script open as long as a connection is free"
    schedule = "followed, to 1 ms"
    latency_from = "the actual send"
    resolution = "1 us"
    hides = (
        "waiting before the send; answers slower than the timeout are dropped from the latencies; latencies above "
        "twice a connection's mean interval are padded with invented samples; no raw samples, only counts per value"
    )
    source = "wg/wrk 4.1.0, SCRIPTING, src/wrk.c (response_complete, main), src/stats.c (stats_record, stats_correct)"

    def missing(self) -> bool:
        """Whether it is not installed here."""
        return not_found("wrk")

    def prepare(self, folder: Path, plan: Plan) -> Sequence[str]:
        """Write the schedule, the bodies and the script."""
        numbers: dict[bytes, int] = {}
        lines = []
        for time_s, body in zip(plan.arrivals.times_s, plan.target.sequence(plan.arrivals), strict=True):
            number = numbers.setdefault(body, len(numbers))
            lines.append(f"{round(time_s * US_PER_S)} {number}\n")
        for body, number in numbers.items():
            (folder / f"body-{number}").write_bytes(body)
        (folder / "schedule.txt").write_text("".join(lines))
        (folder / "schedule.lua").write_text(_data("wrk_schedule.lua"))
        headers = [part for name, value in plan.target.headers.items() for part in ("-H", f"{name}: {value}")]
        # One thread: the threads of wrk share no schedule. It stops at its duration and forgets what is in flight.
        seconds, timeout = int(np.ceil(plan.arrivals.seconds + 1.5)), max(1, round(plan.timeout_s))
        command = ["wrk", "-t", "1", "-c", str(plan.clients), "-d", f"{seconds}s", "--timeout", f"{timeout}s"]
        return [*command, "-s", "schedule.lua", *headers, plan.target.url]

    def read(self, folder: Path, plan: Plan, output: str) -> Report:
        """Read the line that the script prints."""
        found = [line for line in output.splitlines() if line.startswith("batchlab {")]
        if not found:
            raise ExternalError(f"wrk did not report: {output.strip()[-300:]}")
        told = json.loads(found[0].removeprefix("batchlab "))
        late_ms, sent = np.array(told["late_us"]) / 1000, len(told["late_us"])
        errors = told["status"] + told["timeout"] + told["socket"]
        numbers = {f"{key}_ms": told[f"{key}_us"] / 1000 for key in ("mean", "p50", "p99", "max")}
        numbers |= {"requests": float(sent), "errors": float(errors)}
        numbers["throughput_rps"] = (told["answered"] - told["status"]) / plan.arrivals.seconds
        notes = [f"{len(plan.arrivals) - sent} requests were never sent."] if sent < len(plan.arrivals) else []
        if sent:
            notes.append(
                f"It sent late by {np.quantile(late_ms, 0.99):.1f} ms at P99, and left that out of the latency."
            )
        return Report(self.name, numbers, None, tuple(notes))


class Vegeta:
    """vegeta: open loop at one constant rate."""

    name = "vegeta"
    install = "get a release from https://github.com/tsenart/vegeta/releases and put it on the PATH"
    loop = "open: it adds workers when all are busy"
    schedule = "mean rate only, evenly spaced: its command line has no other pacer"
    latency_from = "the moment a worker takes the request"
    resolution = "1 ns"
    hides = "bursts: a constant rate never queues as real traffic does"
    source = "tsenart/vegeta v12, README.md (-rate, -max-workers), lib/attack.go (Attack, hit), lib/pacer.go"

    def missing(self) -> bool:
        """Whether it is not installed here."""
        return not_found("vegeta")

    def prepare(self, folder: Path, plan: Plan) -> Sequence[str]:
        """Write the targets, bodies in the order of the schedule."""
        bodies = plan.target.sequence(plan.arrivals) if plan.target.bodies else [plan.target.body]
        traces.write_vegeta_targets(folder / "targets.json", plan.target.url, bodies, dict(plan.target.headers))
        every = f"{round(plan.arrivals.seconds * US_PER_S)}us"
        command = ["vegeta", "attack", "-format=json", "-targets=targets.json", "-output=results.bin"]
        command += [f"-rate={len(plan.arrivals)}/{every}", f"-duration={every}", f"-timeout={plan.timeout_s:g}s"]
        return [*command, f"-workers={plan.clients}", f"-max-workers={plan.clients}"]

    def read(self, folder: Path, plan: Plan, output: str) -> Report:
        """Read the results as CSV; intended times are those of its constant pacer, counted from the first request."""
        text = execute(["vegeta", "encode", "-to=csv", "results.bin"], folder, plan.timeout_s + 30)
        rows = sorted(csv.reader(io.StringIO(text)), key=lambda row: int(row[8]))
        sent = np.array([int(row[0]) for row in rows], dtype=np.int64)
        sent_s = (sent - sent[0]) / 1e9
        took = np.array([int(row[2]) for row in rows]) / 1e9
        errors = ["" if row[1].startswith("2") else row[5] or f"HTTP {row[1]}" for row in rows]
        intended = np.minimum(np.arange(len(rows)) / plan.arrivals.rate_rps, sent_s)
        run = plan.run("open_loop", samples(intended, sent_s, took, errors), self.name)
        good = np.array([not error for error in errors], dtype=bool)
        numbers = reported(took[good] * 1000, int((~good).sum()), run.duration_s)
        return Report(self.name, numbers, run, (lateness_note(run), "Evenly spaced: the bursts are gone."))


class JMeter:
    """JMeter: a pool of threads that takes a schedule from a CSV file."""

    name = "jmeter"
    install = "apt-get install --no-install-recommends jmeter jmeter-http default-jre-headless"
    loop = "closed by nature; with our plan open as long as a thread is free"
    schedule = "followed, to 1 ms"
    latency_from = "the actual send; our plan logs the due time as well, so the wait can be added back"
    resolution = "1 ms"
    hides = "waiting before the send, in its own reports; the start of Java, which our plan warms up first"
    source = "JMeter manual: glossary (elapsed time), component_reference (CSV Data Set Config, BeanShell Timer)"
    debian = Path("/usr/share/jmeter")
    lead_ms = 4000

    def missing(self) -> bool:
        """Whether it is not installed here."""
        return not_found("jmeter") or (self._is_debians() and not_found("java"))

    def _is_debians(self) -> bool:
        return shutil.which("jmeter") == "/usr/bin/jmeter" and (self.debian / "bin/ApacheJMeter.jar").is_file()

    def prepare(self, folder: Path, plan: Plan) -> Sequence[str]:
        """Write the plan, the schedule (a warm-up request for each thread first) and, for Debian's, its starter."""
        lines = []
        warm = [(-self.lead_ms // 2, plan.target.body)] * plan.clients
        due = np.rint(plan.arrivals.times_s * 1000).astype(int).tolist()
        for due_ms, body in [*warm, *zip(due, plan.target.sequence(plan.arrivals), strict=True)]:
            if b"\t" in body or b"\n" in body or not body.isascii():
                raise ExternalError("JMeter's plan carries one line of text a request: send JSON without tabs.")
            lines.append(f"{due_ms}\t{body.decode()}\n")
        (folder / "schedule.csv").write_text("".join(lines))
        parts = urlsplit(plan.target.url)
        names = [
            f'<elementProp name="" elementType="Header"><stringProp name="Header.name">{escape(name)}</stringProp>'
            f'<stringProp name="Header.value">{escape(value)}</stringProp></elementProp>'
            for name, value in plan.target.headers.items()
        ]
        values: dict[str, object] = {
            "CLIENTS": plan.clients,
            "LEAD_MS": self.lead_ms,
            "TIMEOUT_MS": round(plan.timeout_s * 1000),
        }
        values |= {"HOST": escape(parts.hostname or ""), "PORT": parts.port or 80, "PATH": escape(parts.path)}
        text = _data("jmeter_plan.jmx")
        for key, value in (values | {"HEADERS": "".join(names)}).items():
            text = text.replace(f"@{key}@", str(value))
        (folder / "plan.jmx").write_text(text)
        command = ["jmeter"]
        if self._is_debians():
            (folder / "start.bsh").write_text(_data("jmeter_debian.bsh"))
            jars = f"{self.debian}/bin/ApacheJMeter.jar:/usr/share/java/bsh.jar"
            command = ["java", "-Djava.awt.headless=true", f"-Djmeter.home={self.debian}", "-cp", jars]
            command += ["bsh.Interpreter", "start.bsh"]
        saved = {"output_format": "csv", "print_field_names": "true", "timestamp_format": "ms"}
        settings = {f"jmeter.save.saveservice.{key}": value for key, value in saved.items()}
        settings |= {"sampleresult.timestamp.start": "true", "sample_variables": "start_ms,due_ms"}
        settings |= {"jmeterengine.nongui.port": "0", "httpclient4.retrycount": "0"}
        command += ["-n", "-t", "plan.jmx", "-l", "result.csv", "-j", "jmeter.log"]
        return command + [f"-J{key}={value}" for key, value in settings.items()]

    def read(self, folder: Path, plan: Plan, output: str) -> Report:
        """Read the result log; intended times come from the schedule, not from JMeter's clock."""
        result = folder / "result.csv"
        if not result.is_file():
            raise ExternalError(f"JMeter wrote no results: {output.strip()[-300:]}")
        with result.open(encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if int(row["due_ms"]) >= 0]
        due = np.array([int(row["due_ms"]) for row in rows]) / 1000
        sent = np.array([int(row["timeStamp"]) - int(row["start_ms"]) for row in rows]) / 1000
        took = np.array([int(row["elapsed"]) for row in rows]) / 1000
        errors = ["" if row["success"] == "true" else f"{row['responseCode']} {row['responseMessage']}" for row in rows]
        run = plan.run("open_loop", samples(due, sent, took, errors), self.name)
        if len(rows) < len(plan.arrivals):
            run.invalid.append(f"JMeter logged {len(rows)} of {len(plan.arrivals)} requests.")
        good = np.array([not error for error in errors], dtype=bool)
        numbers = reported(took[good] * 1000, int((~good).sum()), run.duration_s)
        return Report(self.name, numbers, run, (lateness_note(run),) if rows else ())


def _data(name: str) -> str:
    return (resources.files("batchlab") / "data" / name).read_text(encoding="utf-8")


def _one_body(tool: str, plan: Plan) -> None:
    if plan.target.bodies and plan.arrivals.sizes is not None:
        raise ExternalError(f"{tool} sends one body only: leave out the sizes, or use vegeta, wrk or JMeter.")
