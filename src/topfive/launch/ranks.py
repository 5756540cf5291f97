"""Ranks that somebody else starts (torchrun, srun, a line on every node) each compose their own configuration."""

from collections.abc import Mapping, MutableMapping, Sequence

from topfive.problems import Problem

RUN_DIR = "hydra.run.dir="


def demand_one_directory(
    arguments: Sequence[str], several: bool, environment: Mapping[str, str]
) -> None:
    """Raises Problem where ranks would each train in a directory named by their own clock.

    So, too, where each of them would carry out a whole multirun (`several`).
    """
    if not _one_of_many(environment):
        return
    if several:
        raise Problem(
            "a multirun starts the processes of its jobs itself, and here each rank would: leave torchrun or srun "
            "out and take trainer.devices=N, or hydra/launcher=slurm for several nodes."
        )
    if not any(argument.startswith(RUN_DIR) for argument in arguments):
        raise Problem(
            f"ranks that are started from outside must share a directory, and each would name its own by its own "
            f"clock: add {RUN_DIR}outputs/NAME, the same for all, and resume=auto to go on after a restart."
        )


def _one_of_many(environment: Mapping[str, str]) -> bool:
    if environment.keys() & {"LOCAL_RANK", "NODE_RANK"}:
        return True
    # As Lightning tells srun from a shell within an allocation.
    shell = environment.get("SLURM_JOB_NAME") in ("bash", "interactive")
    return int(environment.get("SLURM_NTASKS", 1)) > 1 and not shell


def leave_store_of_torchrun(environment: MutableMapping[str, str]) -> None:
    """Lets rank 0 serve the store by which the ranks find each other, on a port that follows torchrun's.

    torchrun's own outlives a restart (torch 2.15), with the addresses of the processes that died: those
    that follow would wait for them.
    """
    if environment.get("TORCHELASTIC_USE_AGENT_STORE") == "True":
        restarts = int(environment["TORCHELASTIC_RESTART_COUNT"])
        environment["TORCHELASTIC_USE_AGENT_STORE"] = "False"
        environment["MASTER_PORT"] = str(int(environment["MASTER_PORT"]) + 1 + restarts)
