"""Which hosts are allowed: names, addresses, networks, ports, patterns, this machine, sockets."""

from __future__ import annotations

import pytest

from mxm_dataio.http.hosts import HostSet, Target, is_address, is_loopback


@pytest.mark.parametrize(
    ("target", "text"),
    [
        (Target("example.com", 443), "example.com:443"),
        (Target("::1", 80), "[::1]:80"),
        (Target("/run/x.sock"), "/run/x.sock"),
        (Target("@abstract"), "@abstract"),
    ],
)
def test_a_target_reads_as_in_a_url(target: Target, text: str) -> None:
    assert str(target) == text


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "fe80::1%eth0", "0.0.0.0", "2001:db8::"])
def test_addresses(host: str) -> None:
    assert is_address(host)


@pytest.mark.parametrize("host", ["", "localhost", "127.0.0.1.example.com", "1.2.3", "a\0b"])
def test_names_are_no_addresses(host: str) -> None:
    assert not is_address(host)


LOCAL = "localhost LOCALHOST. a.localhost ip6-localhost 127.0.0.1 127.8.9.10 0.0.0.0 ::1 :: "


@pytest.mark.parametrize("host", [*LOCAL.split(), "::ffff:127.0.0.1"])
def test_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    ["128.0.0.1", "127.evil.com", "localhost.evil.com", "notlocalhost", "::2", "", "10.0.0.1"],
)
def test_not_this_machine(host: str) -> None:
    assert not is_loopback(host)


ADMITTED = [
    ("example.com", Target("example.com", 443, "192.0.2.1")),
    ("EXAMPLE.com", Target("example.COM", 80, "192.0.2.1")),
    ("example.com:443", Target("example.com", 443, "192.0.2.1")),
    ("*.example.com", Target("a.b.example.com", 443, "192.0.2.1")),
    ("192.0.2.1", Target("example.com", 443, "192.0.2.1")),
    ("192.0.2.1:443", Target("192.0.2.1", 443, "192.0.2.1")),
    ("192.0.2.*", Target("192.0.2.77", 443, "192.0.2.77")),
    ("192.0.2.0/24", Target("example.com", 443, "192.0.2.77")),
    ("192.0.2.9/24", Target("192.0.2.77", 443, "192.0.2.77")),
    ("2001:db8::/32", Target("2001:db8::5", 443, "2001:db8::5")),
    ("2001:db8::1", Target("2001:db8::1", 443, "2001:db8::1")),
    ("[2001:db8::1]:443", Target("2001:db8::1", 443, "2001:db8::1")),
    ("loopback", Target("127.0.0.1", 5, "127.0.0.1")),
    ("loopback", Target("localhost", 5, "::1")),
    ("Loopback", Target("localhost", 5)),
    ("unix", Target("/run/any.sock")),
    ("/run/*.sock", Target("/run/any.sock")),
    ("@mine", Target("@mine")),
    ("*", Target("example.com", 443, "192.0.2.1")),
]
REFUSED = [
    ("", Target("example.com", 443, "192.0.2.1")),
    ("example.com", Target("www.example.com", 443, "192.0.2.1")),
    ("example.com", Target("example.com.evil.com", 443, "192.0.2.1")),
    ("example.com:443", Target("example.com", 80, "192.0.2.1")),
    ("*.example.com", Target("example.com", 443, "192.0.2.1")),
    ("192.0.2.0/24", Target("192.0.3.1", 443, "192.0.3.1")),
    ("192.0.2.0/24", Target("example.com", 443)),
    ("loopback", Target("192.0.2.1", 443, "192.0.2.1")),
    # A name may stand for any address, and it is the address that is connected to.
    ("loopback", Target("localhost", 443, "192.0.2.1")),
    ("loopback", Target("/run/any.sock")),
    ("unix", Target("127.0.0.1", 5, "127.0.0.1")),
    ("/run/*.sock", Target("/tmp/any.sock")),
    ("*", Target("/run/any.sock")),
]


@pytest.mark.parametrize(("host", "target"), ADMITTED)
def test_what_is_allowed(host: str, target: Target) -> None:
    assert HostSet([host]).admits(target)
    assert HostSet(["other.example.org", host]).admits(target)


@pytest.mark.parametrize(("host", "target"), REFUSED)
def test_what_is_not(host: str, target: Target) -> None:
    assert not HostSet([host]).admits(target)


def test_look_ups() -> None:
    allowed = HostSet(["example.com:443", "*.example.org"])
    assert allowed.admits_lookup("example.com")
    assert allowed.admits_lookup("A.Example.ORG.")
    assert not allowed.admits_lookup("other.com")
    # Nobody has to be asked for these.
    assert allowed.admits_lookup("localhost")
    assert allowed.admits_lookup("192.0.2.1")
    assert not allowed.admits_lookup("192.0.2.1", reverse=True)
    assert allowed.admits_lookup("127.0.0.1", reverse=True)
    assert HostSet(["192.0.2.*"]).admits_lookup("192.0.2.1", reverse=True)


def test_the_addresses_of_a_name_that_is_allowed_are_learned(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = [(2, 1, 6, "", ("192.0.2.1", 0)), (10, 1, 6, "", ("2001:db8::1", 0, 0, 0))]
    monkeypatch.setattr("_socket.getaddrinfo", lambda *_args, **_kwargs: found)
    allowed = HostSet(["example.com:443"])
    allowed.learn("elsewhere.org")
    assert not allowed.admits(Target("192.0.2.1", 443, "192.0.2.1"))
    allowed.learn("Example.com")
    assert allowed.admits(Target("192.0.2.1", 443, "192.0.2.1"))
    assert allowed.admits(Target("2001:db8::1", 443, "2001:db8::1"))
    assert not allowed.admits(Target("192.0.2.1", 80, "192.0.2.1"))


def test_one_that_can_not_be_found_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_args: object, **_kwargs: object) -> None:
        raise OSError("no such name")

    monkeypatch.setattr("_socket.getaddrinfo", unknown)
    HostSet(["example.com"]).learn("example.com")
