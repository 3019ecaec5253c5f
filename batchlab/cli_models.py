"""``batchlab models``: what the repository holds, and how two configurations differ."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer


def models(
    difference: Annotated[
        tuple[str, str] | None,
        typer.Option(metavar="BEFORE AFTER", help="Two models, or config.pbtxt files: print what differs."),
    ] = None,
    repository: Annotated[
        Path | None, typer.Option(help="Model repository.", show_default="triton_repo of the project")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """List the models of the repository, or the difference between two configurations.

    Examples:

      batchlab models
      batchlab models --difference resnet50 null
      batchlab models --difference old/config.pbtxt new/config.pbtxt
    """
    from batchlab import repository as repo
    from batchlab import workspace

    folder = repository or workspace.repository_dir()
    if difference:
        lines = repo.difference(*(_configuration(text, folder) for text in difference))
        typer.echo(json.dumps(lines, indent=2) if as_json else "\n".join(lines) or "No difference.")
        return
    names = repo.models(folder)
    if not names:
        raise typer.BadParameter(f"{folder} holds no */config.pbtxt.", param_hint="--repository")
    configs = [repo.read(name, folder) for name in names]
    if as_json:
        typer.echo(json.dumps([json.loads(config.to_json()) for config in configs], indent=2))
    else:
        _show(configs, folder)


def _configuration(text: str, folder: Path) -> Any:
    from batchlab import repository as repo

    path = Path(text)
    if path.is_file():
        return repo.ModelConfig.from_pbtxt(path.read_text(encoding="utf-8"), source=text)
    return repo.read(text, folder)


def _show(configs: list[Any], folder: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"Models in {folder}", title_justify="left")
    table.add_column("model", no_wrap=True)
    table.add_column("backend")
    for heading in ("max batch", "max wait ms", "instances"):
        table.add_column(heading, justify="right")
    for config in configs:
        batching = config.dynamic_batching
        wait = f"{batching.max_queue_delay_microseconds / 1000:g}" if batching else "no batcher"
        instances = sum(group.count for group in config.instance_groups) or 1
        table.add_row(config.name, config.backend or config.platform, str(config.max_batch_size), wait, str(instances))
    Console().print(table)
