"""The parts of `tulle shift`."""
