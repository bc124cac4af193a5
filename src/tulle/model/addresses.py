"""Addresses and names that agents and the control plane both know. A file without imports, as is `domain.py`."""

LOOPBACK = "127.0.0.1"
# The virtual IPs of services; which service has which is `vips.py`. The program's calls and look-ups are told by the bits of
# this network in `agent/capture/seccomp_address.py` and `agent/dns/subjects.py`.
VIPS = "127.64.0.0/10"
# The last 256 of these are tulle's own. At the canary's Envoy itself answers, with its proxy's id: so an agent proves that
# its program's look-ups and calls arrive at its sidecar.
CANARY_HOST = "canary.tulle.internal"
CANARY_VIP = "127.127.255.254"
# Nobody listens there: a socket that is bound to it keeps a port from being given away.
PLACEHOLDER = "127.127.255.253"
