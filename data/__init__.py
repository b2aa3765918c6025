"""Catalogue of data sets, and small samples the project made itself."""
