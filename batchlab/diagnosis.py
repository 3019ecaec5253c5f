"""Why a model is not there, told so that a learner can mend it."""

import difflib
import re
from collections.abc import Sequence
from pathlib import Path

from batchlab import triton_log

HINTS = (
    (
        r"at least one version must be available",
        "Its folder has no version: make `{model}/1/` and put the model in it.",
    ),
    (
        r"failed to open text file for read",
        "A file that the configuration names is not there; what is built, not committed, comes with `make lab`.",
    ),
    (r"KIND_GPU but no GPUs", "This server sees no NVIDIA GPU; load a model that computes on the processor."),
    (r"explicit model load / unload is not allowed", "Start that Triton with --model-control-mode=explicit."),
)
INTERNAL = re.compile(r"\n\nAt:\n.*", re.DOTALL)


def not_loaded(model: str, loaded: Sequence[str], words: str = "") -> str:
    """Tell that a model is not loaded, which are, and how to load it."""
    close = difflib.get_close_matches(model, loaded, n=1)
    near = f" Did you mean {close[0]!r}?" if close else ""
    have = ", ".join(loaded) or "none"
    said = "" if not words or "unknown model" in words else f" Triton says: {words}"
    return f"Model {model!r} is not loaded.{near} Loaded: {have}. Load it with server.load({model!r}).{said}"


def why_not_loaded(model: str, words: str, log: str, repository: Path | None) -> str:
    """Tell why loading failed.

    Args:
        words: Triton's answer to the call.
        log: what Triton logged meanwhile; "" where the log cannot be read.
        repository: the model repository, None where it cannot be seen from here.
    """
    if repository is not None and not (repository / model).is_dir():
        known = sorted(path.parent.name for path in repository.glob("*/config.pbtxt"))
        close = difflib.get_close_matches(model, known, n=1)
        hint = f"Did you mean {close[0]!r}?" if close else f"It holds: {', '.join(known) or 'no model'}."
        return f"There is no model {model!r} in {repository}. {hint}"
    # Triton's answer to an unreadable configuration is the same for every cause; its log has the cause.
    said = triton_log.reason(log, model) or INTERNAL.sub("", words).strip()
    said = re.sub(rf"^load failed for model '{re.escape(model)}': ", "", said)
    said = re.sub(r"^version \d+ is at UNAVAILABLE state: ", "", said).rstrip(";\n ").rstrip(".")
    said = re.sub(r"^(Internal|Invalid argument|Not found|Unavailable|Unsupported): ", "", said)
    hint = next((f" {text.format(model=model)}" for pattern, text in HINTS if re.search(pattern, said)), "")
    return f"Model {model!r} did not load: {said}.{hint}"
