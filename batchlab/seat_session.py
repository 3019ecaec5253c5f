"""What starts at a learner's seat, as the learner: hands out the labs, then becomes the learner's Jupyter server.

Everything here runs with the learner's own rights: a link that a learner laid in their home leads root nowhere.
"""

import json
import os
import sys
from pathlib import Path

from batchlab import handout, jupyterlab

APART = "BATCHLAB_NETWORKS_APART"


def prepare(home: Path, apart: bool) -> list[str]:
    """Hand out the labs, write the kernel's description, and return the options that the Jupyter server needs.

    Args:
        home: the learner's home; the working folder.
        apart: give each kernel a network of its own.

    Raises:
        HandoutError: the labs cannot be copied.
    """
    labs = home / "my_labs"
    handout.hand_out(target=labs)
    for folder in ("tmp", "run"):
        (home / folder).mkdir(mode=0o700, exist_ok=True)
    spec = home / "jupyter" / "kernels" / "python3"
    spec.mkdir(parents=True, exist_ok=True)
    module = "batchlab.kernel_apart" if apart else "ipykernel_launcher"
    kernel = {
        "argv": [sys.executable, "-m", module, "-f", "{connection_file}"],
        "display_name": "Python 3 (ipykernel)",
        "language": "python",
    }
    (spec / "kernel.json").write_text(json.dumps(kernel), encoding="utf-8")
    lab = jupyterlab.first_lab(labs)
    return [
        f"--ServerApp.root_dir={labs}",
        f"--LabApp.default_url=/lab/tree/{lab}",
        "--MappingKernelManager.cull_idle_timeout=5400",
        *(["--KernelManager.transport=ipc"] if apart else []),
    ]


def main() -> None:
    """Prepare the seat and become the Jupyter server that JupyterHub asked for."""
    options = prepare(Path.home(), os.environ.get(APART) == "1")
    os.execv(sys.executable, [sys.executable, "-m", "jupyterhub.singleuser", *sys.argv[1:], *options])


if __name__ == "__main__":
    main()
