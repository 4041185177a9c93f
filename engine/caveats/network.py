"""The `ipaddress` parameter type: its values and its one function, `in_cidr`.

CEL has no such type, so an address is a protobuf message made at run time: the type checker then
refuses to compare it with a string or to call `in_cidr` on one. An IPv4 address written as IPv6
(`::ffff:10.1.2.3`) is the IPv4 address, so that a rule about `10.0.0.0/8` cannot be walked around.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

ADDRESS_TYPE = "stonetown.IPAddress"
_MAPPED_PREFIX = 96


def _make_pool() -> descriptor_pool.DescriptorPool:
    file = descriptor_pb2.FileDescriptorProto(
        name="stonetown.proto", package="stonetown", syntax="proto3"
    )
    field = descriptor_pb2.FieldDescriptorProto
    file.message_type.add(name="IPAddress").field.add(
        name="text", number=1, type=field.TYPE_STRING, label=field.LABEL_OPTIONAL
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return pool


POOL = _make_pool()
_Address: Any = message_factory.GetMessageClass(POOL.FindMessageTypeByName(ADDRESS_TYPE))


@lru_cache(maxsize=4096)
def parse_address(text: str) -> IPv4Address | IPv6Address:
    """An address in standard form, IPv4-mapped IPv6 as IPv4.

    Raises ValueError for anything else: leading zeros, fewer than four parts, a zone id.
    """
    if "%" in text or not text.isascii():
        raise ValueError(text)
    address = ip_address(text)
    return getattr(address, "ipv4_mapped", None) or address


@lru_cache(maxsize=4096)
def parse_network(text: str) -> IPv4Network | IPv6Network:
    """A network in CIDR form; host bits may be set, as in `10.1.2.3/8`. Raises ValueError."""
    address, slash, bits = text.partition("/")
    if not slash or not bits.isascii() or not bits.isdigit() or "%" in address:
        raise ValueError(f"`{text[:64]}` is not a network in CIDR form")
    network = ip_network(text, strict=False)
    mapped = getattr(network.network_address, "ipv4_mapped", None)
    if mapped is None or network.prefixlen < _MAPPED_PREFIX:
        return network
    return IPv4Network((mapped, network.prefixlen - _MAPPED_PREFIX))


def address_message(text: str) -> Any:
    """The CEL value of an address. Raises ValueError."""
    return _Address(text=str(parse_address(text)))


def in_cidr(address: Any, network: str) -> bool:
    """Whether the address lies in the network; False when one is IPv4 and the other IPv6."""
    return parse_address(address.text) in parse_network(network)
