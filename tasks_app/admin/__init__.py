"""The back office's pages of this part; imported by the admin site."""

from tasks_app.admin import approvals, run, sessions, task

__all__ = ["approvals", "run", "sessions", "task"]
