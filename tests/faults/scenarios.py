"""All faults, in the order of the table."""

import betons
import clocks
import damage
import disk
import kills
import processes
import reading
import wandb_server

FAULTS = (
    *kills.FAULTS,
    *disk.FAULTS,
    *reading.FAULTS,
    *betons.FAULTS,
    *damage.FAULTS,
    *processes.FAULTS,
    *clocks.FAULTS,
    *wandb_server.FAULTS,
)
