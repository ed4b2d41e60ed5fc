"""YAML holds plain values only, and any other content raises ConfigError."""

from typing import Any

from django.test import SimpleTestCase
from hypothesis import example, given
from hypothesis import strategies as st

from agents.config import ConfigError, Layer, mapping_layer, parse_layer
from agents.config.schema import AgentConfig

PIECES = st.sampled_from(
    [
        *AgentConfig.model_fields,
        *(
            "timeouts",
            "connect",
            "openai:m",
            "current_time",
            "null",
            "true",
            "no",
            "0",
            "1.5",
            ".inf",
        ),
        *(": ", "- ", "\n", "\n  ", "? ", "[", "]", "{", "}", ",", "'", '"', "|\n", ">", "#", "\t"),
        *(
            "&a ",
            "*a",
            "!!int ",
            "!x ",
            "<<: ",
            "---\n",
            "...\n",
            "%YAML 1.1\n",
            "\\x00",
            "\\ud800",
        ),
        *("\0", "\x1b", "\u2028", "\x85", "\ufeff", "é", "😀", "\ud800", "1e999", "0x1f", "12:30"),
    ]
)
YAML_LIKE = st.lists(PIECES | st.text(max_size=3), max_size=40).map("".join)
JSON_LIKE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(PIECES | st.text(), inner),
    max_leaves=10,
)


class YamlTests(SimpleTestCase):
    def problem(self, source: str | bytes) -> str:
        with self.assertRaises(ConfigError) as caught:
            parse_layer(source, "f")
        return str(caught.exception)

    def content(self, text: str) -> dict[str, Any]:
        return dict(parse_layer(text, "f").content)

    def test_what_is_refused(self) -> None:
        cases: list[tuple[str | bytes, str]] = [
            ("a: [1", "f:1: YAML: did not find expected ',' or ']' while parsing a flow sequence"),
            ("retries: 1\nretries: 2", "f:2: retries: is already set on line 1"),
            ("model: &x openai:m", "f:1: model: the anchor &x is not allowed"),
            ("model: !!python/object:os.system x", "f:1: model: the tag tag:yaml.org,2002:python"),
            ("retries: ! 1", "f:1: retries: the tag ! is not allowed"),
            ("%TAG ! x\n---\nretries: 1", "f:1: a %TAG directive is not allowed"),
            ("retries: 1\n---\nretries: 2", "f: holds more than one YAML document"),
            ("? [a]\n: 1", "f:1: ?: a key must be a plain word"),
            ("- retries", "f:1: must be a mapping of keys to values"),
            ("just words", "f:1: must be a mapping of keys to values"),
            ("null", "f:1: must be a mapping of keys to values"),
            ("retries: 1\n# \0", "f:2: holds a NUL character"),
            (b"retries: 1\n# \xff", "f:2: is not valid UTF-8"),
            ("retries: 1\n# \ud800", "f:2: is not valid UTF-8"),
            ("retries: 1\n# \x1b", "f:2: YAML: holds a control character"),
            ("#" * (64 * 1024 + 1), "f: is larger than 64 KB"),
            ("a: " + "[" * 20, "f:1: is nested deeper than 20 levels"),
            ("[" * 60_000, "f:1: is nested deeper than 20 levels"),
            ("{a: " * 10_000, "f:1: is nested deeper than 20 levels"),
        ]
        for source, message in cases:
            # Lone surrogates cannot be sent to the process in which pytest-xdist gathers results.
            with self.subTest(ascii(source[:40])):
                self.assertIn(message, self.problem(source))

    def test_an_alias_is_refused_without_being_followed(self) -> None:
        self.assertEqual(
            self.problem("tools: &t [current_time]\nfallback_models: *t").splitlines(),
            [
                "f:1: tools: the anchor &t is not allowed",
                "f:2: fallback_models: the alias *t is not allowed: write the value out",
            ],
        )

    def test_a_merge_key_is_an_unknown_key(self) -> None:
        self.assertEqual(self.problem("<<: {retries: 1}"), "f:1: <<: unknown key")

    def test_a_syntax_error_says_how_to_mend_it(self) -> None:
        self.assertIn("in quotes", self.problem("opening_message: Hi: there"))
        self.assertIn("indent with spaces", self.problem("timeouts:\n\tstall: 3"))

    def test_depth_20_is_allowed_by_yaml(self) -> None:
        self.assertIn("tools[0]: must be text", self.problem("tools: " + "[" * 19 + "]" * 19))

    def test_plain_words_are_what_they_look_like(self) -> None:
        for word in ("no", "off", "y", "12:30", "2026-01-01", "0x1f", "0o14", "1_000", "=", "<<"):
            with self.subTest(word):
                self.assertEqual(self.content(f"display_name: {word}"), {"display_name": word})

    def test_lines_end_as_in_yaml_1_1(self) -> None:
        for char in ("\n", "\r", "\x85", "\u2028", "\u2029"):
            with self.subTest(ascii(char)):
                found = self.content(f"display_name: Ada{char}retries: 1")
                self.assertEqual(found, {"display_name": "Ada", "retries": 1})

    def test_numbers_and_null(self) -> None:
        for word, value in [("2", 2), ("+1.5", 1.5), ("1e-1", 0.1), (".5", 0.5), ("~", None)]:
            with self.subTest(word):
                self.assertEqual(self.content(f"temperature: {word}"), {"temperature": value})

    def test_nothing_is_an_empty_layer(self) -> None:
        for text in ("", "# a comment", "---\n", "{}"):
            with self.subTest(text):
                self.assertEqual(self.content(text), {})

    def test_a_layer_may_leave_out_required_keys(self) -> None:
        self.assertEqual(self.content("\ufeffretries: 1\r\n"), {"retries": 1})

    def test_faults_of_yaml_and_of_values_come_in_the_order_of_their_lines(self) -> None:
        lines = self.problem("zzz: 1\nretries: 1\nretries: 2\nyyy: 1").splitlines()
        self.assertEqual([line[:3] for line in lines], ["f:1", "f:3", "f:4"])

    def test_thousands_of_faults_make_a_short_message(self) -> None:
        lines = self.problem("retries: 1\n" * 5_000).splitlines()
        self.assertEqual((len(lines), lines[-1]), (21, "… and 4979 more"))

    def test_an_editor_gets_line_key_and_suggestion(self) -> None:
        with self.assertRaises(ConfigError) as caught:
            parse_layer("retries: 1\ntimeouts:\n  stal: 1", "published")
        [problem] = caught.exception.problems
        self.assertEqual(
            problem.as_dict(),
            {
                "file": "published",
                "line": 3,
                "key": "timeouts.stal",
                "message": "unknown key",
                "suggestion": "timeouts.stall",
            },
        )


class AnyInputTests(SimpleTestCase):
    @given(YAML_LIKE)
    @example('a: "\\U0011FFFF"')
    @example("%YAML 9.9\n---\na: 1")
    def test_no_text_causes_anything_but_a_config_error(self, text: str) -> None:
        try:
            layer = parse_layer(text, "f")
        except ConfigError as error:
            self.assertTrue(error.problems)
            self.assertTrue(str(error).replace("\n", "").isprintable())
            self.assertTrue(all(not p.line or p.line <= len(text) + 1 for p in error.problems))
        else:
            self.assertIsInstance(layer, Layer)

    @given(st.binary(max_size=200))
    def test_no_bytes_cause_anything_but_a_config_error(self, source: bytes) -> None:
        try:
            parse_layer(source, "f")
        except ConfigError as error:
            self.assertTrue(error.problems)

    @given(st.dictionaries(PIECES | st.text(), JSON_LIKE))
    def test_no_override_causes_anything_but_a_config_error(self, content: dict[str, Any]) -> None:
        try:
            mapping_layer(content)
        except ConfigError as error:
            self.assertTrue(str(error).replace("\n", "").isprintable())
