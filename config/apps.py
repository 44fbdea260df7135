from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig


class ConfigAppConfig(AppConfig):
    name = "config"
    verbose_name = "Assent"

    def ready(self) -> None:
        """Load the checks of the settings, and say how the navigation counts."""
        from config import checks  # noqa: F401 - registers them
        from config.navigation import count_by
        from tasks_app.guard_figures import open_incidents
        from tasks_app.selectors import pending_count

        count_by("pending", pending_count)
        count_by("incidents", open_incidents)


class BackOfficeConfig(AdminConfig):
    """Django's admin with our site; it finds the parts' `admin` packages."""

    default_site = "config.admin_site.BackOffice"
