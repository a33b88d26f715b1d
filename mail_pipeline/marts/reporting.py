"""The clock that marts go by: whose days and hours, and which of them are for work."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from mail_pipeline.errors import StopRun
from mail_pipeline.settings import Variable

TIME_ZONE = "MAIL_PIPELINE_TIME_ZONE"
BUSINESS_HOURS = "MAIL_PIPELINE_BUSINESS_HOURS"

VARIABLES = (
    Variable(TIME_ZONE, "time_zone", "Whose days and hours the marts count in, such as Europe/Berlin."),
    Variable(
        BUSINESS_HOURS,
        "opens",
        "When the clock of `business_seconds` runs, in that zone.",
        default="`mon-fri 09:00-17:00`",
    ),
)
"""Every variable that `from_env` reads."""

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_HOURS = re.compile(r"(\w{3})-(\w{3}) (\d\d?):(\d\d)-(\d\d?):(\d\d)")


@dataclass(frozen=True, slots=True)
class Reporting:
    """A time zone, and the working days and hours in it."""

    time_zone: str = "UTC"
    days: frozenset[int] = frozenset({0, 1, 2, 3, 4})
    """Working days, 0 for Monday."""
    opens: int = 9 * 3600
    """Seconds after midnight."""
    closes: int = 17 * 3600

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "Reporting":
        """Read `MAIL_PIPELINE_TIME_ZONE`, such as Europe/Berlin, and `MAIL_PIPELINE_BUSINESS_HOURS`.

        The latter is of the form `mon-fri 09:00-17:00`. Raises StopRun naming the variable that is wrong.
        """
        zone = env.get(TIME_ZONE, "").strip() or cls().time_zone
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise StopRun(
                f"{TIME_ZONE} is {zone!r}: expected the name of a time zone",
                next_step="Set it to one such as Europe/Berlin, or unset it for UTC.",
            ) from error
        hours = env.get(BUSINESS_HOURS, "").strip()
        return cls(zone, *_business_hours(hours)) if hours else cls(zone)

    def parameters(self) -> dict[str, object]:
        """Return what the statements of the marts take."""
        before = [sum(day in self.days for day in range(end)) for end in range(8)]
        return {
            "time_zone": self.time_zone,
            "opens": self.opens,
            "closes": self.closes,
            "days_before": before,
        }


DEFAULT = Reporting()
"""UTC, Monday to Friday from 9 to 17."""


def _business_hours(text: str) -> tuple[frozenset[int], int, int]:
    found = _HOURS.fullmatch(text.strip().lower())
    if found and {found[1], found[2]} <= set(_DAYS):
        first, last = _DAYS.index(found[1]), _DAYS.index(found[2])
        opens, closes = (int(found[at]) * 3600 + int(found[at + 1]) * 60 for at in (3, 5))
        if opens < closes <= 24 * 3600:
            days = range(first, last + 1 if first <= last else last + 8)
            return frozenset(day % 7 for day in days), opens, closes
    raise StopRun(
        f"{BUSINESS_HOURS} is {text!r}: expected days and hours",
        next_step="Set it to something like `mon-fri 09:00-17:00`, or unset it.",
    )
