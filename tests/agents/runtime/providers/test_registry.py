"""Models by their names: which provider is found, and the message where none is."""

import os
from unittest import mock

from django.test import SimpleTestCase

from agents.runtime.providers import describe_model, known_provider, model_problem


class ModelProblemTests(SimpleTestCase):
    def setUp(self) -> None:
        environment = mock.patch.dict(os.environ, {"OPENAI_API_KEY": "k"}, clear=True)
        environment.start()
        self.addCleanup(environment.stop)

    def test_what_can_be_used_has_no_problem(self) -> None:
        os.environ["MY_SERVER_BASE_URL"] = "https://models.example/v1"
        os.environ["GEMINI_API_KEY"] = "k"
        for model in (
            "openai:gpt-5",
            "ollama:llama3.2:3b",
            "my-server:anything/at all",
            "scripted:echo?delay_ms=5",
            "google:gemini-3-pro",
        ):
            with self.subTest(model=model):
                self.assertIsNone(model_problem(model))

    def test_near_misses_are_named(self) -> None:
        for model, hint in (
            ("gpt-5", "openai:gpt-5"),
            ("claude-opus-5", "anthropic:claude-opus-5"),
            ("smollm2-135m", "local:smollm2-135m"),
            ("openia:gpt-5", "Did you mean openai"),
            ("OpenAI:gpt-5", "Did you mean openai"),
            ("scripted:ecco", "scripted:echo"),
            ("local:smollm2", "local:smollm2-135m"),
        ):
            with self.subTest(model=model):
                self.assertIn(hint, model_problem(model) or "")

    def test_what_is_missing_is_named(self) -> None:
        for model, hint in (
            ("groq:llama", "GROQ_API_KEY"),
            ("anthropic:claude", "ANTHROPIC_API_KEY"),
            ("bedrock:nova", "pydantic-ai-slim[bedrock]"),
            ("corner-shop:x", "CORNER_SHOP_BASE_URL"),
            ("local:custom", "LOCAL_MODEL_PATH"),
            ("openai:", "provider:model"),
            (":gpt", "provider:model"),
            ("", "provider:model"),
            ("../x:y", "not a provider"),
        ):
            with self.subTest(model=model):
                self.assertIn(hint, model_problem(model) or "")

    def test_a_base_url_must_be_one(self) -> None:
        for url in (
            *("file:///etc/passwd", "models.example/v1", "https://", "http://x\ny/v1"),
            *("http://[::1/v1", "http://x:port/v1", "http://x y/v1"),
        ):
            with self.subTest(url=url), mock.patch.dict(os.environ, {"OPENAI_BASE_URL": url}):
                self.assertIn("OPENAI_BASE_URL", model_problem("openai:gpt-5") or "")

    def test_white_space_around_a_key_is_no_part_of_it(self) -> None:
        for name, model in (("OPENAI", "openai:gpt-5"), ("ANTHROPIC", "anthropic:claude")):
            for key in ("k\n", "k\r\n", " k ", "\tk"):
                with self.subTest(key=key), mock.patch.dict(os.environ, {f"{name}_API_KEY": key}):
                    self.assertIsNone(model_problem(model))
            with mock.patch.dict(os.environ, {f"{name}_API_KEY": " \n"}):
                self.assertIn("is not set", model_problem(model) or "")

    def test_a_key_that_no_header_may_hold_is_named_and_not_shown(self) -> None:
        os.environ["CORNER_SHOP_BASE_URL"] = "https://models.example/v1"
        for variable, model in (
            ("OPENAI_API_KEY", "openai:gpt-5"),
            ("CORNER_SHOP_API_KEY", "corner-shop:x"),
            ("ANTHROPIC_API_KEY", "anthropic:claude"),
            ("GEMINI_API_KEY", "google:gemini-3-pro"),
        ):
            for bad in ("\n", "\r", "\x1b", "\x7f", "\x85", "ü", "\u200b", "\u2028", "🙂"):
                with (
                    self.subTest(variable=variable, bad=bad),
                    mock.patch.dict(os.environ, {variable: f"canary{bad}b"}),
                ):
                    problem = model_problem(model) or ""
                    self.assertTrue(problem.startswith(f"{variable} holds a character"), problem)
                    self.assertNotIn("canary", problem)

    def test_known_providers(self) -> None:
        for name in ("openai", "local", "scripted", "anthropic", "bedrock", "llamacpp"):
            self.assertTrue(known_provider(name))
        self.assertFalse(known_provider("corner-shop"))
        with mock.patch.dict(os.environ, {"CORNER_SHOP_BASE_URL": "http://shop.example"}):
            self.assertTrue(known_provider("corner-shop"))

    def test_every_kind_of_model_is_described(self) -> None:
        self.assertIn("toy", describe_model("local:smollm2-135m"))
        self.assertIn("scripted", describe_model("scripted:echo"))
        self.assertIn("openai", describe_model("openai:gpt-5"))
