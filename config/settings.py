"""Settings by environment variables; without any, the embedded defaults on this machine.

Every variable is described in the README.
"""

import os
import sys
from pathlib import Path
from typing import Any, TextIO, cast

import dj_database_url
import structlog
from django.core.exceptions import ImproperlyConfigured

from config.home import load_home_secrets
from config.logs import Unfailing
from config.mail import mail_settings

INDIGO = {
    "50": "oklch(96.2% .018 272.314)",
    "100": "oklch(93% .034 272.788)",
    "200": "oklch(87% .065 274.039)",
    "300": "oklch(78.5% .115 274.713)",
    "400": "oklch(67.3% .182 276.935)",
    "500": "oklch(58.5% .233 277.117)",
    "600": "oklch(51.1% .262 276.966)",
    "700": "oklch(45.7% .24 277.023)",
    "800": "oklch(39.8% .195 277.366)",
    "900": "oklch(35.9% .144 278.697)",
    "950": "oklch(25.7% .09 281.288)",
}
BASE_DIR = Path(__file__).resolve().parent.parent


def _env(name: str, default: str = "") -> str:
    return os.environ.get(name) or default


PLACEHOLDERS = ("django-insecure", "change", "secret", "placeholder", "example", "your", "<")
"""How the keys begin that stand in examples and are forgotten there."""


def _openid_connect() -> dict[str, Any]:
    """Sign-in through an OpenID Connect provider, where its four variables are set."""
    issuer, client = _env("ASSENT_OIDC_ISSUER"), _env("ASSENT_OIDC_CLIENT_ID")
    if not issuer and not client:
        return {}
    if not issuer.startswith(("https://", "http://127.0.0.1", "http://localhost")) or not client:
        raise ImproperlyConfigured(
            "For OpenID Connect set ASSENT_OIDC_ISSUER (https://…), ASSENT_OIDC_CLIENT_ID and"
            " ASSENT_OIDC_CLIENT_SECRET; ASSENT_OIDC_NAME is what the button says."
        )
    app = {
        "provider_id": "oidc",
        "name": _env("ASSENT_OIDC_NAME", "single sign-on"),
        "client_id": client,
        "secret": _env("ASSENT_OIDC_CLIENT_SECRET"),
        "settings": {"server_url": issuer, "oauth_pkce_enabled": True},
    }
    checked = "accounts_app.backoffice.openid_connect.Provider"
    return {"openid_connect": {"APPS": [app], "provider_class": checked}}


ASSENT_HOME = Path(_env("ASSENT_HOME", str(BASE_DIR / "var")))
_home_secrets = load_home_secrets(ASSENT_HOME)

DEBUG = _env("DEBUG", "0") == "1"
SECRET_KEY = _env("SECRET_KEY", _home_secrets.get("SECRET_KEY", ""))
if len(SECRET_KEY) < 32:
    raise ImproperlyConfigured(
        "Set SECRET_KEY to a random text of at least 32 characters, and keep it secret;"
        " `make up` makes one for an embedded installation."
    )
if len(set(SECRET_KEY)) < 8 or SECRET_KEY.lower().startswith(PLACEHOLDERS):
    raise ImproperlyConfigured(
        "SECRET_KEY is a placeholder that others know too: set it to a random text of at least 32"
        " characters, for instance from `openssl rand -base64 48`."
    )
ASSENT_ENCRYPTION_KEYS = [
    key.strip()
    for key in _env(
        "ASSENT_ENCRYPTION_KEYS", _home_secrets.get("ASSENT_ENCRYPTION_KEYS", "")
    ).split(",")
    if key.strip()
]
if not ASSENT_ENCRYPTION_KEYS:
    raise ImproperlyConfigured(
        "Set ASSENT_ENCRYPTION_KEYS to one or more Fernet keys (44 characters, URL-safe base64),"
        " newest first, separated by commas."
    )
ALLOWED_HOSTS = _env("ALLOWED_HOSTS", "127.0.0.1,localhost,[::1]").split(",")
CSRF_TRUSTED_ORIGINS = [origin for origin in _env("CSRF_TRUSTED_ORIGINS").split(",") if origin]

INSTALLED_APPS = [
    "config.apps.ConfigAppConfig",
    "tasks_app.apps.TasksAppConfig",
    "guard_app.apps.GuardAppConfig",
    "integrations_app.apps.IntegrationsAppConfig",
    "accounts_app.apps.AccountsAppConfig",
    "unfold.apps.BasicAppConfig",
    "config.apps.BackOfficeConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.humanize",
    "django.contrib.staticfiles",
    "django.forms",
    "django_htmx",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_celery_beat",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "axes",
]
MIDDLEWARE = [
    "config.middleware.RequestIdMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "accounts_app.backoffice.middleware.TimeZoneMiddleware",
    "accounts_app.backoffice.middleware.SecondFactorMiddleware",
    "axes.middleware.AxesMiddleware",
]
ROOT_URLCONF = "config.urls"
APPEND_SLASH = False
TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
            "builtins": ["django.contrib.humanize.templatetags.humanize"],
        },
    },
]
WSGI_APPLICATION = None
FORM_RENDERER = "django.forms.renderers.TemplatesSetting"
AUTH_USER_MODEL = "accounts_app.User"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "/accounts/login/"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/accounts/login/"
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
]
ACCOUNT_ADAPTER = "accounts_app.backoffice.adapters.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "password1*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_EMAIL_NOTIFICATIONS = False
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_LOGOUT_ON_PASSWORD_CHANGE = True
# Of `login_failed` only the second factor's part is left: axes counts wrong passwords.
ACCOUNT_RATE_LIMITS = {"login": None, "login_failed": "5/5m/key"}
MFA_ADAPTER = "accounts_app.backoffice.adapters.SecondFactorAdapter"
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes", "webauthn"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_ALLOW_UNVERIFIED_EMAIL = True
SOCIALACCOUNT_ADAPTER = "accounts_app.backoffice.adapters.SocialAdapter"
SOCIALACCOUNT_STORE_TOKENS = False
SOCIALACCOUNT_PROVIDERS = _openid_connect()
ASSENT_OIDC_ORIGIN = "/".join(_env("ASSENT_OIDC_ISSUER").split("/")[:3])
locals().update(mail_settings(_env("ASSENT_SMTP_URL")))
ASSENT_MAIL = bool(_env("ASSENT_SMTP_URL"))
ASSENT_NOTIFY_SCHEMES = tuple(name for name in _env("ASSENT_NOTIFY_SCHEMES").split(",") if name)
ASSENT_NOTIFY_PRIVATE = tuple(
    place.strip().lower() for place in _env("ASSENT_NOTIFY_PRIVATE").split(",") if place.strip()
)
DEFAULT_FROM_EMAIL = _env("ASSENT_MAIL_FROM", "Assent <assent@localhost>")
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_USERNAME_CALLABLE = "accounts_app.backoffice.signing_in.attempted_name"
AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = 0.25  # hours
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_DISABLE_ACCESS_LOG = True
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False
AXES_LOCKOUT_TEMPLATE = "account/locked_out.html"
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"
USE_I18N = True

# IMMEDIATE and WAL together: with either alone, contested transactions fail with "locked".
# FULL, because a mark that is lost at power loss would let a call be sent twice.
SQLITE_OPTIONS = {
    "transaction_mode": "IMMEDIATE",
    "timeout": 20,
    "init_command": (
        "PRAGMA journal_mode=WAL;PRAGMA synchronous=FULL;PRAGMA foreign_keys=ON;"
        "PRAGMA busy_timeout=20000;"
    ),
}
DATABASES: dict[str, Any] = {
    "default": dj_database_url.parse(
        _env("DATABASE_URL", f"sqlite:///{ASSENT_HOME}/assent.sqlite3"), conn_max_age=60
    )
}
if not DATABASES["default"].get("ENGINE", "").endswith(("sqlite3", "postgresql")):
    raise ImproperlyConfigured(
        "DATABASE_URL must begin with postgresql:// (or sqlite:///); leave it out for the embedded"
        " database."
    )
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    DATABASES["default"]["OPTIONS"] = SQLITE_OPTIONS
    DATABASES["default"]["CONN_MAX_AGE"] = None
else:
    # A statement that comes again and again is planned once: planning took longer than running.
    # ASSENT_PREPARE=0 is for poolers that hand connections on between transactions.
    _prepare = _env("ASSENT_PREPARE", "1") == "1"
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
    DATABASES["default"]["OPTIONS"] = {
        "server_side_binding": _prepare,
        "prepare_threshold": 3 if _prepare else None,
        "connect_timeout": 5,
        # Rows are found by their ids, along foreign keys: a planner that tries every order of
        # nine tables, or compiles the query, takes longer than the query.
        "options": "-c lock_timeout=10s -c statement_timeout=30s"
        " -c idle_in_transaction_session_timeout=60s"
        " -c jit=off -c join_collapse_limit=4 -c from_collapse_limit=4",
    }
# Wrong codes of second factors are counted here, by all processes together.
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "accounts_app_sharedcount",
        "OPTIONS": {"MAX_ENTRIES": 100_000},
    }
}

STATIC_URL = "/static/"
STATIC_ROOT = None
STATICFILES_DIRS = [BASE_DIR / "templates" / "static"]
WHITENOISE_USE_FINDERS = True  # no collecting needed
WHITENOISE_AUTOREFRESH = False

DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 500
SESSION_COOKIE_AGE = 8 * 3600
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_HTTPONLY = True
_https = _env("ASSENT_HTTPS", "0") == "1"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = _https
SECURE_HSTS_SECONDS = 31_536_000 if _https else 0
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if _https else None
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["accounts_app.api.authentication.KeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": [],
    "DEFAULT_PARSER_CLASSES": ["accounts_app.api.parsers.StrictJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_THROTTLE_CLASSES": ["accounts_app.api.throttling.KeyThrottle"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "accounts_app.api.negotiation.AlwaysJSON",
    "DEFAULT_SCHEMA_CLASS": "config.openapi.ContractSchema",
    "DEFAULT_METADATA_CLASS": None,
    "EXCEPTION_HANDLER": "config.problems.handle",
    "UNAUTHENTICATED_USER": None,
    "COERCE_DECIMAL_TO_STRING": False,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Assent",
    "DESCRIPTION": "People decide what AI agents may do.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "AUTHENTICATION_WHITELIST": [],
    "APPEND_COMPONENTS": {"securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
    "SECURITY": [{"key": []}],
    "SERVE_AUTHENTICATION": [],
    "SERVE_PERMISSIONS": [],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "POSTPROCESSING_HOOKS": ["config.openapi.complete"],
}

UNFOLD = {
    "SITE_TITLE": "Assent",
    "SITE_HEADER": "Assent",
    "SITE_SUBHEADER": "config.navigation.workspace_name",
    "SITE_SYMBOL": "how_to_reg",
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": "config.navigation.favicon"}
    ],
    "SITE_URL": None,
    "SHOW_HISTORY": False,
    "SHOW_VIEW_ON_SITE": False,
    "BORDER_RADIUS": "8px",
    "COLORS": {"primary": INDIGO},
    "STYLES": ["config.navigation.stylesheet"],
    "SCRIPTS": ["config.navigation.script"],
    "SIDEBAR": {"show_search": False, "navigation": "config.navigation.sidebar"},
}

ASSENT_URL = _env("ASSENT_URL").rstrip("/")
ASSENT_LOCAL_URL = f"http://127.0.0.1:{_env('PORT', '8000')}"
ASSENT_DOORBELL = "config.doorbell.ring"
ASSENT_WAKE = "config.wake.notify"
ASSENT_LISTEN_URL = _env("ASSENT_LISTEN_URL")
ASSENT_METRICS_TOKEN = _env("ASSENT_METRICS_TOKEN")
ASSENT_NUDGE = _env("ASSENT_NUDGE", "on")
ASSENT_TEST_CLOCK = False
ASSENT_TEST_FAULTS = False


def _whole_number(name: str, default: str) -> int:
    try:
        return int(_env(name, default))
    except ValueError as error:
        raise ImproperlyConfigured(f"Set {name} to a whole number.") from error


ASSENT_THROTTLE_PER_MINUTE = _whole_number("ASSENT_THROTTLE_PER_MINUTE", "1200")
ASSENT_KEEP_DAYS = _whole_number("ASSENT_KEEP_DAYS", "90")

structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        structlog.processors.JSONRenderer(),
    ],
    wrapper_class=structlog.make_filtering_bound_logger(20),
    logger_factory=structlog.WriteLoggerFactory(file=cast(TextIO, Unfailing(sys.stderr))),
    cache_logger_on_first_use=True,
)
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "json": {
            "()": "structlog.stdlib.ProcessorFormatter",
            "foreign_pre_chain": [
                structlog.contextvars.merge_contextvars,
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
            ],
            "processors": [
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(),
            ],
        }
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {"handlers": ["console"], "level": _env("LOG_LEVEL", "WARNING")},
    # At their loudest, these write down every header, credentials too, and every value of a row.
    "loggers": {
        name: {"level": "WARNING"}
        for name in ("httpcore2", "httpx2", "django.db.backends", "amqp", "kombu")
    }
    # Its warnings name hosts and paths of addresses, its debugging whole messages.
    | {"apprise": {"level": "CRITICAL"}},
}
