"""Beside the last release, and the next version of a tool."""
