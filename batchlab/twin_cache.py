"""The compiled twin on disk: forgotten as soon as any of its sources changes.

Numba looks only at the file of each function. A function that calls into another file would go on running yesterday's
code of that file, also for a user who has just pulled a new version.
"""

import contextlib
import hashlib
import os
from pathlib import Path

MARK = "twin_sources.sha256"


def compiled(sources: Path) -> bool:
    """Return whether the twin's loop has been compiled from these sources; true where that cannot be kept for long.

    Args:
        sources: as for `forget_stale`.
    """
    forget_stale(sources)
    cache = sources / "__pycache__"
    return any(cache.glob("twin_kernel.run-*.nbc")) or not os.access(cache, os.W_OK)


def forget_stale(sources: Path) -> bool:
    """Delete Numba's files of the twin where they were compiled from other sources; return whether it did.

    Args:
        sources: the folder of the ``twin_*.py`` files, whose ``__pycache__`` Numba writes to. Where that folder cannot
            be written, Numba keeps its files elsewhere, by version of Batchlab's installation, and nothing is done.
    """
    cache = sources / "__pycache__"
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(sources.glob("twin_*.py")))).hexdigest()
    mark = cache / MARK
    with contextlib.suppress(OSError):
        if mark.exists() and mark.read_text() == digest:
            return False
        cache.mkdir(exist_ok=True)
        for compiled in (*cache.glob("twin_*.nbi"), *cache.glob("twin_*.nbc")):
            compiled.unlink(missing_ok=True)
        mark.write_text(digest)
        return True
    return False
