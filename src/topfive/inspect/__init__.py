"""What a network is made of, by one run on the meta device: `measure` finds it, the other files show it."""
