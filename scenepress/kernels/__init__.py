"""Kernel backends. The only door to the native module."""

from __future__ import annotations
