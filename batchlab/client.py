"""The calls to one running Triton: load, reconfigure, infer, statistics, metrics."""

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from batchlab import changes as changing
from batchlab import diagnosis, gpu, prometheus, repository, tiers, triton_log
from batchlab.endpoint import Endpoint, ModelError, RequestError, ServerError, ServerGone
from batchlab.gauge import Gauge, from_metrics, from_nvml
from batchlab.provenance import Provenance, Tier
from batchlab.repository import ModelConfig
from batchlab.signature import Signature
from batchlab.statistics import Snapshot

LOAD_S = 300.0
APART_S = 0.3  # between a reload and an unload


class Client:
    """One running Triton; may be shared by threads.

    Attributes:
        url, grpc_url, metrics_url: ``host:port``, without a scheme.
    """

    def __init__(self, url: str, grpc_url: str, metrics_url: str) -> None:
        self.url, self.grpc_url, self.metrics_url = url, grpc_url, metrics_url
        self._endpoint = Endpoint(url, self._obituary)
        self._metrics = Endpoint(metrics_url, self._obituary)
        self._signatures: dict[str, Signature] = {}

    @property
    def embedded(self) -> bool:
        """Whether this process's own server answers here."""
        return False

    @property
    def _log(self) -> Path | None:
        """Triton's log, where it can be read."""
        return None

    @property
    def _repository(self) -> Path | None:
        """Triton's model repository, where it can be read."""
        return None

    def _obituary(self) -> str:
        return ""

    @property
    def alive(self) -> bool:
        """Whether the server answers now."""
        try:
            self._endpoint.get("/v2/health/live", timeout_s=5.0)
        except ServerError:
            return False
        return True

    @property
    def version(self) -> str:
        """Triton's version, such as ``"2.51.0"``."""
        return str(self._endpoint.get("/v2")["version"])

    def loaded(self) -> list[str]:
        """Return the names of the models that are ready."""
        index = self._endpoint.post("/v2/repository/index", {"ready": True})
        return sorted({entry["name"] for entry in index if entry.get("state") == "READY"})

    def load(self, model: str, config: ModelConfig | None = None) -> None:
        """Load a model, or load it anew: as its folder has it, or with another configuration.

        A failing reload leaves the loaded version serving (at a server whose folder cannot be read from here, only
        where `config` is given).

        Raises:
            ModelError: with the model's own error.
        """
        if config is None and model in self.loaded():
            # Triton keeps a changed configuration until the file itself changes: give it the file's anew.
            config = self._committed(model)
            if config is None:
                self.unload(model)
        body = {"parameters": {"config": config.to_json()}} if config is not None else {}
        mark = triton_log.size(self._log) if self._log else 0
        try:
            self._endpoint.post(f"/v2/repository/models/{quote(model)}/load", body, LOAD_S)
        except ServerGone:
            raise
        except ServerError as error:
            log = triton_log.read(self._log, mark) if self._log else ""
            raise ModelError(diagnosis.why_not_loaded(model, str(error), log, self._repository)) from error
        finally:
            self._signatures.pop(model, None)

    def unload(self, model: str) -> None:
        """Unload a model and wait until it is gone.

        Raises:
            ModelError: it is not loaded.
        """
        loaded = self.loaded()
        if model not in loaded:
            raise ModelError(diagnosis.not_loaded(model, loaded))
        # Within milliseconds of a reload, whose old instances are leaving too, an unload ended Triton 2.51 by SIGSEGV
        # in about one of fifty tries (in ~TritonModelInstance); this far apart, in none of 279.
        time.sleep(APART_S)
        self._endpoint.post(f"/v2/repository/models/{quote(model)}/unload", timeout_s=LOAD_S)
        self._signatures.pop(model, None)
        # Triton answers before the model is gone; a load that follows at once would meet the leaving one.
        deadline = time.monotonic() + LOAD_S
        while self._present(model) and time.monotonic() < deadline:
            time.sleep(0.05)

    def reconfigure(self, model: str, **changes: Any) -> list[str]:
        """Reload a model with changed configuration; the committed file stays as it is.

        See `batchlab.changes.apply` for the names: ``max_batch_size=16, max_queue_delay_microseconds=2000``.

        Returns:
            The difference, one line a field, as the server itself reports it.
        """
        before = self.config(model)
        self.load(model, changing.apply(before, changes))
        return repository.difference(before, self.config(model))

    def config(self, model: str) -> ModelConfig:
        """Return the configuration the server runs a model with, its own defaults filled in."""
        return ModelConfig.from_json(self._config(model))

    def metadata(self, model: str) -> dict[str, Any]:
        """Return Triton's metadata of a model: names, types and shapes of inputs and outputs."""
        return dict(self._of_model(model, ""))

    def signature(self, model: str) -> Signature:
        """Return what a model takes and gives; remembered until it is loaded anew through this object."""
        if model not in self._signatures:
            self._signatures[model] = Signature.from_triton(self.metadata(model), self._config(model))
        return self._signatures[model]

    def statistics(self, model: str) -> Snapshot:
        """Return Triton's counters of a model as they stand now."""
        return Snapshot.from_triton(model, self._of_model(model, "/stats"))

    def metrics(self) -> dict[str, list[tuple[dict[str, str], float]]]:
        """Return Triton's Prometheus metrics: name -> (labels, value) pairs."""
        return prometheus.parse(self._metrics.call("GET", "/metrics")[1].decode())

    def infer(
        self,
        model: str,
        inputs: Mapping[str, np.ndarray],
        outputs: Sequence[str] | None = None,
        timeout_s: float = 30.0,
    ) -> dict[str, np.ndarray]:
        """Send one request and wait for its answer.

        Args:
            inputs: name -> array, the batch in front where the model has a `max_batch_size`.
            outputs: wanted outputs, all by default.

        Raises:
            RequestError: the model cannot take this request; nothing was sent.
            ModelError: the model is not loaded.
            ServerGone: the server ended.
            ServerError: the model failed, or gave no answer within `timeout_s`.
        """
        was_known = model in self._signatures
        try:
            ready = self.signature(model).check(inputs, outputs)
        except RequestError:
            if not was_known:
                raise
            # Somebody else may have reconfigured the model since: look again before refusing.
            self._signatures.pop(model)
            ready = self.signature(model).check(inputs, outputs)
        return self._endpoint.infer(model, ready, list(outputs) if outputs else None, timeout_s)

    def tier(self, model: str) -> Tier:
        """Return where the time of this model's answers comes from."""
        return tiers.tier(self._config(model), self.embedded, self._config)

    def provenance(self, model: str, seed: int | None = None, **details: Any) -> Provenance:
        """Return the provenance of numbers measured on this model now."""
        config = self._config(model)
        kept = {key: str(value) for key, value in details.items()}
        pace = os.environ.get("BATCHLAB_PACE", "1")
        if float(pace) != 1:
            kept["pace"] = pace
        tier = self.tier(model)
        if tier == "gpu" and self.embedded:
            kept |= {"gpu": "; ".join(str(found) for found in gpu.gpus()), "driver": gpu.driver()}
        if tiers.computes_nothing(config):
            kept |= tiers.COMPUTES_NOTHING
        return Provenance(
            tier=tier,
            model=model,
            server=f"Triton {self.version} ({'embedded' if self.embedded else self.url})",
            profile=tiers.parameters(config).get("profile", ""),
            seed=seed,
            details=kept,
        )

    def gauge(self) -> Gauge:
        """Return where readings of this server's GPU come from: NVML for an own server, else Triton's metrics."""
        if self.embedded:
            return Gauge("nvml", from_nvml)
        return Gauge("triton metrics", lambda: from_metrics(self.metrics()))

    def load_missing(self, models: Iterable[str]) -> None:
        """Load the models that are not ready yet, side by side.

        Raises:
            ModelError: one did not load; the message tells of every one that did not.
        """
        missing = sorted(set(models) - set(self.loaded()))
        if not missing:
            return
        with ThreadPoolExecutor(len(missing)) as pool:
            errors = [error for error in pool.map(self._loading_error, missing) if error is not None]
        if len(errors) == 1 or any(not isinstance(error, ModelError) for error in errors):
            raise errors[0]
        if errors:
            raise ModelError("\n".join(str(error) for error in errors))

    def _loading_error(self, model: str) -> ServerError | None:
        try:
            self.load(model)
        except ServerError as error:
            return error
        finally:
            self._endpoint.close()
        return None

    def _present(self, model: str) -> bool:
        index = self._endpoint.post("/v2/repository/index", {})
        return any(each["name"] == model and each.get("state") in ("READY", "UNLOADING") for each in index)

    def _committed(self, model: str) -> ModelConfig | None:
        if self._repository is None:
            return None
        try:
            return repository.read(model, self._repository)
        except repository.RepositoryError as error:
            raise ModelError(str(error)) from error

    def _config(self, model: str) -> dict[str, Any]:
        return dict(self._of_model(model, "/config"))

    def _of_model(self, model: str, what: str) -> Any:
        try:
            return self._endpoint.get(f"/v2/models/{quote(model)}{what}")
        except RequestError as error:
            raise ModelError(diagnosis.not_loaded(model, self.loaded(), str(error))) from error
