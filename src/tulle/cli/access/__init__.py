"""The commands of `tulle authz`."""
