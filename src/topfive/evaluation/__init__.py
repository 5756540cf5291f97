"""The test of a trained network: every image decoded once for all views of all protocols asked for."""
