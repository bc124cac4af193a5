"""Programs that are run in the mesh, or beside it, to be measured. They know nothing of tulle."""
