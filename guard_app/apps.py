from django.apps import AppConfig


class GuardAppConfig(AppConfig):
    name = "guard_app"
    verbose_name = "Guard"

    def ready(self) -> None:
        """Fill the hook through which pruning reaches what replays found."""
        from guard_app.services.pruning import prune_replays
        from integrations_app.services.hooks import hooks

        hooks.prune = prune_replays
