from __future__ import annotations

from ipaddress import ip_address, ip_network

from django.core.exceptions import ValidationError
from django.test import RequestFactory, SimpleTestCase, override_settings
from hypothesis import given
from hypothesis import strategies as st

from accounts.auth.networks import client_address, is_within, network_of, read_network

ADDRESSES = st.ip_addresses()


def address_of(peer: str, forwarded: str | None = None) -> str:
    headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}
    request = RequestFactory().get("/", headers=headers)
    request.META["REMOTE_ADDR"] = peer
    return str(client_address(request))


class ClientAddressTests(SimpleTestCase):
    def test_what_a_client_writes_itself_is_not_trusted(self) -> None:
        self.assertEqual(address_of("198.51.100.7", "10.0.0.1"), "198.51.100.7")

    @override_settings(TRUST_PROXY_HEADERS=True)
    def test_behind_a_proxy_the_right_most_hop_counts(self) -> None:
        for forwarded, expected in (
            ("203.0.113.9", "203.0.113.9"),
            ("10.0.0.1, 203.0.113.9", "203.0.113.9"),
            ("10.0.0.1,203.0.113.9,", "203.0.113.9"),
            ("2001:db8::7", "2001:db8::7"),
            ("::ffff:203.0.113.9", "203.0.113.9"),
            (None, "127.0.0.1"),
            ("", "127.0.0.1"),
            ("203.0.113.9, unknown", "None"),
            ("203.0.113.9, 203.0.113.10:4711", "None"),
        ):
            with self.subTest(forwarded):
                self.assertEqual(address_of("127.0.0.1", forwarded), expected)

    @override_settings(TRUST_PROXY_HEADERS=True, TRUSTED_PROXIES=["10.0.0.0/8", "127.0.0.1"])
    def test_of_several_proxies_each_is_passed_over(self) -> None:
        for peer, forwarded, expected in (
            ("127.0.0.1", "192.0.2.1, 203.0.113.9, 10.1.1.1, 10.2.2.2", "203.0.113.9"),
            ("10.3.3.3", "203.0.113.9", "203.0.113.9"),
            ("", "203.0.113.9", "203.0.113.9"),
            ("198.51.100.7", "203.0.113.9", "198.51.100.7"),
            ("10.3.3.3", "10.1.1.1", "10.1.1.1"),
        ):
            with self.subTest(peer=peer, forwarded=forwarded):
                self.assertEqual(address_of(peer, forwarded), expected)

    @override_settings(TRUST_PROXY_HEADERS=True)
    @given(st.text(alphabet="0123456789abcdef.:, x%", max_size=40), ADDRESSES)
    def test_nothing_left_of_the_last_hop_matters(self, lie: str, address: object) -> None:
        self.assertEqual(
            address_of("127.0.0.1", f"{lie}, {address}"), address_of("127.0.0.1", str(address))
        )


class NetworkTests(SimpleTestCase):
    @given(ADDRESSES, st.integers(0, 128))
    def test_an_address_is_within_its_own_network_and_no_other_kind(
        self, address: object, bits: int
    ) -> None:
        one = ip_address(str(address))
        bits = min(bits, one.max_prefixlen)
        network = ip_network(f"{one}/{bits}", strict=False)
        if getattr(network.network_address, "ipv4_mapped", None) is None:
            self.assertTrue(is_within(one, [str(network)]))
        self.assertFalse(is_within(None, [str(network)]))

    @given(st.text() | st.text(alphabet="0123456789abcdef.:/%", max_size=43))
    def test_what_is_accepted_is_one_network_in_its_one_spelling(self, text: str) -> None:
        try:
            network = read_network(text)
        except ValidationError:
            return
        self.assertEqual(read_network(str(network)), network)
        self.assertLessEqual(len(str(network)), 43)

    def test_what_is_none(self) -> None:
        for text in ("", "any", "*", "10.0.0.1/8", "10.0.0.0/33", "::ffff:10.0.0.0/104", "::1%lo"):
            with self.subTest(text), self.assertRaisesMessage(ValidationError, "is no network"):
                read_network(text)

    def test_neighbours_share_a_network(self) -> None:
        for text, network in (
            ("203.0.113.9", "203.0.113.0/24"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ):
            self.assertEqual(network_of(ip_address(text)), network)
        self.assertEqual(network_of(None), "")
