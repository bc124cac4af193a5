"""Revisioned facts with transactions, watches and leases: where everything that tulle must remember lives."""
