from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig


class ConfigAppConfig(AppConfig):
    name = "config"
    verbose_name = "Assent"

    def ready(self) -> None:
        """Load the checks of the settings."""
        from config import checks  # noqa: F401 - registers them


class BackOfficeConfig(AdminConfig):
    """Django's admin with our site; it finds the parts' `admin` packages."""

    default_site = "config.admin_site.BackOffice"
