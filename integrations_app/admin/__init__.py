"""The back office's pages of this part; imported by the admin site."""

from integrations_app.admin import importing, integrations, operations, webhooks

__all__ = ["importing", "integrations", "operations", "webhooks"]
