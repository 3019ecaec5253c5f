"""``python -m batchlab`` and the ``batchlab`` program; on half an installation, at least the doctor answers."""

import sys


def main() -> None:
    """Run the command line. Exit status: 0 done, 1 failed, 2 asked wrongly."""
    try:
        from batchlab.cli import app
    except ModuleNotFoundError as missing:
        if (missing.name or "").startswith("batchlab"):
            raise
        _without_packages(missing.name or "a package")
    else:
        app()


def _without_packages(missing: str) -> None:
    from batchlab import doctor

    if sys.argv[1:2] != ["doctor"]:
        sys.exit(f"The package {missing} is not installed. Run 'make setup', then the same command again.")
    checks = doctor.examine()
    print(doctor.to_json(checks) if "--json" in sys.argv else doctor.to_text(checks))
    sys.exit(0 if doctor.able(checks) else 1)


if __name__ == "__main__":
    main()
