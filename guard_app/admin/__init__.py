"""The back office's pages of the guard's rules; imported by the admin site."""

from guard_app.admin import replays, rules

__all__ = ["replays", "rules"]
