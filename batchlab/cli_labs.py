"""``batchlab labs``: build the models, hand out the labs, open JupyterLab."""

import os
import time
from pathlib import Path
from typing import Annotated

import typer


def labs(
    browser: Annotated[bool, typer.Option(help="Open the browser; without it only the address is printed.")] = True,
    build_only: Annotated[bool, typer.Option("--build-only", help="Build the models and leave.")] = False,
    folder: Annotated[
        Path | None, typer.Option("--to", help="Your copies of the labs.", show_default="my_labs in the project")
    ] = None,
    ip: Annotated[str, typer.Option(help="Address to listen on; the token stays the only lock.")] = "127.0.0.1",
) -> None:
    """Open the labs in JupyterLab, on your own copies.

    Copies in my_labs/ are made once and never overwritten: answers, outputs
    and open tabs are there again the next time. A lab that you have not
    touched is refreshed when the course has a newer edition.
    Ctrl-C ends JupyterLab, its kernels and their servers.

    Examples:

      batchlab labs
      batchlab labs --no-browser   over ssh: copy the address
      batchlab labs --build-only   before a workshop, while there is network
    """
    from batchlab import handout, jupyterlab, workspace

    began = time.perf_counter()
    _build_models()
    typer.echo(f"Models ready in {time.perf_counter() - began:.1f} s.")
    if build_only:
        return

    target = folder or workspace.project_dir() / "my_labs"
    for copy in handout.hand_out(target=target):
        if copy.outcome != "same":
            typer.echo(str(copy))

    lab = jupyterlab.first_lab(target)
    running = jupyterlab.running_on(target)
    if running:
        typer.echo(f"JupyterLab is already open on {target}:\n  {running.url(lab)}")
        if browser:
            typer.launch(running.url(lab))
        return
    began = time.perf_counter()

    def announce(session: jupyterlab.Session) -> None:
        typer.echo(f"JupyterLab answers after {time.perf_counter() - began:.1f} s. Ctrl-C here ends it.")
        # A token that the user has set is known to the user, and would only end up in a container's log.
        known = session.token == os.environ.get("JUPYTER_TOKEN")
        typer.echo(f"  {session.base_url}lab, with the token in JUPYTER_TOKEN" if known else f"  {session.url(lab)}")

    raise typer.Exit(jupyterlab.run(target, browser=browser, ip=ip, on_ready=announce))


def _build_models() -> None:
    from batchlab import ads, fraud, text_model, vision

    vision.build()
    text_model.build()
    fraud.build()
    ads.build()
    _compile_twin()


def _compile_twin() -> None:
    """Compile the twin now: in a notebook nobody would know what takes so long."""
    from batchlab import twin_cache

    if twin_cache.compiled(Path(__file__).parent):
        return
    typer.echo("Digital twin: compiling, once; about half a minute ...")
    began = time.perf_counter()
    from batchlab import arrivals, simulate, twin
    from batchlab.service import ServiceTime

    service = ServiceTime.from_function(lambda items: 1.0 + items, (1, 2))
    simulate.simulate(twin.model(service, max_batch_size=2), arrivals.constant(100, 1))
    typer.echo(f"Digital twin: compiled in {time.perf_counter() - began:.0f} s.")
