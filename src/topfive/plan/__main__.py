"""`python -m topfive.plan` writes trainings.jsonl anew: when conf/, a network or what is published has changed."""

import sys

from topfive.plan.facts import FILE, counted, keep
from topfive.plan.jobs import needed
from topfive.published import load
from topfive.report.lines import lines


def main() -> int:
    """Takes a minute or several; the exit code is 0."""
    commands = [line.command for line in lines([], load())]
    found = []
    for job in needed(commands):
        print(job.label, file=sys.stderr)
        found.append(counted(job))
    keep(found)
    print(f"{FILE.name}: {len(found)} trainings")
    return 0


if __name__ == "__main__":
    sys.exit(main())
