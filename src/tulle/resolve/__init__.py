"""Snapshots and who asks, to one proxy's picture in mesh words. Pure: no I/O, no clock, nothing of Envoy."""
