"""A metrics endpoint whose text a test writes: counters of Triton's that are exactly known."""

import http.server
import threading
from typing import Any, Self

TEMPLATE = """nv_inference_request_success{{model="{model}",version="1"}} {requests}
nv_inference_request_failure{{model="{model}",reason="REJECTED",version="1"}} {rejected}
nv_inference_request_failure{{model="{model}",reason="OTHER",version="1"}} {failures}
nv_inference_request_failure{{model="{model}",reason="BACKEND",version="1"}} 0
nv_inference_count{{model="{model}",version="1"}} {inferences}
nv_inference_exec_count{{model="{model}",version="1"}} {executions}
nv_inference_request_duration_us{{model="{model}",version="1"}} {request_us}
nv_inference_queue_duration_us{{model="{model}",version="1"}} {queue_us}
nv_inference_compute_infer_duration_us{{model="{model}",version="1"}} {compute_us}
nv_inference_pending_request_count{{model="{model}",version="1"}} {pending}
"""
ZERO = dict.fromkeys(
    ("requests", "rejected", "failures", "inferences", "executions", "request_us", "queue_us", "compute_us", "pending"),
    0,
)


def exposition(model: str = "m", **values: float) -> str:
    """Return a model's metrics as Triton writes them; what is not named is 0."""
    return TEMPLATE.format(model=model, **{**ZERO, **values})


class MetricsServer:
    """Serves `text` under /metrics on 127.0.0.1; `port` 0 is any free one."""

    def __init__(self, text: str = "", port: int = 0) -> None:
        self.text = text
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = owner.text.encode()
                self.send_response(200 if self.path == "/metrics" else 404)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.port = int(self._server.server_address[1])
        self.url = f"127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
