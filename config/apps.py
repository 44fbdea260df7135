import pkgutil
from importlib import import_module
from pathlib import Path

from django.apps import AppConfig, apps
from django.contrib.admin.apps import AdminConfig

PARTS = ("accounts_app", "integrations_app", "guard_app", "tasks_app")


class ConfigAppConfig(AppConfig):
    name = "config"
    verbose_name = "Assent"

    def ready(self) -> None:
        """Load the checks of the settings, and say how the navigation counts."""
        from config import checks  # noqa: F401 - registers them
        from config.navigation import count_by
        from integrations_app.services.webhooks import given_up
        from tasks_app.guard_figures import open_incidents
        from tasks_app.selectors import pending_count

        count_by("pending", pending_count)
        count_by("incidents", open_incidents)
        count_by("failed_webhooks", given_up)


class BackOfficeConfig(AdminConfig):
    """Django's admin with our site; it finds the parts' `admin` packages."""

    default_site = "config.admin_site.BackOffice"

    def ready(self) -> None:
        """Load every module of the parts' `admin` packages: each registers its pages.

        The packages import nothing themselves: loading the theme loads all template tags, and
        those of a part may need a module of its `admin` while the theme is still half loaded.
        """
        super().ready()
        for part in apps.get_app_configs():
            folder = Path(part.path) / "admin"
            if part.name in PARTS and folder.is_dir():
                for module in pkgutil.iter_modules([str(folder)]):
                    import_module(f"{part.name}.admin.{module.name}")
