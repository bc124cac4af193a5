"""What sidecars tell of calls, taken, kept within bounds and summed up: figures, traces."""
