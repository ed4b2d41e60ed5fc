"""The time limits of one call of a model, without a model."""

import asyncio
from collections.abc import AsyncGenerator
from unittest import mock

from django.test import SimpleTestCase

from agents.runtime.errors import ProviderTimeout
from agents.runtime.timeouts import TimedStream


async def slow_events() -> AsyncGenerator[str]:
    await asyncio.sleep(0.1)
    yield "first"
    await asyncio.sleep(60)
    yield "second"


class TimedStreamTests(SimpleTestCase):
    async def test_a_limit_of_almost_nothing_does_not_keep_the_loop_busy(self) -> None:
        looks = 0
        look = TimedStream._look

        def counted(stream: TimedStream[str]) -> None:
            nonlocal looks
            looks += 1
            look(stream)

        loop = asyncio.get_running_loop()
        with mock.patch.object(TimedStream, "_look", counted):
            stream = TimedStream[str](
                slow_events(), first=30.0, stall=1e-9, deadline=loop.time() + 60
            )
            try:
                self.assertEqual(await stream.next(), "first")
                # While the reader is slow, the model is not late.
                await asyncio.sleep(0.1)
                with self.assertRaises(ProviderTimeout):
                    await stream.next()
            finally:
                await stream.close()

        # One each hundredth of a second at most.
        self.assertLess(looks, 100)
