from __future__ import annotations

from urllib.parse import urlsplit

from django.core.exceptions import ValidationError
from django.test import SimpleTestCase
from hypothesis import example, given
from hypothesis import strategies as st

from salient.api.origins import is_origin, validate_origin

LABELS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
HOSTS = st.lists(LABELS, min_size=1, max_size=4).map(".".join) | st.ip_addresses(v=6).map(
    lambda address: f"[{address.compressed}]"
)
PORTS = st.none() | st.integers(1, 65_535).filter(lambda port: port not in {80, 443})
ORIGINS = st.builds(
    lambda scheme, host, port: f"{scheme}://{host}" + (f":{port}" if port else ""),
    st.sampled_from(["http", "https"]),
    HOSTS,
    PORTS,
)


class OriginTests(SimpleTestCase):
    @given(ORIGINS)
    def test_what_browsers_send_is_one(self, origin: str) -> None:
        self.assertTrue(is_origin(origin))

    @given(ORIGINS, st.sampled_from(["/", "/a", "?q", "#f", "\n", " ", "\x00", ":", "@x", "."]))
    def test_nothing_may_stand_behind_it(self, origin: str, more: str) -> None:
        self.assertFalse(is_origin(origin + more))

    @given(st.text() | st.text(alphabet="htps:/[]@.?#abc012\\-\n"))
    @example("null")
    @example("https://user@shop.example")
    @example("https://shop.example\n")
    def test_whatever_is_accepted_is_scheme_host_and_port_alone(self, text: str) -> None:
        if is_origin(text):
            parts = urlsplit(text)
            self.assertEqual(f"{parts.scheme}://{parts.netloc}", text)
            self.assertEqual(text, text.lower())
            self.assertTrue(parts.hostname)

    def test_other_spellings_of_an_origin_are_none(self) -> None:
        for text in (
            *("null", "", "*", "https://*", "https://*.shop.example", "shop.example"),
            *("HTTPS://shop.example", "https://Shop.example", "https://shop.example:443"),
            *("http://shop.example:80", "https://shop.example:0", "https://shop.example:99999"),
            *("https://shop.example:08", "https://bücher.example", "https://-a.example"),
            *("ftp://shop.example", "file://", "https://[::ffff]x", "https://[0:0::1]"),
            "https://" + "a." * 130 + "example",
        ):
            with self.subTest(text), self.assertRaises(ValidationError):
                validate_origin(text)
