"""How the jobs of a multirun are run as processes of their own: on this machine, by SLURM, by Ray."""
