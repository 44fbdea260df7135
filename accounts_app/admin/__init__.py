"""The back office's pages of this part; imported by the admin site."""

from accounts_app.admin import reading, workspace

__all__ = ["reading", "workspace"]
