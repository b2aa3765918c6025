"""Viewers of scenes and files."""
