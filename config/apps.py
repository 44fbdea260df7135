from django.apps import AppConfig


class ConfigAppConfig(AppConfig):
    name = "config"
    verbose_name = "Assent"

    def ready(self) -> None:
        """Load the checks of the settings."""
        from config import checks  # noqa: F401 - registers them
