"""How the back office looks, as the settings of django-unfold say it."""

from typing import Any, Final

_INDIGO: Final = {
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

UNFOLD: Final[dict[str, Any]] = {
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
    "COLORS": {"primary": _INDIGO},
    "STYLES": ["config.navigation.stylesheet"],
    "SCRIPTS": ["config.navigation.script"],
    "SIDEBAR": {"show_search": False, "navigation": "config.navigation.sidebar"},
}
