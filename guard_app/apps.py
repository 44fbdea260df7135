from django.apps import AppConfig


class GuardAppConfig(AppConfig):
    name = "guard_app"
    verbose_name = "Guard"
