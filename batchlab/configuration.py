"""A model's configuration as typed values, checked by Triton's own rules before a server ever sees it.

Each class mirrors one message of Triton's schema, with the schema's field names and units.

Source of the rules: ValidateModelConfig in ``src/model_config_utils.cc``, triton-inference-server/core.
"""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Self

from google.protobuf import json_format

from batchlab import pbtxt
from batchlab.mirror import Mirror
from batchlab.pbtxt import RepositoryError, schema

INT32 = 2**31 - 1
UINT32 = 2**32 - 1
INT64 = 2**63 - 1
UINT64 = 2**64 - 1
HEADER = "Rendered by `batchlab`: edit the code, not this file."


@dataclass(frozen=True)
class TensorSpec(Mirror):
    """An input or output of a model.

    Attributes:
        name: as the model itself calls it.
        data_type: Triton's name, such as ``"FP32"``, ``"UINT8"``, ``"STRING"``.
        dims: shape without the batch axis; -1 is a size that varies.
        label_filename: of an output, the file in the model's folder that names its classes, one a line.
        extra: further fields of the schema, as protobuf text.
    """

    MESSAGES: ClassVar[tuple[Any, ...]] = (schema.ModelInput, schema.ModelOutput)

    name: str
    data_type: str = "FP32"
    dims: tuple[int, ...] = ()
    label_filename: str = ""
    extra: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        if not self.name:
            raise RepositoryError("TensorSpec.name is empty. Name the tensor as the model itself does.")
        self._one_of("data_type", [name.removeprefix("TYPE_") for name in schema.DataType.keys()][1:])  # noqa: SIM118
        self._whole("dims", -1, INT64, "Write -1 for a size that varies.")
        if 0 in self.dims:
            raise RepositoryError(f"TensorSpec.dims of {self.name!r} is {self.dims}. Write -1 for a size that varies.")
        self._settle()


@dataclass(frozen=True)
class QueuePolicy(Mirror):
    """What becomes of requests that wait too long, or that find the queue full; 0 means no limit."""

    MESSAGES: ClassVar[tuple[Any, ...]] = (schema.ModelQueuePolicy,)

    timeout_action: Literal["REJECT", "DELAY"] = "REJECT"
    default_timeout_microseconds: int = 0
    allow_timeout_override: bool = False
    max_queue_size: int = 0
    extra: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        self._one_of("timeout_action", ["REJECT", "DELAY"])
        self._whole("default_timeout_microseconds", 0, UINT64, "Write 0 for no timeout.")
        self._whole("max_queue_size", 0, UINT32, "Write 0 for no limit.")
        self._settle()


@dataclass(frozen=True)
class DynamicBatching(Mirror):
    """How Triton groups waiting requests; the delay counts from the arrival of the oldest of them."""

    MESSAGES: ClassVar[tuple[Any, ...]] = (schema.ModelDynamicBatching,)
    PARTS: ClassVar[dict[str, Any]] = {"default_queue_policy": QueuePolicy, "priority_queue_policy": QueuePolicy}

    max_queue_delay_microseconds: int = 0
    preferred_batch_size: tuple[int, ...] = ()
    preserve_ordering: bool = False
    priority_levels: int = 0
    default_priority_level: int = 0
    default_queue_policy: QueuePolicy | None = None
    priority_queue_policy: Mapping[int, QueuePolicy] = field(default_factory=dict)
    extra: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        self._whole("max_queue_delay_microseconds", 0, UINT64, "Write 0 to send what waits as soon as a copy is free.")
        self._whole("preferred_batch_size", 1, INT32, "Leave it empty: Triton then prefers the largest batch.")
        self._whole("priority_levels", 0, UINT64, "Write 0 for no priorities.")
        self._whole("default_priority_level", 0, UINT64, "Write a level from 1, which is served first.")
        self._settle()
        self._check_priorities()

    def _check_priorities(self) -> None:
        levels = self.priority_levels
        if levels and not 1 <= self.default_priority_level <= levels:
            raise RepositoryError(
                f"DynamicBatching.default_priority_level is {self.default_priority_level} of {levels} levels: "
                f"a request that names no priority needs a level from 1 (served first) to {levels}."
            )
        for level in self.priority_queue_policy:
            if levels and not 1 <= level <= levels:
                raise RepositoryError(
                    f"DynamicBatching.priority_queue_policy names level {level}: write a level from 1 to {levels}."
                )
        if self.preserve_ordering and levels > 1:
            raise RepositoryError(
                f"DynamicBatching.preserve_ordering excludes {levels} priority_levels. Allow one, or set it False."
            )
        policies = [policy for policy in (self.default_queue_policy, *self.priority_queue_policy.values()) if policy]
        delaying = [p for p in policies if p.timeout_action == "DELAY" and p.default_timeout_microseconds]
        if self.preserve_ordering and delaying:
            raise RepositoryError(
                "DynamicBatching.preserve_ordering excludes QueuePolicy.timeout_action 'DELAY', which reorders. "
                "Use 'REJECT'."
            )


@dataclass(frozen=True)
class InstanceGroup(Mirror):
    """Copies of a model on one kind of device; a count of 0 leaves the number to Triton."""

    MESSAGES: ClassVar[tuple[Any, ...]] = (schema.ModelInstanceGroup,)

    count: int = 1
    kind: Literal["KIND_AUTO", "KIND_CPU", "KIND_GPU", "KIND_MODEL"] = "KIND_AUTO"
    gpus: tuple[int, ...] = ()
    extra: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        self._whole("count", 0, INT32, "Write 1 for one copy of the model.")
        self._one_of("kind", list(schema.ModelInstanceGroup.Kind.keys()))
        self._whole("gpus", 0, INT32, "GPUs are numbered from 0.")
        if self.gpus and self.kind == "KIND_CPU":
            raise RepositoryError(f"InstanceGroup.gpus is {self.gpus} with KIND_CPU. Drop the GPUs, or use KIND_GPU.")
        self._settle()


@dataclass(frozen=True)
class ModelConfig(Mirror):
    """What Triton's ``config.pbtxt`` says about one model; a `max_batch_size` of 0 means no batch axis."""

    MESSAGES: ClassVar[tuple[Any, ...]] = (schema.ModelConfig,)
    SPELLED: ClassVar[dict[str, str]] = {"inputs": "input", "outputs": "output", "instance_groups": "instance_group"}
    PARTS: ClassVar[dict[str, Any]] = {
        "inputs": TensorSpec,
        "outputs": TensorSpec,
        "dynamic_batching": DynamicBatching,
        "instance_groups": InstanceGroup,
    }

    name: str
    backend: str = ""
    platform: str = ""
    max_batch_size: int = 0
    inputs: tuple[TensorSpec, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()
    dynamic_batching: DynamicBatching | None = None
    instance_groups: tuple[InstanceGroup, ...] = ()
    parameters: Mapping[str, str] = field(default_factory=dict)
    extra: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        self._whole("max_batch_size", 0, INT32, "Write 0 for a model without a batch axis.")
        self._settle()
        for preferred in self.dynamic_batching.preferred_batch_size if self.dynamic_batching else ():
            if preferred > self.max_batch_size:
                raise RepositoryError(
                    f"DynamicBatching.preferred_batch_size holds {preferred}, above the max_batch_size "
                    f"{self.max_batch_size} of {self.name!r}. Lower it, or leave it empty."
                )
        for key, value in self.parameters.items():
            if not isinstance(key, str) or not isinstance(value, str):
                raise RepositoryError(
                    f"ModelConfig.parameters[{key!r}] is {value!r}: keys and values are text. Write {str(value)!r}."
                )
        other = pbtxt.parse(self.extra, schema.ModelConfig()).WhichOneof("scheduling_choice")
        if other and self.dynamic_batching:
            raise RepositoryError(f"ModelConfig.dynamic_batching excludes {other!r} in {self.name!r}. Choose one.")
        self.to_message()  # Values of a wrong type show here, not at the server.

    def replace(self, **changes: Any) -> Self:
        """Return a copy with the named fields changed.

        A configuration read back from a server carries ``preferred_batch_size: [max_batch_size]``, Triton's own
        filling of an empty list; it follows a new `max_batch_size`.

        Raises:
            RepositoryError: no such field, or a value that Triton would refuse.
        """
        known = [part.name for part in dataclasses.fields(self)]
        for name in changes:
            if name not in known:
                raise RepositoryError(f"ModelConfig has no field {name!r}. {pbtxt.nearest(name, known)}")
        batching = self.dynamic_batching
        if "max_batch_size" in changes and batching and batching.preferred_batch_size == (self.max_batch_size,):
            changes.setdefault("dynamic_batching", dataclasses.replace(batching, preferred_batch_size=()))
        return dataclasses.replace(self, **changes)

    def to_pbtxt(self, header: str = HEADER) -> str:
        """Return the text of a ``config.pbtxt``: the same text for the same configuration."""
        return pbtxt.render(self.to_message(), header)

    def to_json(self) -> str:
        """Return JSON for Triton's ``load_model(config=...)``."""
        return json_format.MessageToJson(self.to_message(), preserving_proto_field_name=True, indent=None)

    @classmethod
    def from_pbtxt(cls, text: str, source: str = "config.pbtxt") -> Self:
        """Read the text of a ``config.pbtxt``; `source` names it in errors.

        Raises:
            RepositoryError: file, line, column and the nearest valid name; or a value that Triton would refuse.
        """
        return cls._read(pbtxt.parse(text, schema.ModelConfig(), source), source)

    @classmethod
    def from_json(cls, values: str | Mapping[str, Any], source: str = "JSON") -> Self:
        """Read JSON text, or an already decoded object, such as Triton's answer to ``/v2/models/NAME/config``.

        Raises:
            RepositoryError: not JSON, an unknown field with the nearest valid name, or a value Triton would refuse.
        """
        if isinstance(values, str):
            try:
                values = json.loads(values)
            except json.JSONDecodeError as error:
                raise RepositoryError(f"{source}:{error.lineno}:{error.colno}: not JSON: {error.msg}.") from error
        if not isinstance(values, Mapping):
            raise RepositoryError(f"{source} is {type(values).__name__}: a configuration is an object, {{...}}.")
        return cls._read(pbtxt.parse_json(values, schema.ModelConfig(), source), source)

    @classmethod
    def _read(cls, message: Any, source: str) -> Self:
        try:
            return cls.from_message(message)
        except RepositoryError as error:
            raise RepositoryError(f"{source}: {error}") from error
