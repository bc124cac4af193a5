"""The mesh's name, which is in all of its hosts and identities. A file without imports, as the agent reads it at every start."""

MESH_DOMAIN = "cluster.local"
