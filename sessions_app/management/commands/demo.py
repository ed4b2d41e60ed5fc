"""`manage.py demo`: make an agent, a login and a key to try Salient with, and print where."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser
from django.urls import reverse

from accounts.demo import EMAIL, ensure_key, ensure_login, login_exists, stored_key
from agents.config import ConfigError
from agents.demo import ModelChoice, Place, ensure_instance, find, settle_model
from agents.runtime.providers import describe_model
from salient.management.base import Refused, ReportingCommand
from sessions_app import demo

KEY_FILE = Path("var/demo.json")
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - how a browser gets there
SESSION_ID = r"""sed -E 's/.*"session_id":"([^"]+)".*/\1/'"""


class Command(ReportingCommand):
    """May be repeated: existing rows stay as they are."""

    help = "Make the demo: an agent that answers, a login, an API key. Repeatable."

    def add_arguments(self, parser: CommandParser) -> None:
        where = "where the server listens; else what HOST and PORT say"
        parser.add_argument("--host", help=where)
        parser.add_argument("--port")
        parser.add_argument(
            "--reset-password",
            action="store_true",
            help=f"give {EMAIL} a new password; without --full, do nothing else",
        )
        parser.add_argument(
            "--full",
            action="store_true",
            help="also make 20 accounts with 90 days of conversations, to look at the admin with",
        )
        parser.add_argument(
            "--turns", type=int, default=demo.TURNS, help="about how many, with --full"
        )
        parser.add_argument(
            "--yes", action="store_true", help="fill a database that has other accounts as well"
        )
        super().add_arguments(parser)

    def report(self, **options: Any) -> Mapping[str, Any]:
        if not settings.DEMO:
            raise Refused("The demo is off here: set DEMO=true, and never in production.")
        if options["full"]:
            refuse_other_accounts(sure=options["yes"])
        write = not options["dry_run"]
        if options["reset_password"] and not options["full"]:
            password = ensure_login(reset_password=True) if write else None
            return {"login": login_facts(password), "written": write}
        root, password = root_url(options["host"], options["port"]), None
        place = ensure_instance() if write else find()
        key = stored_key(place.account, key_file()) if place.account else None
        if write and place.account:
            password = ensure_login(reset_password=options["reset_password"])
            key = ensure_key(place.account, key_file())
        choice = chosen_model(place, write=write)
        made = demo.fill(turns=options["turns"]) if options["full"] and write else {}
        return {
            **addresses(root, place),
            "assumed_server": root if options["port"] is None else None,
            "login": login_facts(password),
            "api_key": key,
            "curl": curl_lines(root, place, key or "YOUR_KEY"),
            "model": choice.model,
            "good_for": describe_model(choice.model),
            "notes": choice.notes,
            "written": write,
            "full": made,
        }

    def lines(self, report: Mapping[str, Any]) -> Iterator[str]:
        if "curl" not in report:
            yield f"{EMAIL}, password: {password_words(report['login'])}"
            return
        bold, curl = self.style.MIGRATE_HEADING, report["curl"]
        yield bold("\nSalient is ready" if report["written"] else "\nNothing was changed")
        if report["assumed_server"]:
            # This process cannot know where the server of another one listens.
            server = report["assumed_server"]
            yield f"  Server     {server}, if it runs there; else say --port, or PORT="
        yield f"  Chat page  {report['chat_url']}"
        yield f"  Admin      {report['admin_url']}"
        yield f"             {EMAIL}, password: {password_words(report['login'])}"
        yield f"  Docs       {report['docs']}"
        yield f"  API key    {report['api_key'] or 'is made by the next make run'}"
        yield f"  Model      {report['model']}"
        yield f"             {report['good_for']}"
        for note in report["notes"]:
            yield self.style.WARNING(f"             {note}")
        if report["full"]:
            made = ", ".join(f"{count:,} {kind}" for kind, count in report["full"].items())
            yield f"  Made       {made}"
        yield bold("\nTalk to it") + " (a chat, a stream)"
        yield from (f"  {curl[name]}" for name in ("chat", "stream"))
        yield bold("\nA conversation") + " (it remembers; then read it back)"
        yield from (f"  {curl[name]}" for name in ("first_turn", "second_turn", "history"))
        yield ""


def refuse_other_accounts(*, sure: bool) -> None:
    """Raise Refused, unless `sure`, for a database that is used for more than the demo."""
    others = demo.foreign_accounts(besides=find().slugs[:1])
    if others and not sure:
        some = ", ".join(others[:5])
        raise Refused(
            f"This database has accounts of its own ({some}): nothing was made. "
            "Add --yes to fill it all the same."
        )


def chosen_model(place: Place, *, write: bool) -> ModelChoice:
    try:
        return settle_model(place, write=write)
    except ConfigError as error:
        raise Refused(f"The demo's files have errors; correct or remove them:\n{error}") from error
    except OSError as error:
        reason = (error.strerror or "failed").lower()
        raise Refused(f"The demo's model cannot be set: {error.filename}: {reason}.") from error


def key_file() -> Path:
    return Path(settings.BASE_DIR) / KEY_FILE


def root_url(host: str | None, port: str | None) -> str:
    """Return the server's address; what is not given is as with the settings of this process."""
    usual_host, _, usual_port = settings.BIND.rpartition(":")
    host, port = host or usual_host.strip("[]"), port or usual_port
    host = EVERYWHERE.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def addresses(root: str, place: Place) -> dict[str, str]:
    return {
        "chat_url": root + reverse("sessions:page", args=place.slugs),
        "admin_url": root + reverse("admin:index"),
        "docs": "README.md and docs/",
    }


def login_facts(password: str | None) -> dict[str, Any]:
    """Describe the login; `password` is the one that it was just given."""
    return {"email": EMAIL, "password": password, "exists": login_exists()}


def password_words(login: Mapping[str, Any]) -> str:
    if login["password"]:
        return f"{login['password']} (shown this once)"
    if login["exists"]:
        return "as shown when it was made (manage.py demo --reset-password makes a new one)"
    return "made and shown by the next make run"


def curl_lines(root: str, place: Place, key: str) -> dict[str, str]:
    """Return curl commands that work as they are; the last two need SESSION of `first_turn`."""
    call = f'-H "Authorization: Bearer {key}"'
    post = f'{call} -H "Content-Type: application/json" -d'
    chat = f"{root}{reverse('sessions:chat', args=place.slugs)}"
    stream = f"{root}{reverse('sessions:stream', args=place.slugs)}"
    history = f"{root}{reverse('sessions:history', args=place.slugs)}"
    first = f"""curl -s {chat} {post} '{{"message": "My name is Ada."}}'"""
    again = '{\\"message\\": \\"What is my name?\\", \\"session_id\\": \\"$SESSION\\"}'
    return {
        "chat": f"""curl -s {chat} {post} '{{"message": "Hello!"}}'""",
        "stream": f"""curl -sN {stream} {post} '{{"message": "Tell me a short story."}}'""",
        "first_turn": f"SESSION=$({first} | {SESSION_ID})",
        "second_turn": f'curl -s {chat} {post} "{again}"',
        "history": f'curl -s "{history}?session_id=$SESSION" {call}',
    }
