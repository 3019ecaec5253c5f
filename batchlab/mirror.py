"""Typed values that mirror protobuf messages, both ways, without loss.

A class names the fields it models; everything else in the message is kept in its `extra`, as protobuf text, so that a
rate limiter, an ensemble or a field of next year's schema survives every round trip.
"""

import dataclasses
import operator
from collections.abc import Mapping
from typing import Any, ClassVar, Self

from google.protobuf import text_format
from google.protobuf.message import Message
from tritonclient.grpc import model_config_pb2 as schema

from batchlab import pbtxt
from batchlab.pbtxt import RepositoryError


class Mirror:
    """Base of frozen dataclasses whose fields are those of a protobuf message.

    Attributes:
        MESSAGES: the message types mirrored; the first is the default.
        SPELLED: the schema's name of a field, where it differs from ours.
        PARTS: the class of a field's value or items, where that is a mirror too.
    """

    MESSAGES: ClassVar[tuple[Any, ...]]
    SPELLED: ClassVar[dict[str, str]] = {}
    PARTS: ClassVar[dict[str, Any]] = {}
    extra: str

    @classmethod
    def _schema_names(cls) -> dict[str, str]:
        names = [part.name for part in dataclasses.fields(cls) if part.name != "extra"]  # type: ignore[arg-type]
        return {name: cls.SPELLED.get(name, name) for name in names}

    def to_message(self, message: Any = None) -> Any:
        """Return the protobuf message, filling the empty `message` where one is given.

        Raises:
            RepositoryError: a value of a type that the field does not take.
        """
        message = pbtxt.parse(self.extra, self.MESSAGES[0]() if message is None else message, self._label("extra"))
        for ours, name in self._schema_names().items():
            value = getattr(self, ours)
            if name in message.DESCRIPTOR.fields_by_name:
                try:
                    _fill(message, name, value)
                except (TypeError, ValueError) as error:
                    if isinstance(error, RepositoryError):
                        raise
                    takes = _takes(message.DESCRIPTOR.fields_by_name[name])
                    raise RepositoryError(f"{self._label(ours)} is {value!r}: it takes {takes}.") from error
            elif value:
                raise RepositoryError(f"{type(message).__name__} has no {name!r}, yet it is set to {value!r}. Drop it.")
        return message

    @classmethod
    def from_message(cls, message: Any) -> Self:
        """Rebuild from a protobuf message; what the class does not name goes into `extra`."""
        rest = type(message)()
        rest.CopyFrom(message)
        values: dict[str, Any] = {}
        for ours, name in cls._schema_names().items():
            field = message.DESCRIPTOR.fields_by_name.get(name)
            if field is not None:
                values[ours] = _taken(message, field, cls.PARTS.get(ours))
                rest.ClearField(name)
        return cls(**values, extra=_text(rest))  # type: ignore[call-arg]  # every subclass is a dataclass with `extra`

    def _settle(self) -> None:
        """Bring tuples, parts and `extra` into one form, so that equal configurations compare equal."""
        for ours, kind in self.PARTS.items():
            value, field = getattr(self, ours), self._described(ours)
            if pbtxt.is_map(field):
                items = list(value.values()) if isinstance(value, Mapping) else [value]
            elif field.is_repeated:
                items = list(value) if isinstance(value, (list, tuple)) else [value]
                self._set(ours, tuple(items))
            else:
                items = [] if value is None else [value]
            for item in items:
                if not isinstance(item, kind):
                    raise RepositoryError(f"{self._label(ours)} is {item!r}: it takes a {kind.__name__}(...).")
        self._set("extra", self._settled_extra())

    def _settled_extra(self) -> str:
        for message_type in self.MESSAGES:
            try:
                message = pbtxt.parse(self.extra, message_type(), self._label("extra"))
                break
            except RepositoryError:
                if message_type is self.MESSAGES[-1]:
                    raise
        own = self._schema_names().values()
        for field, _value in message.ListFields():
            if field.name in own:
                raise RepositoryError(f"{self._label('extra')} sets {field.name!r}. Use the field of that name.")
        return _text(message)

    def _whole(self, name: str, low: int, high: int, remedy: str) -> None:
        """Settle a field as a whole number, or a tuple of them, from `low` to `high`; else say what to do."""
        value = getattr(self, name)
        many = self._described(name).is_repeated
        numbers = []
        for item in value if isinstance(value, (list, tuple)) else [value]:
            try:
                number = operator.index(item)
            except TypeError:
                raise RepositoryError(f"{self._label(name)} is {item!r}: it takes a whole number. {remedy}") from None
            if isinstance(item, bool) or number < low:
                raise RepositoryError(f"{self._label(name)} is {item!r}: the least is {low}. {remedy}")
            if number > high:
                raise RepositoryError(f"{self._label(name)} is {item!r}: the most is {high}. {remedy}")
            numbers.append(number)
        self._set(name, tuple(numbers) if many else numbers[0])

    def _one_of(self, name: str, allowed: list[str]) -> None:
        value = getattr(self, name)
        if value not in allowed:
            raise RepositoryError(
                f"{self._label(name)} is {value!r}, which Triton does not know. {pbtxt.nearest(str(value), allowed)}"
            )

    def _described(self, name: str) -> Any:
        return self.MESSAGES[0].DESCRIPTOR.fields_by_name[self.SPELLED.get(name, name)]

    def _label(self, name: str) -> str:
        return f"{type(self).__name__}.{name}"

    def _set(self, name: str, value: Any) -> None:
        # The dataclasses are frozen for their users; only __post_init__ may still bring a value into shape.
        object.__setattr__(self, name, value)


def _text(message: Message) -> str:
    return text_format.MessageToString(message, as_one_line=True, use_short_repeated_primitives=True)


def _takes(field: Any) -> str:
    named = {field.TYPE_STRING: "text", field.TYPE_BOOL: "True or False"}
    return named.get(field.type, f"what the schema calls {field.name}")


def _fill(message: Any, name: str, value: Any) -> None:
    field, target = message.DESCRIPTOR.fields_by_name[name], getattr(message, name)
    if pbtxt.is_map(field):
        for key, item in value.items():
            is_part = isinstance(item, Mirror)
            target[key].CopyFrom(item.to_message() if is_part else schema.ModelParameter(string_value=item))
    elif field.is_repeated and field.message_type:
        for item in value:
            item.to_message(target.add())
    elif field.is_repeated:
        target.extend(value)
    elif field.message_type:
        if value is not None:
            target.CopyFrom(value.to_message())
    else:
        setattr(message, name, f"TYPE_{value}" if name == "data_type" else value)


def _taken(message: Any, field: Any, kind: Any) -> Any:
    value = getattr(message, field.name)
    if pbtxt.is_map(field):
        return {key: kind.from_message(item) if kind else item.string_value for key, item in sorted(value.items())}
    if field.is_repeated:
        return tuple(kind.from_message(item) if kind else item for item in value)
    if field.message_type:
        return kind.from_message(value) if message.HasField(field.name) else None
    if field.enum_type:
        return str(field.enum_type.values_by_number[value].name).removeprefix("TYPE_")
    return value
