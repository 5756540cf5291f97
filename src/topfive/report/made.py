"""What a run was made with: code, libraries, device."""

from typing import NamedTuple

from topfive.results import Record

UNKNOWN = "unknown"


class Versions(NamedTuple):
    """As the record has them; `commit` is cut to ten digits and says where the code was changed."""

    commit: str
    device: str
    python: str
    torch: str
    lightning: str


def versions(record: Record) -> Versions:
    """Of one run."""
    sha = record.git.get("sha")
    commit = (
        f"{str(sha)[:10]}{' and changes' if record.git.get('dirty') else ''}" if sha else UNKNOWN
    )
    libraries = (record.versions.get(name) for name in ("python", "torch", "pytorch-lightning"))
    devices = f"{record.world_size} × {record.device}" if record.world_size > 1 else record.device
    return Versions(commit, devices, *(one or UNKNOWN for one in libraries))
