"""Guards over the project as a whole: pins, documents that say what is there, public names, nothing of one machine."""

import importlib
import os
import re
import subprocess
from pathlib import Path

import pytest

from batchlab import cli, course
from batchlab.doctor import DOCKER_WAY

PROJECT = Path(__file__).resolve().parent.parent
MOST_LINES = 260
PAGES = sorted((PROJECT / "docs").glob("*.md"))

# What notebooks and users import. To take a name away is a change that the changelog must tell.
PUBLIC = {
    "arrivals": ["Arrivals", "concat", "constant", "diurnal", "gamma", "on_off", "poisson", "ramp", "replay", "spike",
                 "superpose"],
    "doctor": ["Check", "able", "examine", "to_json", "to_text", "verdict"],
    "gpu": ["Gpu", "driver", "gpus", "torch_problem"],
    "grading": ["Lab"],
    "handout": ["Copy", "HandoutError", "hand_out"],
    "journal": ["RunWriter", "load", "save", "saved"],
    "jupyterlab": ["Session", "first_lab", "run", "running_on"],
    "load": ["closed_loop", "open_loop"],
    "measure": ["Estimate", "Run", "percentile"],
    "plots": ["COLOURS", "latency_against_batch", "pareto", "throughput_against_batch", "use_style"],
    "profiles": ["Profile", "emulated_config", "load_profiles"],
    "provenance": ["Provenance", "Tier", "this_machine"],
    "repository": ["DynamicBatching", "InstanceGroup", "ModelConfig", "QueuePolicy", "RepositoryError", "TensorSpec",
                   "committed", "difference", "read", "write"],
    "server": ["ModelError", "RequestError", "Server", "ServerError", "ServerGone", "StartError", "connect", "start"],
    "slo": ["Slo", "min_requests", "verdict"],
    "statistics": ["Activity", "Snapshot"],
    "sweep": ["Sweep", "static_sweep"],
    "vision": ["build", "images", "labels", "photographs"],
    "breakdown": ["Breakdown", "split"],
    "calibrate": ["calibrate"],
    "capacity": ["CapacityCurve", "of_runs", "of_search", "of_twin"],
    "cost": ["Price", "cheapest", "fleet_cost", "load_prices", "price_of", "usd_per_1000"],
    "explorer": ["explore"],
    "fusion": ["fuse"],
    "gate": ["agreement", "judge"],
    "memo": ["Memo"],
    "monitor": ["panel"],
    "queueing": ["md1", "mg1", "mm1", "mmc"],
    "race": ["race"],
    "simulate": ["Stream", "replay", "simulate"],
    "trace": ["read", "recording"],
    "tune": ["Tuner", "drive_server", "grid"],
    "twin": ["Twin", "model", "of"],
    "variants": ["make"],
    "workspace": ["home_dir", "project_dir", "repository_dir", "runs_dir", "servers_dir"],
}  # fmt: skip


def text(name: str) -> str:
    return (PROJECT / name).read_text(encoding="utf-8")


def pins(name: str) -> dict[str, str]:
    lines = [line.split("#")[0].strip() for line in text(name).splitlines()]
    found = {}
    for line in filter(None, lines):
        match = re.fullmatch(r"([A-Za-z0-9_.-]+)(\[[^\]]+\])?==([^\s=]+)", line)
        assert match, f"{name}: {line!r} is no exact pin"
        found[re.sub(r"[-_.]+", "-", match[1]).lower()] = match[3]
    return found


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    return [PROJECT / name for name in listed.split("\0") if name and (PROJECT / name).is_file()]


def makefile_targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", text("Makefile"), flags=re.MULTILINE))


def documents() -> str:
    return text("README.md") + text("CONTRIBUTING.md") + "".join(text(f"docs/{page.name}") for page in PAGES)


def test_every_requirement_is_pinned_as_the_constraints_say() -> None:
    constraints = pins("constraints.txt")
    assert pins("requirements.txt").items() <= constraints.items()


def test_conda_users_get_the_same_pins() -> None:
    environment = text("environment.yml")
    assert "- -r requirements.txt" in environment
    assert "- -c constraints.txt" in environment


def test_make_alone_lists_every_target() -> None:
    shown = subprocess.run(["make", "--no-print-directory"], cwd=PROJECT, capture_output=True, text=True, check=True)
    listed = set(re.findall(r"^  make ([a-z-]+) ", shown.stdout, flags=re.MULTILINE))
    assert listed == makefile_targets()


def test_make_lets_python_keep_what_it_compiles() -> None:
    # A shell of make's own: what the variable is for its commands, where the caller has set it.
    rule = 'told: ; @echo "<$$PYTHONDONTWRITEBYTECODE>"'
    told = subprocess.run(
        ["make", "--no-print-directory", f"--eval={rule}", "told"],
        cwd=PROJECT, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert told.stdout == "<>\n"


def test_every_make_command_of_the_documents_is_a_target() -> None:
    named = set(re.findall(r"(?:`|^)make ([a-z-]+)", documents(), flags=re.MULTILINE))
    assert {"lab", "test", "doctor"} <= named
    assert named <= makefile_targets()


def test_every_batchlab_command_of_the_documents_exists() -> None:
    named = set(re.findall(r"(?:`|^|&& )batchlab ([a-z]+)", documents(), flags=re.MULTILINE))
    assert {"labs", "profiles", "sweep"} <= named
    assert named <= {command.name for command in (*cli.app.registered_commands, *cli.app.registered_groups)}


def test_every_link_of_the_documents_leads_somewhere() -> None:
    names = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", *(f"docs/{page.name}" for page in PAGES)]
    for name in names:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", text(name)):
            assert ((PROJECT / name).parent / target).exists(), f"{name} links to {target}"


def test_the_readme_lists_the_labs_that_there_are() -> None:
    rows = re.findall(r"^\| (\d\d) ([^|]+) \| (\w+) \| (\d+) \|", text("README.md"), flags=re.MULTILINE)
    labs = [(lab[:2], info.title, info.level, str(info.minutes)) for lab, info in course.load().items()]
    assert rows == labs
    assert {path.stem for path in (PROJECT / "labs").glob("*.ipynb")} == set(course.load())


def test_the_docker_way_is_the_same_wherever_it_is_told() -> None:
    def plain(command: str) -> str:
        return " ".join(command.replace("\\\n", " ").split())

    assert DOCKER_WAY in plain(text("README.md"))
    assert DOCKER_WAY in plain(text("scripts/setup"))


def test_the_glossary_is_in_order_and_keeps_the_names_of_rates() -> None:
    terms = re.findall(r"^\*\*([^*]+)\*\*:", text("docs/glossary.md"), flags=re.MULTILINE)
    assert terms == sorted(terms, key=str.lower)
    assert {"Goodput", "Knee", "Latency", "Offered rate", "Throughput", "Tier"} <= set(terms)


@pytest.mark.parametrize("module", PUBLIC)
def test_public_names_stay(module: str) -> None:
    found = importlib.import_module(f"batchlab.{module}")
    assert [name for name in PUBLIC[module] if not hasattr(found, name)] == []


def test_modules_stay_small() -> None:
    long = {
        str(path.relative_to(PROJECT)): count
        for path in (PROJECT / "batchlab").rglob("*.py")
        if (count := len(path.read_text(encoding="utf-8").splitlines())) > MOST_LINES
    }
    assert long == {}


def test_no_two_test_files_share_a_name() -> None:
    # pytest imports them by name: a second one of that name stops the collection, once both run together.
    names = [path.name for path in (PROJECT / "tests").rglob("test_*.py")]
    assert sorted(names) == sorted(set(names))


def test_nothing_of_one_machine_is_committed() -> None:
    # Joined here, so that this file does not find itself.
    foreign = [re.compile("/" + part) for part in (r"work/(?:main|wt|shared)\b", "root/", "opt/pypi")]
    found = []
    for path in tracked():
        if path.suffix in (".png", ".onnx", ".npz", ".svg"):
            continue
        content = path.read_text(encoding="utf-8", errors="replace")
        found += [f"{path.relative_to(PROJECT)}: {match[0]}" for rule in foreign for match in rule.finditer(content)]
    assert found == []


def test_nothing_built_is_committed() -> None:
    names = [str(path.relative_to(PROJECT)) for path in tracked()]
    built = re.compile(r"(^|/)(__pycache__|\.venv|\.batchlab|my_labs|build)/|model\.onnx$|\.ipynb_checkpoints")
    assert [name for name in names if built.search(name)] == []
