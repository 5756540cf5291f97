"""Leaves the screen to what a user can act on."""

import logging
import warnings


def quiet_lightning() -> None:
    """Silences Lightning's advertisements and the warnings that say nothing about a run."""
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    # Lightning 2.6 asks torch for a pytree class by its deprecated name, in every fit.
    warnings.filterwarnings("ignore", ".*LeafSpec.*", FutureWarning)
    # Workers are chosen by conf/loader, not by the number of processors.
    warnings.filterwarnings("ignore", ".*does not have many workers.*")
    # Training starts where the checkpoint left off, because the order is addressed by the step.
    warnings.filterwarnings("ignore", ".*your dataloader is not resumable.*")
