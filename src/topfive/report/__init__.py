"""What was published beside what was measured here: `rows` decides, the other files show it."""
