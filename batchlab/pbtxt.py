"""Triton's own protobuf schema of a model's configuration: text in, text out, differences.

The schema is the one that Triton's client ships (``tritonclient.grpc.model_config_pb2``); parsing and printing are
protobuf's own ``text_format`` and ``json_format``. Nothing here is a string template, so nothing can drift from what
the server reads.
"""

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from google.protobuf import json_format, text_format
from google.protobuf.message import Message
from tritonclient.grpc import model_config_pb2 as schema

LINE_LENGTH = 110
# What a reader looks for first comes first; the rest follows in the schema's order.
READING_ORDER = (
    "name",
    "backend",
    "platform",
    "max_batch_size",
    "input",
    "output",
    "dynamic_batching",
    "instance_group",
    "parameters",
)


class RepositoryError(ValueError):
    """A model's configuration that is missing, cannot be read, or that Triton would refuse."""


def parse(text: str, message: Message, source: str = "config.pbtxt") -> Any:
    """Read protobuf text into `message` and return it.

    Args:
        text: what a ``config.pbtxt`` holds.
        message: an empty message of the type expected.
        source: file name for the error.

    Raises:
        RepositoryError: file, line, column, what is wrong, and the nearest valid name.
    """
    try:
        return text_format.Parse(text, message)
    except text_format.ParseError as error:
        reason = str(error).partition(" : ")[2] or str(error)
        where = f"{source}:{error.GetLine()}:{error.GetColumn()}" if error.GetLine() else source
        raise RepositoryError(f"{where}: {_advise(reason, message.DESCRIPTOR.file.pool)}") from error


def parse_json(values: Mapping[str, Any], message: Message, source: str = "JSON") -> Any:
    """Read a decoded JSON object into `message` and return it.

    Raises:
        RepositoryError: what is wrong, where in the object, and the nearest valid name.
    """
    try:
        return json_format.ParseDict(dict(values), message)
    except json_format.ParseError as error:
        reason = str(error).partition("Available Fields")[0].strip()
        raise RepositoryError(f"{source}: {_advise(reason, message.DESCRIPTOR.file.pool)}") from error


def _advise(reason: str, pool: Any) -> str:
    """Put what is wrong first, and what could be meant after it."""
    # Protobuf quotes the rest of the line before some reasons; the line and column already say where.
    reason = re.sub(r"^'.*': (?=[A-Z])", "", reason, flags=re.DOTALL)
    if found := re.search(r'Message type "([\w.]+)" has no field named "(\w+)"', reason):
        owner, wrong = pool.FindMessageTypeByName(found[1]), found[2]
        return f"{owner.name} has no field {wrong!r}. {nearest(wrong, list(owner.fields_by_name))}"
    if found := re.search(r'Enum type "([\w.]+)" has no value named (\w+)', reason):
        enum, wrong = pool.FindEnumTypeByName(found[1]), found[2]
        return f"{enum.full_name.removeprefix('inference.')} has no value {wrong!r}. " + nearest(
            wrong, [value for value in enum.values_by_name if value != "TYPE_INVALID"]
        )
    return f"{reason.rstrip('.')}. Compare with Triton's model configuration reference."


def nearest(wrong: str, names: list[str]) -> str:
    """Name what could be meant by `wrong`, or all that is valid."""
    close = difflib.get_close_matches(wrong, names, n=1, cutoff=0.5)
    return f"Did you mean {close[0]!r}?" if close else f"Valid names: {', '.join(sorted(names))}."


def render(message: Message, header: str = "") -> str:
    """Return deterministic text: fields in reading order, one line each where it fits, `header` as comment lines."""
    lines = [f"# {line}".rstrip() for line in header.splitlines()]
    for part in _parts(message):
        line = text_format.MessageToString(part, as_one_line=True, use_short_repeated_primitives=True)
        if len(line) > LINE_LENGTH:
            line = text_format.MessageToString(part, use_short_repeated_primitives=True).rstrip("\n")
        lines.append(line)
    return "\n".join(lines) + "\n"


def _parts(message: Message) -> Iterator[Message]:
    """Split into messages that hold one field, or one entry of a repeated field or map, each."""
    present = {field.name: (field, value) for field, value in message.ListFields()}
    for name in sorted(present, key=lambda n: READING_ORDER.index(n) if n in READING_ORDER else len(READING_ORDER)):
        field, value = present[name]
        if is_map(field):
            for key in sorted(value):
                part = type(message)()
                target = getattr(part, name)
                if field.message_type.fields_by_name["value"].message_type:
                    target[key].CopyFrom(value[key])
                else:
                    target[key] = value[key]
                yield part
        elif field.is_repeated and field.message_type:
            for item in value:
                part = type(message)()
                getattr(part, name).append(item)
                yield part
        else:
            part = type(message)()
            part.CopyFrom(message)
            for other in present:
                if other != name:
                    part.ClearField(other)
            yield part


def is_map(field: Any) -> bool:
    """Whether a field's descriptor is that of a map."""
    return bool(field.message_type and field.message_type.GetOptions().map_entry)


def differences(before: Message, after: Message, path: str = "") -> list[str]:
    """Return one line per field that differs, ``path: before -> after``, in the schema's order."""
    found: list[str] = []
    for field in before.DESCRIPTOR.fields:
        where = f"{path}.{field.name}" if path else field.name
        old, new = getattr(before, field.name), getattr(after, field.name)
        if is_map(field):
            found += _between(dict(old), dict(new), lambda key, where=where: f"{where}.{key}")
        elif field.is_repeated and field.message_type:
            found += _between(*_paired(old, new), lambda key, where=where: f"{where}[{key}]")
        elif field.is_repeated:
            if list(old) != list(new):
                found.append(f"{where}: {_shown(list(old))} -> {_shown(list(new))}")
        elif field.message_type:
            # A message that is there but empty differs from none: `dynamic_batching { }` turns batching on.
            sides = [{0: value} if owner.HasField(field.name) else {} for owner, value in ((before, old), (after, new))]
            found += _between(sides[0], sides[1], lambda _key, where=where: where)
        elif old != new:
            names = field.enum_type.values_by_number if field.enum_type else None
            found.append(f"{where}: {_shown(old, names)} -> {_shown(new, names)}")
    return found


def _paired(old: Any, new: Any) -> tuple[dict[Any, Message], dict[Any, Message]]:
    """Key the items of each side by name where all have one, else by position (Triton names what we left unnamed)."""
    names = [[getattr(item, "name", "") for item in items] for items in (old, new)]
    if all(all(found) and len(set(found)) == len(found) for found in names):
        return dict(zip(names[0], old, strict=True)), dict(zip(names[1], new, strict=True))
    return dict(enumerate(old)), dict(enumerate(new))


def _between(old: dict[Any, Any], new: dict[Any, Any], where: Any) -> list[str]:
    found: list[str] = []
    for key in [*old, *(key for key in new if key not in old)]:
        one, two = old.get(key), new.get(key)
        if one is None or two is None or not isinstance(one, Message) or isinstance(one, schema.ModelParameter):
            if one != two:
                found.append(f"{where(key)}: {_shown(one)} -> {_shown(two)}")
        else:
            found += differences(one, two, where(key))
    return found


def _shown(value: Any, enum_names: Any = None) -> str:
    if value is None:
        return "none"
    if enum_names is not None:
        return str(enum_names[value].name)
    if isinstance(value, schema.ModelParameter):
        return value.string_value
    if isinstance(value, Message):
        text = text_format.MessageToString(value, as_one_line=True, use_short_repeated_primitives=True)
        return f"{{ {text} }}" if text else "{ }"
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if value != "" else '""'
