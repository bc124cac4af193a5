"""What declared resources do, or don't, in the mesh as it is: each for itself, and beside the others. START at `analyse.py`."""
