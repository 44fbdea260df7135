# Generated from _async/__init__.py by generate_sync.py; edit that instead.
"""The client for code that blocks, generated from `_async`."""
