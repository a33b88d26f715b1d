"""When people write: years of mail that grow, with working weeks, quiet Augusts and office hours."""

from array import array
from bisect import bisect_right
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from itertools import accumulate

DAY = 86_400
HOUR = 3_600
YEAR = 365.25 * DAY

_WEEKDAY = (1.0, 1.1, 1.05, 1.0, 0.8, 0.18, 0.14)
_MONTH = (1.0, 1.0, 1.05, 0.95, 1.0, 1.0, 0.8, 0.6, 1.1, 1.1, 1.1, 0.7)
_OFFICE_HOURS = (1, 1, 1, 1, 1, 2, 6, 18, 55, 80, 85, 75, 45, 60, 80, 75, 65, 50, 30, 18, 14, 10, 5, 2)
_WEEKEND_HOURS = (2, 1, 1, 1, 1, 1, 2, 4, 10, 18, 24, 22, 18, 16, 16, 16, 16, 18, 20, 22, 20, 14, 8, 4)


def _shares(weights: Sequence[int]) -> tuple[float, ...]:
    total = sum(weights)
    return (0.0, *(part / total for part in accumulate(weights)))


_OFFICE, _WEEKEND = _shares(_OFFICE_HOURS), _shares(_WEEKEND_HOURS)


class Rhythm:
    """The distribution of a mailbox's mail over time, as a rising function of the share of mail sent."""

    def __init__(self, begin: int, end: int, yearly_growth: float) -> None:
        """Cover the whole UTC days between two unix times; each year has `yearly_growth` times the last."""
        self.begin = begin - begin % DAY
        days = max(1, (end - self.begin) // DAY)
        self.end = self.begin + days * DAY
        weights = (
            yearly_growth ** (day * DAY / YEAR)
            * _WEEKDAY[(moment := datetime.fromtimestamp(self.begin + day * DAY, UTC)).weekday()]
            * _MONTH[moment.month - 1]
            for day in range(days)
        )
        self._cumulative = array("d", accumulate(weights))

    def instant(self, share: float) -> int:
        """Return the unix time before which `share` (0 to 1) of the mail falls; rises with the share."""
        target = share * self._cumulative[-1]
        day = min(bisect_right(self._cumulative, target), len(self._cumulative) - 1)
        before = self._cumulative[day - 1] if day else 0.0
        within = min((target - before) / (self._cumulative[day] - before), 1.0)
        start = self.begin + day * DAY
        # 1970-01-01 was a Thursday.
        hours = _WEEKEND if (start // DAY + 3) % 7 >= 5 else _OFFICE
        hour = min(bisect_right(hours, within) - 1, 23)
        rest = (within - hours[hour]) / (hours[hour + 1] - hours[hour])
        return start + hour * HOUR + min(int(rest * HOUR), HOUR - 1)

    def answer_time(self, moment: float, draw: float) -> float:
        """Move a moment outside working hours to the next working morning, for all but few people.

        `draw` (0 to 1) decides who answers at night and how late in the morning the others do.
        """
        if draw < 0.12:
            return moment
        weekday, hour = int(moment // DAY + 3) % 7, moment % DAY / HOUR
        if weekday < 5 and 7.5 <= hour < 19:
            return moment
        nights = 0 if hour < 7.5 else 1
        while (weekday + nights) % 7 >= 5:
            nights += 1
        return (moment // DAY + nights) * DAY + 8 * HOUR + draw * 2 * HOUR


@lru_cache(maxsize=64)
def rhythm(begin: int, end: int, yearly_growth: float) -> Rhythm:
    """Return the shared Rhythm of all mailboxes with this span and growth."""
    return Rhythm(begin, end, yearly_growth)
