"""The real small model, in its own process: it answers, and is restarted after a kill."""

import hashlib
import json
import os
import signal
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

from django.test import SimpleTestCase, override_settings

from agents.costs.pricing import CostSource, total
from agents.runtime.errors import ContextTooLong, ProviderUnavailable
from agents.runtime.events import TextDelta
from agents.runtime.providers import close_clients, local, local_models
from agents.runtime.run import Run
from tests.agents.runtime.runs import events_of, run

MODEL = "local:smollm2-135m"


class LocalModelTests(SimpleTestCase):
    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        # Its supervisor stops the process as soon as the directory is gone.
        directory = cls.enterClassContext(tempfile.TemporaryDirectory())
        cls.enterClassContext(override_settings(LOCAL_MODEL_DIR=directory))
        cls.enterClassContext(mock.patch.dict(local._addresses, clear=True))

    async def answered(self, **more: Any) -> Run:
        subject = run(MODEL, **{"max_tokens": 4, **more})
        try:
            await events_of(subject)
        finally:
            await close_clients()
        return subject

    async def test_it_answers_as_a_stream_and_in_one_piece(self) -> None:
        for stream in (True, False):
            subject = await self.answered(stream=stream, tools=("current_time",))
            (call,) = subject.calls
            self.assertTrue(subject.text)
            self.assertFalse(call.estimated)
            self.assertLessEqual(call.output_tokens, 4)
            self.assertEqual(total(subject.calls).source, CostSource.FREE)

    async def test_it_streams_word_by_word(self) -> None:
        subject = run(MODEL, max_tokens=48, message="Count from one to ten.")
        events = await events_of(subject)
        await close_clients()
        self.assertGreater(len([e for e in events if isinstance(e, TextDelta)]), 1)

    async def test_a_killed_process_is_replaced_without_the_caller_noticing(self) -> None:
        await self.answered()
        state_file = local.shared_process("smollm2-135m").state_file
        killed = json.loads(state_file.read_text())["pid"]
        os.kill(killed, signal.SIGKILL)
        subject = await self.answered(retries=0)
        self.assertEqual([call.error for call in subject.calls], [""])
        self.assertNotEqual(json.loads(state_file.read_text())["pid"], killed)

    async def test_too_long_a_conversation_is_refused_not_cut(self) -> None:
        with self.assertRaises(ContextTooLong):
            await self.answered(message="word " * 9000)


class BrokenModelTests(SimpleTestCase):
    async def test_a_file_that_is_no_model_is_unavailable(self) -> None:
        with tempfile.TemporaryDirectory() as directory:
            weights = Path(directory) / "no.gguf"
            weights.write_bytes(b"GGUF, but not really")
            environment = mock.patch.dict(os.environ, {"LOCAL_MODEL_PATH": str(weights)})
            with environment, override_settings(LOCAL_MODEL_DIR=directory):
                subject = run("local:custom", "scripted:say")
                with self.assertLogs("agents.runtime", "WARNING") as logs:
                    await events_of(subject)
        self.assertEqual(subject.calls[0].error, ProviderUnavailable.code)
        self.assertIn("custom", logs.output[0])
        self.assertEqual(subject.text, "Hello")


class WeightsTests(SimpleTestCase):
    def setUp(self) -> None:
        self.directory = Path(self.enterContext(tempfile.TemporaryDirectory()))
        parts = [self.directory / f"part{number}" for number in range(3)]
        for number, part in enumerate(parts):
            part.write_bytes(bytes([number]) * 10)
        self.enterContext(mock.patch.object(local_models, "_qwen_parts", return_value=parts))

    def test_parts_are_joined_in_order_and_verified(self) -> None:
        whole = b"\0" * 10 + b"\1" * 10 + b"\2" * 10
        digest = hashlib.sha256(whole).hexdigest()
        with mock.patch.object(local_models, "QWEN_SHA256", digest):
            path = local_models.LOCAL_MODELS["qwen2.5-1.5b"].prepare(self.directory / "models")
            self.assertEqual(path.read_bytes(), whole)
            path.write_bytes(b"changed since")
            with self.assertRaises(local_models.WeightsError):
                local_models.LOCAL_MODELS["qwen2.5-1.5b"].prepare(self.directory / "models")

    def test_weights_that_are_not_the_published_ones_are_thrown_away(self) -> None:
        with self.assertRaises(local_models.WeightsError):
            local_models.LOCAL_MODELS["qwen2.5-1.5b"].prepare(self.directory / "models")
        self.assertEqual(list((self.directory / "models").iterdir()), [])

    def test_the_default_model_is_installed_and_available(self) -> None:
        self.assertIsNone(local_models.problem("smollm2-135m"))

    def test_a_missing_runtime_is_named(self) -> None:
        with mock.patch.object(local_models, "find_spec", return_value=None):
            self.assertIn("requirements/local.txt", local_models.problem("smollm2-135m") or "")
