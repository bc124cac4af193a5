"""Who is alive, and what the mesh has learned of services and their callers."""
