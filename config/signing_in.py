"""The addresses of signing in: of the library's, those that have a use here, and no other.

People do not change their own e-mail: a participant can be named by it, so it says whose a task
is; a workspace admin gives it.
"""

from allauth.account import views as account
from allauth.socialaccount.providers.openid_connect.views import login
from django.conf import settings
from django.urls import URLPattern, URLResolver, include, path, re_path

from accounts_app.backoffice.openid_connect import callback
from accounts_app.backoffice.signing_in import forgotten, sign_in

urlpatterns: list[URLPattern | URLResolver] = [
    path("login/", sign_in, name="account_login"),
    path("logout/", account.logout, name="account_logout"),
    path("inactive/", account.account_inactive, name="account_inactive"),
    path("signup/", account.signup, name="account_signup"),
    path("reauthenticate/", account.reauthenticate, name="account_reauthenticate"),
    path("password/change/", account.password_change, name="account_change_password"),
    path("password/set/", account.password_set, name="account_set_password"),
    path("password/reset/", forgotten, name="account_reset_password"),
    path("password/reset/done/", account.password_reset_done, name="account_reset_password_done"),
    re_path(
        r"^password/reset/key/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>.+)/$",
        account.password_reset_from_key,
        name="account_reset_password_from_key",
    ),
    path(
        "password/reset/key/done/",
        account.password_reset_from_key_done,
        name="account_reset_password_from_key_done",
    ),
    path("2fa/", include("allauth.mfa.urls")),
]
OPENID_CONNECT: list[URLPattern | URLResolver] = [
    path("3rdparty/", include("allauth.socialaccount.urls")),
    path("oidc/<slug:provider_id>/login/", login, name="openid_connect_login"),
    path("oidc/<slug:provider_id>/login/callback/", callback, name="openid_connect_callback"),
]
if settings.SOCIALACCOUNT_PROVIDERS:
    urlpatterns += OPENID_CONNECT
