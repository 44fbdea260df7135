"""The back office's pages of this part; imported by the admin site."""

from accounts_app.admin import agents, audit, keys, members, profile, reading, workspace

__all__ = ["agents", "audit", "keys", "members", "profile", "reading", "workspace"]
