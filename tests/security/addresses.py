"""Addresses behind which nothing of ours may ever knock, in every notation that leads there."""

import ipaddress
from itertools import chain

INSIDE = (
    "127.0.0.1",
    "127.255.255.254",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "100.100.100.200",
    "0.0.0.0",
    "192.0.0.192",
    "198.18.0.1",
    "224.0.0.1",
    "255.255.255.255",
)
INSIDE_6 = (
    "::1",
    "::",
    "fe80::1",
    "fe80::1%25lo",
    "fc00::1",
    "fd00:ec2::254",
    "fec0::1",
    "ff02::1",
    "2001:db8::1",
    "100::1",
)
_FULLWIDTH = str.maketrans("0123456789.", "０１２３４５６７８９。")
_CIRCLED = str.maketrans("0123456789", "⓪①②③④⑤⑥⑦⑧⑨")


def notations(address: str) -> list[str]:
    """One IPv4 address as hosts of addresses, in every way that resolvers and browsers know."""
    number = int(ipaddress.IPv4Address(address))
    first, second, third, fourth = address.split(".")
    octal = ".".join(f"0{int(part):o}" for part in address.split("."))
    hexadecimal = ".".join(f"0x{int(part):x}" for part in address.split("."))
    high, low = number >> 16, number & 0xFFFF
    return [
        address,
        f"{address}.",
        str(number),
        hex(number),
        f"0{number:o}",
        octal,
        hexadecimal,
        f"{first}.{number & 0xFFFFFF}",
        f"{first}.{second}.{low}",
        f"{first}.0x{second and int(second):x}.{third}.{fourth}",
        address.translate(_FULLWIDTH),
        address.translate(_CIRCLED),
        f"[::ffff:{address}]",
        f"[::ffff:{high:x}:{low:x}]",
        f"[::{address}]",
        f"[64:ff9b::{high:x}:{low:x}]",
        f"[64:ff9b:1::{high:x}:{low:x}]",
        f"[2002:{high:x}:{low:x}::]",
    ]


HOSTS = list(dict.fromkeys(chain.from_iterable(map(notations, INSIDE)))) + [
    f"[{address}]" for address in INSIDE_6
]
NAMES = ("localhost", "LOCALHOST", "localhost.", "localhost.localdomain", "ip6-localhost")
TRICKS = (
    "http://good.example@127.0.0.1/",
    "http://127.0.0.1@good.example/",
    "http://good.example:80@127.0.0.1:22/",
    "http://good.example%40127.0.0.1/",
    "http://127.0.0.1\\@good.example/",
    "http://good.example\\.127.0.0.1/",
    "http:\\\\127.0.0.1/",
    "http:/127.0.0.1/",
    "http:127.0.0.1/",
    "//127.0.0.1/",
    "http://127.0.0.1#@good.example/",
    "http://127.0.0.1?@good.example/",
    "http://[::1]%00.good.example/",
    "http://127.0.0.1%00.good.example/",
    "http://good.example\r\nHost: 127.0.0.1/",
    "http://good.example /",
    "http://%6c%6f%63%61%6c%68%6f%73%74/",
    "file:///etc/passwd",
    "file://127.0.0.1/etc/passwd",
    "gopher://127.0.0.1:6379/_FLUSHALL",
    "dict://127.0.0.1:11211/stats",
    "ftp://127.0.0.1/",
    "ldap://127.0.0.1/",
    "jar:http://127.0.0.1!/",
    "netdoc:///etc/passwd",
    "data:text/plain,hello",
    "javascript:alert(1)",
    "unix:///var/run/docker.sock",
    "http+unix://%2Fvar%2Frun%2Fdocker.sock/",
    "ws://127.0.0.1/",
    "http://",
    "http:///",
    "http://:80/",
    "http://127.0.0.1:0/",
    "http://127.0.0.1:99999/",
    "http://[::1/",
    "http://[127.0.0.1]/",
    "",
    " ",
    "localhost",
)
URLS = [
    *(f"http://{host}/" for host in HOSTS),
    *(f"https://{host}:8443/latest/meta-data/" for host in HOSTS[::7]),
    *(f"http://{name}/" for name in NAMES),
    *TRICKS,
]
