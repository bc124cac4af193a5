"""What sidecars have counted of the mesh's calls: taken in, kept within bounds for a day, summed up."""
