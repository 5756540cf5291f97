"""What a launcher asks of the engine that runs its jobs."""

from collections.abc import Sequence
from typing import Literal, Protocol

from topfive.launch.jobs import Job

Stage = Literal["queued", "running", "ended"]


class Submitted(Protocol):
    """A job that an engine has taken."""

    def stage(self) -> Stage: ...


class Engine(Protocol):
    """interval: seconds between two looks at the stages of its jobs."""

    interval: float

    def log(self, job: Job) -> str:
        """The file that takes what the job prints."""

    def submit(self, jobs: Sequence[Job]) -> Sequence[Submitted]:
        """Takes the jobs, in this order. Raises Problem where it cannot, before any is started."""

    def leave(self, left: Sequence[Submitted]) -> str:
        """Ends the watch over jobs that have not ended, and says in a line what becomes of them."""
