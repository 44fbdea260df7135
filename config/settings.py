"""Settings by environment variables; without any, the embedded defaults on this machine.

Every variable is described in the README.
"""

import os
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from config import theme
from config.database import database_settings
from config.home import load_home_secrets
from config.keys import check_secret_key, encryption_keys
from config.logs import configure_structlog, logging_settings
from config.mail import mail_settings
from config.single_sign_on import openid_connect

BASE_DIR = Path(__file__).resolve().parent.parent


def _env(name: str, default: str = "") -> str:
    return os.environ.get(name) or default


def _list(name: str, default: str = "") -> list[str]:
    return [item.strip() for item in _env(name, default).split(",") if item.strip()]


ASSENT_HOME = Path(_env("ASSENT_HOME", str(BASE_DIR / "var")))
_home_secrets = load_home_secrets(ASSENT_HOME)

DEBUG = _env("DEBUG", "0") == "1"
SECRET_KEY = _env("SECRET_KEY", _home_secrets.get("SECRET_KEY", ""))
check_secret_key(SECRET_KEY)
ASSENT_ENCRYPTION_KEYS = encryption_keys(
    _env("ASSENT_ENCRYPTION_KEYS", _home_secrets.get("ASSENT_ENCRYPTION_KEYS", ""))
)
ALLOWED_HOSTS = _list("ALLOWED_HOSTS", "127.0.0.1,localhost,[::1]")
CSRF_TRUSTED_ORIGINS = _list("CSRF_TRUSTED_ORIGINS")

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
SOCIALACCOUNT_PROVIDERS = openid_connect(
    _env("ASSENT_OIDC_ISSUER"),
    _env("ASSENT_OIDC_CLIENT_ID"),
    _env("ASSENT_OIDC_CLIENT_SECRET"),
    _env("ASSENT_OIDC_NAME", "single sign-on"),
)
ASSENT_OIDC_ORIGIN = "/".join(_env("ASSENT_OIDC_ISSUER").split("/")[:3])
locals().update(mail_settings(_env("ASSENT_SMTP_URL")))
ASSENT_MAIL = bool(_env("ASSENT_SMTP_URL"))
ASSENT_NOTIFY_SCHEMES = tuple(_list("ASSENT_NOTIFY_SCHEMES"))
ASSENT_NOTIFY_PRIVATE = tuple(place.lower() for place in _list("ASSENT_NOTIFY_PRIVATE"))
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

DATABASES: dict[str, Any] = {
    "default": database_settings(
        _env("DATABASE_URL", f"sqlite:///{ASSENT_HOME}/assent.sqlite3"),
        prepare=_env("ASSENT_PREPARE", "1") == "1",
    )
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

UNFOLD = theme.UNFOLD

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

configure_structlog()
LOGGING = logging_settings(_env("LOG_LEVEL", "WARNING"))
