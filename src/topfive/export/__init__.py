"""A trained network, its preprocessing included, as a file that needs no code of ours."""
