"""Which addresses calls may go to: an explicit list, because the standard library's is too lax.

Python calls NAT64, 6to4 and site-local addresses global although they can lead inside; so every
IPv4 address that an IPv6 address carries is looked at too.
"""

import ipaddress
import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

Network = IPv4Network | IPv6Network

# Never, whatever an admin allows: nothing that answers a call lives there, or it hands out
# the credentials of the machine.
NEVER: list[Network] = [
    IPv4Network("0.0.0.0/8"),
    IPv4Network("169.254.0.0/16"),
    IPv4Network("100.100.100.200/32"),
    IPv4Network("192.0.0.0/24"),
    IPv4Network("224.0.0.0/4"),
    IPv4Network("240.0.0.0/4"),
    IPv6Network("::/128"),
    IPv6Network("fe80::/10"),
    IPv6Network("ff00::/8"),
    IPv6Network("fd00:ec2::254/128"),
]
# Only where the admin allowed private networks for the integration.
PRIVATE: list[Network] = [
    IPv4Network("10.0.0.0/8"),
    IPv4Network("100.64.0.0/10"),
    IPv4Network("127.0.0.0/8"),
    IPv4Network("172.16.0.0/12"),
    IPv4Network("192.0.2.0/24"),
    IPv4Network("192.88.99.0/24"),
    IPv4Network("192.168.0.0/16"),
    IPv4Network("198.18.0.0/15"),
    IPv4Network("198.51.100.0/24"),
    IPv4Network("203.0.113.0/24"),
    IPv6Network("::1/128"),
    IPv6Network("100::/64"),
    IPv6Network("2001:db8::/32"),
    IPv6Network("fc00::/7"),
    IPv6Network("fec0::/10"),
]
_NAT64 = IPv6Network("64:ff9b::/96")
_NAT64_LOCAL = IPv6Network("64:ff9b:1::/48")
_COMPATIBLE = IPv6Network("::/96")


def is_refused(address: str, *, allow_private: bool) -> bool:
    """Whether no call may go to this address.

    Args:
        address: an IP address as the resolver gave it; a zone is ignored.
        allow_private: the admin allowed private networks for the integration.
    """
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return True
    return any(_is_refused(found, allow_private) for found in (parsed, *_carried(parsed)))


def _is_refused(address: IPv4Address | IPv6Address, allow_private: bool) -> bool:
    listed = NEVER if allow_private else [*NEVER, *PRIVATE]
    return any(address in network for network in listed if network.version == address.version)


def _carried(address: IPv4Address | IPv6Address) -> list[IPv4Address]:
    """The IPv4 addresses inside an IPv6 address."""
    if isinstance(address, IPv4Address) or address == IPv6Address("::1"):
        return []
    found = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in _NAT64 or address in _NAT64_LOCAL or address in _COMPATIBLE:
        found.append(IPv4Address(int(address) & 0xFFFFFFFF))
    return [carried for carried in found if carried is not None]


def literal_is_refused(host: str, *, allow_private: bool) -> bool:
    """Whether a host written as a number, or a name of this machine, is refused when saved.

    Args:
        host: the host of an address; any spelling that a resolver reads as a number counts.
        allow_private: the admin allows private networks for the integration.
    """
    name = host.strip("[]").rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return not allow_private
    try:
        numeric = socket.getaddrinfo(name, None, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        return False
    return any(is_refused(str(address[0]), allow_private=allow_private) for *_, address in numeric)
