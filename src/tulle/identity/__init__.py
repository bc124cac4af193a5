"""Who you are, proved and signed: the mesh's certificate authority and what it asks before it signs."""
