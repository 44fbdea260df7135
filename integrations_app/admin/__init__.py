"""The back office's pages of this part; imported by the admin site."""

from integrations_app.admin import integrations, operations

__all__ = ["integrations", "operations"]
