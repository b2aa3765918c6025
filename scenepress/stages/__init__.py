"""Stages of the bitstream: one module each, listed by id in table.py."""
