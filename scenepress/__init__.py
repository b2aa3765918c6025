"""Compress 3D scenes into one small, open, bit-exact `.press` file, and prove how good it is."""
