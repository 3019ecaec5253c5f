"""A server that is exactly known: enough of the KServe v2 protocol, a fixed service time, no Triton.

As a script it serves; as a module it offers `FakeServer`, which starts the script and stands in for `batchlab.server`.
The server notes when each request reached it, on the clock that senders and tests share, so that a test has a second
opinion on every send time.
"""

import asyncio
import json
import subprocess
import sys
import time
import urllib.request

from batchlab.provenance import Provenance
from batchlab.statistics import Snapshot

MODEL = "fixed"


class Service:
    """Answers after `service_ms`; with `devices` > 0 at most so many at a time, the rest queue in order.

    With `refuse` > 0 the first so many requests are refused, and all above `capacity` inside at once where it is set.
    """

    def __init__(self, service_ms=5.0, devices=0, fail_status=0, fail_text="", capacity=0, refuse=0):
        self.service_s = service_ms / 1000
        self.gate = asyncio.Semaphore(devices) if devices else None
        self.fail_status, self.fail_text, self.capacity = fail_status, fail_text, capacity
        self.refuse = refuse
        self.arrivals, self.lengths, self.parameters, self.paths, self.inside = [], [], [], [], 0

    async def answer(self, reader, writer):
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                moment = time.monotonic()
                method, path, _ = head.split(b" ", 2)
                fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
                body = await reader.readexactly(int(fields.get(b"content-length", 0)))
                if method == b"GET":
                    status, answer = 200, self.get(path.decode())
                else:
                    head = body[: int(fields.get(b"inference-header-content-length", len(body)))]
                    self.parameters.append(json.loads(head).get("parameters", {}) if head.startswith(b"{") else {})
                    self.paths.append(path.decode())
                    status, answer = await self.infer(moment, body)
                text = json.dumps(answer).encode()
                writer.write(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%s" % (status, len(text), text))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def infer(self, moment, body):
        self.arrivals.append(moment)
        self.lengths.append(len(body))
        if self.fail_status:
            return self.fail_status, {"error": self.fail_text}
        if len(self.arrivals) <= self.refuse or (self.capacity and self.inside >= self.capacity):
            return 503, {"error": "Exceeds maximum queue size"}
        self.inside += 1
        if self.gate:
            async with self.gate:
                await asyncio.sleep(self.service_s)
        else:
            await asyncio.sleep(self.service_s)
        self.inside -= 1
        return 200, {"model_name": MODEL, "outputs": []}

    def get(self, path):
        if path == "/arrivals":
            notes = {"parameters": self.parameters, "paths": self.paths, "inside": self.inside}
            return {"arrivals": self.arrivals, "lengths": self.lengths, **notes}
        if path == "/v2":
            return {"name": "triton", "version": "0.0.0"}
        if path == f"/v2/models/{MODEL}":
            return {"name": MODEL, "inputs": [{"name": "item", "datatype": "INT32", "shape": [-1, 1]}], "outputs": []}
        if path == f"/v2/models/{MODEL}/config":
            dims = {"name": "item", "data_type": "TYPE_INT32", "dims": [1]}
            return {"name": MODEL, "backend": "python", "max_batch_size": 8, "input": [dims], "output": []}
        model = path.split("/")[3]
        count = sum(asked.split("/")[3] == model for asked in self.paths)
        zero = {"count": count, "ns": 0}
        parts = dict.fromkeys(("queue", "compute_input", "compute_infer", "compute_output", "success"), zero)
        stats = {"fail": {"count": 0, "ns": 0}, **parts}
        row = {"name": model, "inference_count": count, "execution_count": count, "inference_stats": stats}
        return {"model_stats": [{**row, "batch_stats": [{"batch_size": 1, "compute_infer": zero}]}]}


async def serve(settings):
    service = Service(**settings)
    server = await asyncio.start_server(service.answer, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    # The owner's end of the pipe closes when the owner ends, and so does this server.
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    server.close()


class FakeServer:
    """The script in a process of its own, with the part of `batchlab.server.Server` that `load` uses."""

    def __init__(self, inputs=None, max_batch_size=8, models=(MODEL,), **settings):
        self.models = models
        self.process = subprocess.Popen(
            [sys.executable, __file__, json.dumps(settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # an interrupt of the client is none of the server
        )
        self.url = f"127.0.0.1:{self.process.stdout.readline().strip()}"
        self.inputs = inputs or [{"name": "item", "datatype": "INT32", "shape": [-1, 1]}]
        self.max_batch_size = max_batch_size

    def metadata(self, model):
        if model not in self.models:
            raise RuntimeError(f"The server has no model {model!r}; it has {', '.join(self.models)}.")
        return {"name": model, "inputs": self.inputs}

    def config(self, model):
        return type("Config", (), {"max_batch_size": self.max_batch_size})()

    def statistics(self, model):
        return Snapshot.from_triton(model, self.fetch(f"/v2/models/{model}/stats"))

    def provenance(self, model, seed=None, **details):
        return Provenance(tier="emulated", model=model, server="fake", seed=seed, details=details)

    def fetch(self, path):
        with urllib.request.urlopen(f"http://{self.url}{path}", timeout=5) as answer:
            return json.load(answer)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.kill()
        self.process.stdin.close()
        self.process.stdout.close()


if __name__ == "__main__":
    import resource

    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    asyncio.run(serve(json.loads(sys.argv[1])))
