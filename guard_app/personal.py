"""Secrets and personal data in a text: patterns of kept libraries, numbers with check digits."""

import re
from collections.abc import Callable
from typing import Any, Final

from detect_secrets.plugins.aws import AWSKeyDetector
from detect_secrets.plugins.azure_storage_key import AzureStorageKeyDetector
from detect_secrets.plugins.basic_auth import BasicAuthDetector
from detect_secrets.plugins.discord import DiscordBotTokenDetector
from detect_secrets.plugins.github_token import GitHubTokenDetector
from detect_secrets.plugins.gitlab_token import GitLabTokenDetector
from detect_secrets.plugins.jwt import JwtTokenDetector
from detect_secrets.plugins.mailchimp import MailchimpDetector
from detect_secrets.plugins.npm import NpmDetector
from detect_secrets.plugins.openai import OpenAIDetector
from detect_secrets.plugins.private_key import PrivateKeyDetector
from detect_secrets.plugins.pypi_token import PypiTokenDetector
from detect_secrets.plugins.sendgrid import SendGridDetector
from detect_secrets.plugins.slack import SlackDetector
from detect_secrets.plugins.square_oauth import SquareOAuthDetector
from detect_secrets.plugins.stripe import StripeDetector
from detect_secrets.plugins.telegram_token import TelegramBotTokenDetector
from stdnum import iban, luhn
from stdnum.us import ssn

from integrations_app.schemas import compile_pattern

# Left out: plugins whose patterns need to look around, which RE2 refuses, and those that take
# ordinary words and ids for a secret (Artifactory's `AP…`, Twilio's `AC…`).
_PLUGINS: Final = (
    AWSKeyDetector,
    AzureStorageKeyDetector,
    BasicAuthDetector,
    DiscordBotTokenDetector,
    GitHubTokenDetector,
    GitLabTokenDetector,
    JwtTokenDetector,
    MailchimpDetector,
    NpmDetector,
    OpenAIDetector,
    PypiTokenDetector,
    SendGridDetector,
    SlackDetector,
    SquareOAuthDetector,
    StripeDetector,
    TelegramBotTokenDetector,
)
_NO_LETTER_FOLLOWS: Final = r"(?!\w)"
_OWN: Final = {
    "GitHub Token": r"\bgithub_pat_[A-Za-z0-9_]{40,}",
    "API key": r"\b(?:sk|pk|rk)[-_](?:live|test|ant|proj|svcacct)?[-_]?[A-Za-z0-9_-]{20,}"
    r"|\bAIza[0-9A-Za-z_-]{35}",
    "password or token": r"(?i)\b(?:password|passwd|pwd|secret|api[_-]?key|access[_-]?token)\b"
    r"[\"']?\s*(?:is\s*)?[:=]\s*[\"']?[^\s\"',;]{6,}",
}
_CARD: Final = compile_pattern(r"[0-9](?:[ -]?[0-9]){12,18}")
_CARD_ISSUERS: Final = compile_pattern(
    r"^(?:4(?:[0-9]{12}|[0-9]{15}|[0-9]{18})|5[1-5][0-9]{14}|2[2-7][0-9]{14}|3[47][0-9]{13}"
    r"|6(?:011|5[0-9]{2})[0-9]{12}|35[0-9]{14}|3(?:0[0-5]|[68][0-9])[0-9]{11}|62[0-9]{14,17})$"
)
_IBAN: Final = compile_pattern(r"\b[A-Za-z]{2}[0-9]{2}(?:[ -]?[A-Za-z0-9]){11,30}")
_SSN: Final = compile_pattern(r"\b[0-9]{3}-[0-9]{2}-[0-9]{4}\b")
_EMAIL: Final = compile_pattern(
    r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}"
)
_PHONE: Final = compile_pattern(r"\+[0-9](?:[ ()/.-]{0,2}[0-9]){7,14}\b")
_BEGIN_KEY: Final = compile_pattern(r"BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY|PuTTY-User-Key-File-2")


def _secret_patterns() -> dict[str, str]:
    """Pattern by pattern, with the name of what it finds."""
    patterns: dict[str, str] = {}
    for plugin in _PLUGINS:
        for number, pattern in enumerate(plugin.denylist):
            source = pattern.pattern.replace(_NO_LETTER_FOLLOWS, r"\b")
            if "{50,1024}" in source:  # more repetitions than RE2 takes
                source = source.replace("{50,1024}", "{50,}")
            if pattern.flags & re.IGNORECASE:
                source = f"(?i){source}"
            patterns[f"{plugin.secret_type}#{number}"] = source
    patterns |= {f"{name}#own": source for name, source in _OWN.items()}
    return patterns


_TOGETHER: Final = 7
"""Patterns searched for at once: few enough for one expression, which takes as long as one."""


def _grouped(patterns: dict[str, str]) -> list[tuple[Any, dict[str, Any]]]:
    """Some patterns as one, then each of them alone: only what hits is asked which it was."""
    named = list(patterns.items())
    groups = [named[first : first + _TOGETHER] for first in range(0, len(named), _TOGETHER)]
    return [
        (
            compile_pattern("|".join(f"(?:{source})" for _, source in group)),
            {name: compile_pattern(source) for name, source in group},
        )
        for group in groups
    ]


_SECRETS: Final = _grouped(_secret_patterns())


def _secret(text: str) -> str:
    if len(text) < 8:
        return ""
    for together, patterns in _SECRETS:
        if together.search(text) is not None:
            found = (name for name, each in patterns.items() if each.search(text) is not None)
            return next(found).partition("#")[0]
    return ""


def _private_key(text: str) -> str:
    return PrivateKeyDetector.secret_type if _BEGIN_KEY.search(text) is not None else ""


def _card_number(text: str) -> str:
    for match in _CARD.finditer(text):
        digits = match[0].replace(" ", "").replace("-", "")
        if _CARD_ISSUERS.search(digits) is not None and luhn.is_valid(digits):
            return "card number"
    return ""


def _iban(text: str) -> str:
    for match in _IBAN.finditer(text):
        letters = match[0].replace(" ", "").replace("-", "")
        # Words may follow without a sign between: the country says how long its numbers are.
        if any(iban.is_valid(letters[:length]) for length in range(15, len(letters) + 1)):
            return "IBAN"
    return ""


def _ssn(text: str) -> str:
    found = any(ssn.is_valid(match[0]) for match in _SSN.finditer(text))
    return "US social security number" if found else ""


def _email(text: str) -> str:
    return "e-mail address" if _EMAIL.search(text) is not None else ""


def _phone(text: str) -> str:
    return "phone number" if _PHONE.search(text) is not None else ""


FINDERS: Final[dict[str, Callable[[str], str]]] = {
    "secret": _secret,
    "private_key": _private_key,
    "card_number": _card_number,
    "iban": _iban,
    "us_ssn": _ssn,
    "email": _email,
    "phone": _phone,
}
"""Type by type, what finds it: the name of what was found, or nothing."""

DEFAULT_TYPES: Final = ("secret", "private_key", "card_number", "iban", "us_ssn")
