"""The layers of a configuration, where each value comes from, and what is refused where."""

import json
from unittest.mock import patch

from agents import config
from agents.runtime.providers.base import ChatMessage
from tests.support.config_files import MODEL, ConfigFiles


class LayerTests(ConfigFiles):
    def test_what_nobody_says_has_a_default(self) -> None:
        effective = self.read()
        self.assertEqual(
            effective.content,
            {
                "agent_type": "simple_chat",
                "display_name": None,
                "model": MODEL,
                "fallback_models": [],
                "temperature": None,
                "max_tokens": None,
                "system_prompt": "Be brief.",
                "history_limit": 20,
                "tools": [],
                "timeouts": {"connect": 5.0, "first_token": 30.0, "stall": 20.0, "total": 180.0},
                "retries": 2,
                "max_tool_rounds": 5,
                "opening_message": None,
                "callers": {
                    "instructions": False,
                    "tools": True,
                    "attachments": True,
                    "sampling": True,
                    "max_temperature": None,
                },
                "visitors": {"show_model": False, "show_usage": False, "show_cost": False},
            },
        )
        self.assertIsNone(effective.error)

    def test_each_layer_wins_over_those_below_it(self) -> None:
        layers = ["defaults.yaml", "acme/account.yaml", "acme/bot/config.yaml"]
        for number, path in enumerate(layers, start=1):
            self.write(path, f"model: {MODEL}\nretries: {number}")
            with self.subTest(path):
                self.assertEqual(self.read().config.retries, number)
        self.assertEqual(self.read(override={"retries": 5}).config.retries, 5)

    def test_each_value_names_its_origin(self) -> None:
        self.write("acme/account.yaml", "temperature: 0.5\nretries: 1")
        self.write("acme/bot/config.yaml", "retries: 0\ntools: [current_time]")
        origins = self.read(override={"display_name": "Bot"}).origins
        expected = {
            "agent_type": "default",
            "model": "defaults.yaml",
            "temperature": "account.yaml",
            "retries": "config.yaml",
            "tools": "config.yaml",
            "system_prompt": "system_prompt.md",
            "display_name": "published here",
        }
        self.assertEqual({key: origins[key] for key in expected}, expected)

    def test_mappings_merge_by_key(self) -> None:
        self.write("acme/account.yaml", "timeouts: {connect: 1, stall: 2}")
        self.write("acme/bot/config.yaml", "timeouts: {stall: 3}")
        effective = self.read()
        self.assertEqual(
            effective.content["timeouts"],
            {"connect": 1.0, "first_token": 30.0, "stall": 3.0, "total": 180.0},
        )
        self.assertEqual(
            [effective.origins[f"timeouts.{key}"] for key in ("connect", "first_token", "stall")],
            ["account.yaml", "default", "config.yaml"],
        )

    def test_lists_replace_each_other(self) -> None:
        self.write("acme/account.yaml", "fallback_models: ['openai:a', 'openai:b']")
        self.write("acme/bot/config.yaml", "fallback_models: ['openai:c']")
        self.assertEqual(self.read().config.fallback_models, ("openai:c",))

    def test_null_takes_a_value_back(self) -> None:
        self.write("acme/account.yaml", "temperature: 1.5")
        self.write("acme/bot/config.yaml", "temperature: null")
        effective = self.read()
        self.assertIsNone(effective.config.temperature)
        self.assertEqual(effective.origins["temperature"], "config.yaml")

    def test_an_instance_without_a_folder_gets_what_its_account_says(self) -> None:
        self.write("acme/account.yaml", "system_prompt: We sell shoes.")
        effective = config.read("acme", "new-bot", base=self.base)
        self.assertEqual(effective.config.system_prompt, "We sell shoes.")

    def test_a_prompt_file_replaces_the_prompt_of_the_layers_below(self) -> None:
        self.write("acme/account.yaml", "system_prompt: We sell shoes.")
        self.assertEqual(self.read().config.system_prompt, "Be brief.")

    def test_a_published_prompt_replaces_the_prompt_file(self) -> None:
        effective = self.read(override={"system_prompt": "Be long."})
        self.assertEqual(effective.config.system_prompt, "Be long.")
        self.assertEqual(effective.origins["system_prompt"], "published here")

    def test_a_prompt_keeps_its_lines_and_loses_the_space_around_them(self) -> None:
        self.write("acme/bot/system_prompt.md", b"\xef\xbb\xbf\r\n# You\r\n\r\n  are kind\r\n\r\n")
        self.assertEqual(self.read().config.system_prompt, "# You\n\n  are kind")

    def test_the_base_directory_is_the_setting(self) -> None:
        with self.settings(AGENT_CONFIG_DIR=self.base):
            self.assertEqual(config.load("acme", "bot").config.model, MODEL)


class DigestTests(ConfigFiles):
    def test_the_order_of_keys_and_the_layer_do_not_matter(self) -> None:
        self.write("acme/bot/config.yaml", "retries: 1\ntimeouts: {stall: 4, connect: 3}")
        in_file = self.read()
        self.write("acme/bot/config.yaml", "{}")
        published = self.read(override={"timeouts": {"connect": 3.0, "stall": 4.0}, "retries": 1})
        self.assertEqual(in_file.digest, published.digest)
        self.assertNotEqual(in_file.origins, published.origins)

    def test_content_from_the_database_may_come_in_another_order(self) -> None:
        content = self.read().content
        reverse = dict(reversed(content.items()))
        self.assertEqual(config.digest_of(reverse), config.digest_of(content))

    def test_another_value_is_another_digest(self) -> None:
        before = self.read().digest
        self.write("acme/bot/system_prompt.md", "Be brief!")
        self.assertNotEqual(self.read().digest, before)

    def test_a_whole_number_is_the_same_temperature_as_its_fraction(self) -> None:
        self.assertEqual(
            self.read(override={"temperature": 1}).digest,
            self.read(override={"temperature": 1.0}).digest,
        )

    def test_a_saved_version_comes_back_as_it_was(self) -> None:
        self.write("acme/bot/config.yaml", "temperature: 0.7\ntools: [current_time]\nretries: 0")
        effective = self.read()
        saved = json.loads(json.dumps(effective.content))
        back = config.EffectiveConfig.from_content(saved, digest=effective.digest, error="broken")
        self.assertEqual(back.config, effective.config)
        self.assertEqual(back.content, effective.content)
        self.assertEqual(back.digest, config.digest_of(back.content))
        self.assertEqual(back.error, "broken")
        self.assertEqual(set(back.origins), set(effective.origins))

    def test_a_saved_version_from_before_a_key_was_known_gets_its_default(self) -> None:
        saved = self.read().content
        del saved["retries"]
        back = config.EffectiveConfig.from_content(saved, digest="d")
        self.assertEqual((back.config.retries, back.digest), (2, "d"))

    def test_a_saved_version_with_a_key_that_is_gone_still_serves(self) -> None:
        saved = self.read().content
        back = config.EffectiveConfig.from_content({**saved, "gone": 1}, digest="d")
        self.assertEqual(back.content, saved)

    def test_a_saved_version_that_no_longer_fits_is_refused(self) -> None:
        whole = self.read().content
        for broken in ({"model": MODEL}, {**whole, "retries": "two"}):
            with self.subTest(broken), self.assertRaises(config.ConfigError):
                config.EffectiveConfig.from_content(broken, digest="d")


class RunRequestTests(ConfigFiles):
    def test_every_value_reaches_the_runtime(self) -> None:
        self.write(
            "acme/bot/config.yaml",
            f"""
            fallback_models: [{MODEL}, "openai:other"]
            temperature: 0.2
            max_tokens: 99
            tools: [current_time]
            timeouts: {{connect: 1, first_token: 2, stall: 3, total: 4}}
            retries: 1
            max_tool_rounds: 2
            """,
        )
        messages = [ChatMessage("user", "Hi"), ChatMessage("assistant", "Hello")]
        request = self.read().config.run_request(messages, stream=True)
        self.assertEqual(request.models, (MODEL, "openai:other"))
        self.assertEqual(request.system_prompt, "Be brief.")
        self.assertEqual(request.messages, tuple(messages))
        self.assertEqual((request.temperature, request.max_tokens), (0.2, 99))
        self.assertEqual(request.tools, ("current_time",))
        waits = request.timeouts
        self.assertEqual((waits.connect, waits.first_token, waits.stall, waits.total), (1, 2, 3, 4))
        self.assertEqual((request.retries, request.max_tool_rounds), (1, 2))
        self.assertIs(request.stream, True)


class RefusalTests(ConfigFiles):
    """Every refusal names file, line, key and what is wrong."""

    def problem(self, text: str) -> str:
        """Return the one thing that is wrong with this text."""
        self.write("acme/bot/config.yaml", text)
        [problem] = self.problems()
        return problem

    def refuses(self, text: str, expected: str) -> None:
        self.assertEqual(self.problem(text), f"acme/bot/config.yaml{expected}")

    def test_an_unknown_key_and_what_was_meant(self) -> None:
        for text, key, meant in [
            ("# c\ntemperatur: 1", "2: temperatur", "temperature"),
            ("# c\nTemperature: 1", "2: Temperature", "temperature"),
            ("# c\nprompt: 1", "2: prompt", "system_prompt"),
            ("# c\nfirst_token: 1", "2: first_token", "timeouts.first_token"),
            ("timeouts:\n  conect: 1", "2: timeouts.conect", "timeouts.connect"),
        ]:
            with self.subTest(text):
                self.refuses(text, f':{key}: unknown key; did you mean "{meant}"?')
        self.refuses("zzz: 1", ":1: zzz: unknown key")

    def test_values_of_the_wrong_type(self) -> None:
        for text, message in [
            ("temperature: hot", 'temperature: must be a number, not "hot"'),
            ("temperature: '1'", 'temperature: must be a number, not "1"'),
            ("temperature: true", "temperature: must be a number, not true"),
            ("max_tokens: true", "max_tokens: must be a whole number, not true"),
            (f"max_tokens: {'9' * 5000}", "max_tokens: must be a whole number, not Infinity"),
            ("max_tokens: 1.0", "max_tokens: must be a whole number, not 1.0"),
            ("display_name: 12", "display_name: must be text, not 12"),
            ("tools: current_time", 'tools: must be a list, not "current_time"'),
            ("tools: {a: b}", "tools: must be a list, not a mapping"),
            ("timeouts: 3", "timeouts: must be a mapping, not 3"),
            ("timeouts: null", "timeouts: must be a mapping, not null"),
            ("retries: null", "retries: must be a whole number, not null"),
            ("model: [a, b]", "model: must be text, not a list"),
        ]:
            with self.subTest(text):
                self.refuses(text, f":1: {message}")

    def test_values_out_of_range(self) -> None:
        for text, message in [
            ("temperature: 2.1", "temperature: must be less than or equal to 2, not 2.1"),
            ("temperature: -1", "temperature: must be greater than or equal to 0, not -1"),
            ("temperature: .nan", "temperature: must be a finite number, not NaN"),
            ("max_tokens: 0", "max_tokens: must be greater than or equal to 1, not 0"),
            ("history_limit: 201", "history_limit: must be less than or equal to 200, not 201"),
            ("timeouts: {total: 0}", "timeouts.total: must be greater than 0, not 0"),
            ("opening_message: ' '", "opening_message: must not be blank"),
            ('display_name: "a\\0"', "display_name: holds a character that cannot be stored"),
            (
                "fallback_models: ['openai:a', 'openai:a']",
                "fallback_models: must not name anything twice",
            ),
        ]:
            with self.subTest(text):
                self.refuses(text, f":1: {message}")

    def test_an_unknown_agent_type(self) -> None:
        self.refuses(
            "agent_type: simple-chat",
            ':1: agent_type: "simple-chat" is no agent type (known: simple_chat);'
            ' did you mean "simple_chat"?',
        )

    def test_an_unknown_tool(self) -> None:
        problem = self.problem("tools:\n- current_time\n- curent_time")
        self.assertIn('config.yaml:3: tools[1]: "curent_time" is no tool (known: ', problem)
        self.assertIn('did you mean "current_time"?', problem)

    def test_a_model_that_is_not_written_as_provider_and_model(self) -> None:
        for model in ("gpt-5", "':gpt-5'", "'local:'", "'local: '"):
            with self.subTest(model):
                problem = self.problem(f"\nmodel: {model}")
                self.assertTrue(problem.startswith("acme/bot/config.yaml:2: model: "))
                self.assertIn("provider:model", problem)

    def test_a_model_name_may_be_an_arn_or_a_path_of_255_characters(self) -> None:
        arn = (
            "bedrock:arn:aws-us-gov:bedrock:us-gov-west-1:123456789012:inference-profile/"
            "us-gov.anthropic.claude-sonnet-4-5-20250929-v1:0"
        )
        for model in (arn, f"vllm:/models/{'x' * 247}", "ollama:My Model:7b", f"vllm:{'ü' * 255}"):
            with self.subTest(model):
                self.write("acme/bot/config.yaml", f'model: "{model}"')
                self.assertEqual(self.read().config.model, model)
        problem = self.problem(f"model: vllm:{'x' * 256}")
        self.assertIn("must have at most 255 characters after the provider's name", problem)

    def test_a_model_name_with_a_character_that_nobody_sees_is_refused(self) -> None:
        for place, char, name in (
            ("openai:gpt-5{}", "\u00a0", "no-break space"),
            ("openai:gpt-5{}", "\u200b", "zero width space"),
            ("openai:gpt-5{}", "\ufeff", "zero width no-break space"),
            ("openai:gpt{}5", "\u00ad", "soft hyphen"),
            ("openai:{}gpt-5", "\u202e", "right-to-left override"),
            ("{}openai:gpt-5", "\u2060", "word joiner"),
            ("openai{}:gpt-5", "\u3000", "ideographic space"),
            ("openai:gpt-5{}", "\u3164", "hangul filler"),
            ("openai:gpt-5{}", "\ufe0f", "variation selector-16"),
            ("openai:gpt-5{}", "\t", "a control character"),
            ("openai:gpt-5{}", "\u2028", "line separator"),
        ):
            for key in ("model: {}", "model: scripted:echo\nfallback_models: [{}]"):
                with self.subTest(char=ascii(char), key=key):
                    escaped = f"\\u{ord(char):04x}"
                    problem = self.problem(key.format(f'"{place.format(escaped)}"'))
                    self.assertIn(f"invisible character U+{ord(char):04X} ({name})", problem)
                    self.assertTrue(problem.isprintable())

    def test_a_model_name_with_a_space_at_its_ends_is_refused(self) -> None:
        for model in ("openai:gpt-5 ", " openai:gpt-5", "openai: gpt-5", "openai :gpt-5"):
            with self.subTest(model):
                problem = self.problem(f'model: "{model}"')
                self.assertIn("must have no space at its ends or beside the colon", problem)

    def test_an_unknown_provider(self) -> None:
        problem = self.problem("model: opnai:gpt-5")
        self.assertIn("acme/bot/config.yaml:1: model: ", problem)
        self.assertIn("opnai", problem)

    def test_a_model_that_no_machine_has(self) -> None:
        for model, meant in [
            ("local:smollm", "local:smollm2-135m"),
            ("scripted:ecko", "scripted:echo"),
        ]:
            with self.subTest(model):
                problem = self.problem(f"model: {model}")
                self.assertTrue(problem.startswith("acme/bot/config.yaml:1: model: "))
                self.assertIn(f'Did you mean "{meant}"?', problem)

    def test_a_model_whose_key_is_on_another_machine_is_no_error(self) -> None:
        self.write("acme/bot/config.yaml", "model: openai:gpt-5")
        with patch.dict("os.environ") as environment:
            environment.pop("OPENAI_API_KEY", None)
            self.assertEqual(self.read().config.model, "openai:gpt-5")

    def test_everything_wrong_in_every_file_is_reported_at_once(self) -> None:
        self.write("defaults.yaml", "model: 3")
        self.write("acme/account.yaml", "a: [")
        self.write("acme/bot/config.yaml", "retries: x\nretries: 1\nzzz: &a 1")
        self.write("acme/bot/system_prompt.md", " \n")
        self.assertEqual(
            [problem.partition(": ")[0] for problem in self.problems()],
            [
                "defaults.yaml:1",
                "acme/account.yaml:1",
                "acme/bot/config.yaml:2",
                "acme/bot/config.yaml:3",
                "acme/bot/system_prompt.md",
            ],
        )

    def test_a_bad_override_is_named_published(self) -> None:
        self.assertEqual(
            self.problems(override={"retries": "x", "zzz": 1}),
            [
                'published here: retries: must be a whole number, not "x"',
                "published here: zzz: unknown key",
            ],
        )

    def test_a_long_or_unprintable_value_is_shown_safely(self) -> None:
        problem = self.problem(f'retries: "\\e[31m{"x" * 500}"')
        self.assertLess(len(problem), 150)
        self.assertTrue(problem.isprintable())


class MissingTests(ConfigFiles):
    def test_no_prompt_anywhere_names_the_file_that_was_looked_for(self) -> None:
        (self.base / "acme/bot/system_prompt.md").unlink()
        self.assertEqual(
            self.problems(),
            [
                "acme/bot/system_prompt.md: system_prompt: this file does not exist, "
                "and no other layer gives a system prompt"
            ],
        )

    def test_no_model_anywhere_names_the_place_for_it(self) -> None:
        (self.base / "defaults.yaml").unlink()
        self.assertEqual(
            self.problems(),
            ["acme/bot/config.yaml: model: no layer names a model, such as local:smollm2-135m"],
        )

    def test_a_base_directory_that_is_missing_is_not_an_empty_one(self) -> None:
        with self.assertRaisesMessage(config.ConfigError, "AGENT_CONFIG_DIR"):
            config.read("acme", "bot", base=self.base / "nowhere", override=self.read().content)

    def test_two_prompts_beside_each_other(self) -> None:
        self.write("acme/bot/config.yaml", "\nsystem_prompt: Be long.")
        self.assertEqual(
            self.problems(),
            [
                "acme/bot/config.yaml:2: system_prompt: is set here and in system_prompt.md "
                "beside it: keep one of them"
            ],
        )

    def test_a_file_without_a_byte_is_one_being_written(self) -> None:
        self.write("acme/bot/config.yaml", "\n")
        self.assertEqual(self.problems(), ["acme/bot/config.yaml: is empty: write {} or remove it"])

    def test_a_file_of_comments_says_nothing(self) -> None:
        self.write("acme/bot/config.yaml", "# temperature: 1\n")
        self.assertIsNone(self.read().config.temperature)
