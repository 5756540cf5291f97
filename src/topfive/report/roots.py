"""Where records are looked for when no folder is named."""

from pathlib import Path

from topfive.problems import Problem

USUAL = ("outputs", "results")


def usual() -> list[Path]:
    """Those of outputs/ and results/ that are here; raises Problem where neither is."""
    roots = [Path(name) for name in USUAL if Path(name).is_dir()]
    if not roots:
        raise Problem(
            f"Neither outputs/ nor results/ is in {Path.cwd()}. Run this from the root of the "
            "repository, or name the folder: python -m topfive.report FOLDER"
        )
    return roots
