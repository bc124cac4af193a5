"""HTTP and JSON over the data folder's Unix socket, for agents and for the `tulle` command."""
