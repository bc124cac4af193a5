"""What the mesh's access rules are to Envoy: filters of its role based access control (RBAC), and their rules."""
