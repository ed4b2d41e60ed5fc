"""A tool for the current time, which no model knows."""

from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field

from agents.runtime.tools.base import Arguments, Tool, ToolError


class CurrentTimeArguments(Arguments):
    timezone: str | None = Field(
        default=None,
        max_length=64,
        description="An IANA name such as Europe/Berlin; UTC when it is left out.",
    )


async def current_time(arguments: CurrentTimeArguments) -> str:
    """Tell today's date, the day of the week and the time now."""
    now = datetime.now(_zone(arguments.timezone))
    return f"{now:%A}, {now.isoformat(timespec='seconds')}"


def _zone(name: str | None) -> tzinfo:
    if not name or name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ToolError(f"There is no time zone named {name!r}.") from error


TOOL = Tool(current_time, CurrentTimeArguments)
