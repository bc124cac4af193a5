"""A mesh of a thousand sidecars on one machine, for `fanout`: a control plane that is real, and sidecars that are not.

simulation     all of it, from outside
mesh           who is in it, and who holds what
control_plane  the process that is measured; it also makes the changes
sidecars       the processes that take them: mTLS, gRPC and delta ADS, and no Envoy behind
"""
