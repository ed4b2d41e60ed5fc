"""Charts that the server draws: the places of bars and lines, and the same numbers as a table.

What a chart needs again and again is computed once, and its bars are drawn as one path a series: a
page has hundreds of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

from salient.formatting import NONE

WIDTH, HEIGHT = 520, 165
SPARKLINE = (90, 18)
LEFT, RIGHT, TOP, BOTTOM = 46, 4, 8, 18
STEPS = 4
# More labels of columns than these would touch each other.
MOST_LABELS = 9
# Bars have links of their own up to this number. Where there are more, they are too narrow to be
# pointed at, and would be most of the page's bytes; then a column is one link.
MOST_LINKS = 100
STYLES = ("s0", "s1", "s2", "s3", "s4", "s5")

type Value = float | None
type Write = Callable[[float], str]


@dataclass(frozen=True, slots=True)
class Series:
    """One value for each column, None where there is none; `style` is a CSS class."""

    name: str
    values: Sequence[Value]
    style: str
    # The query that narrows a column's rows to this series: "&model=…".
    filters: str = ""
    # The values as text, where that differs from how the chart writes them.
    texts: Sequence[str] = ()

    def has_value(self, n: int) -> bool:
        """Return whether a column has a value, or a text for an unknown one."""
        return bool(self.values[n] or (self.values[n] is None and self.texts))


@dataclass(frozen=True, slots=True)
class Rect:
    x: str
    y: str
    width: str
    height: str
    style: str
    href: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """One day or week: its link, its text, and the place of its full height to point at."""

    href: str
    text: str
    x: str
    # Those of its bars that have links of their own.
    parts: list[Rect]


@dataclass(frozen=True, slots=True)
class Tick:
    place: str
    text: str


@dataclass(frozen=True)
class Chart:
    """A chart with a day or a week in each column: stacked bars, or lines."""

    key: str
    title: str
    # What the columns are called: "1 Sep".
    names: Sequence[str]
    series: Sequence[Series]
    write: Write
    links: Sequence[str]
    lines: bool = False
    note: str = ""
    # Makes of an axis' step what writes its values, where `write` would round them differently.
    axis: Callable[[float], Write] | None = None
    # The address of the rows of all columns.
    all_rows: str = ""

    size = (WIDTH, HEIGHT)
    left, right, text_left, base = str(LEFT), str(WIDTH - RIGHT), str(LEFT - 5), str(HEIGHT - 4)
    top, height = str(TOP), str(HEIGHT - TOP - BOTTOM)

    @property
    def is_empty(self) -> bool:
        return not any(each.has_value(n) for each in self.series for n in range(len(each.values)))

    def ticks(self) -> list[Tick]:
        values = [self._top * n / STEPS for n in range(STEPS + 1)]
        write = self.axis(self._top / STEPS) if self.axis else self.write
        return [Tick(_text(self._y(value)), write(value)) for value in values]

    def labels(self) -> list[Tick]:
        step = math.ceil(len(self.names) / MOST_LABELS)
        places = range(0, len(self.names), step)
        return [Tick(_text(self._middle(n)), self.names[n]) for n in places]

    def columns(self) -> list[Column]:
        return [
            Column(self.links[n], self._say(n), _text(self._x(n)), self._parts(n))
            for n in range(len(self.names))
        ]

    @property
    def width(self) -> str:
        """The width of each column."""
        return _text(self._step)

    def shapes(self) -> list[tuple[str, str]]:
        """Return the style and the path of each series' bars."""
        shapes = {series.style: "" for series in self.series}
        for bar in (bar for stack in self.stacks for bar in stack):
            shapes[bar.style] += f"M{bar.x} {bar.y}h{bar.width}v{bar.height}h-{bar.width}z"
        return [(style, path) for style, path in shapes.items() if path]

    def paths(self) -> list[tuple[str, str]]:
        """Return the style and the points of each line; a missing value interrupts it."""
        return [(each.style, path) for each in self.series for path in self._paths(each)]

    def legend(self) -> list[tuple[Series, str]]:
        """Return each series with the address of its rows, "" where it has none of its own."""
        return [
            (each, self.all_rows + each.filters if each.filters else "") for each in self.series
        ]

    def texts(self, n: int) -> list[str]:
        """Return the values of a column as text."""
        return [self._text_of(series, n) for series in self.series]

    @cached_property
    def stacks(self) -> list[list[Rect]]:
        """The bars of each column, one for each of its values, the lowest first."""
        columns = range(0 if self.lines else len(self.names))
        return [list(self._stack(n)) for n in columns]

    def _parts(self, n: int) -> list[Rect]:
        own = sum(bool(series.filters) for series in self.series)
        if self.lines or own * len(self.names) > MOST_LINKS:
            return []
        return [bar for bar in self.stacks[n] if bar.href != self.links[n]]

    def _text_of(self, series: Series, n: int) -> str:
        if series.texts:
            return series.texts[n]
        value = series.values[n]
        return NONE if value is None else self.write(value)

    def _say(self, n: int) -> str:
        texts = zip(self.series, self.texts(n), strict=True)
        words = [f"{each.name} {text}" for each, text in texts if self.lines or each.has_value(n)]
        return f"{self.names[n]}: {', '.join(words) or 'nothing'}"

    def _stack(self, n: int) -> Iterator[Rect]:
        below, gap = 0.0, min(3.0, self._step / 5)
        for series in self.series:
            value = series.values[n] or 0
            if value > 0:
                upper, lower = self._y(below + value), self._y(below)
                yield Rect(
                    x=_text(self._x(n) + gap / 2),
                    y=_text(upper),
                    width=_text(self._step - gap),
                    height=_text(max(lower - upper, 0.5)),
                    style=series.style,
                    href=self.links[n] + series.filters,
                    text=f"{self.names[n]}: {series.name} {self._text_of(series, n)}",
                )
            below += value

    def _paths(self, series: Series) -> Iterator[str]:
        places = enumerate(series.values)
        for there, run in groupby(places, key=lambda place: place[1] is not None):
            if there:
                points = [(self._middle(n), self._y(value or 0)) for n, value in run]
                if len(points) == 1:
                    # A line of one point is invisible.
                    [(x, y)] = points
                    points = [(x - 2, y), (x + 2, y)]
                yield " ".join(f"{x:.1f},{y:.1f}" for x, y in points)

    @cached_property
    def _top(self) -> float:
        return nice(max(self._heights(), default=0))

    def _heights(self) -> Iterator[float]:
        for n in range(len(self.names)):
            values = [series.values[n] or 0 for series in self.series]
            yield max(values) if self.lines else sum(values)

    @cached_property
    def _step(self) -> float:
        return (WIDTH - LEFT - RIGHT) / max(1, len(self.names))

    def _x(self, n: int) -> float:
        return LEFT + n * self._step

    def _middle(self, n: int) -> float:
        return self._x(n) + self._step / 2

    def _y(self, value: float) -> float:
        return HEIGHT - BOTTOM - value / self._top * (HEIGHT - TOP - BOTTOM)


@dataclass(frozen=True, slots=True)
class Table:
    """The numbers of charts with the same columns: a row for each of these."""

    charts: Sequence[Chart]

    def heads(self) -> list[tuple[str, int]]:
        """Return the charts' titles, and over how many columns of the table each stands."""
        return [(chart.title, len(chart.series)) for chart in self.charts]

    def rows(self) -> list[tuple[str, str, list[str]]]:
        """Return each row's name, the address of what it counts, and its values as text."""
        first = self.charts[0]
        return [
            (name, first.links[n], [text for chart in self.charts for text in chart.texts(n)])
            for n, name in enumerate(first.names)
        ]


def nice(value: float) -> float:
    """Return the next round number above that is divisible by STEPS, for an axis."""
    if value <= 0:
        return float(STEPS)
    power = 10.0 ** math.floor(math.log10(value))
    return next(power * step for step in (1, 2, 4, 6, 8, 10) if power * step >= value * 0.9999)


def sparkline(values: Sequence[float]) -> str:
    """Return the points of a small line without axes."""
    width, height = SPARKLINE
    top, step = max([*values, 1]), width / max(1, len(values) - 1)
    points = [(n * step, height - 1 - value / top * (height - 2)) for n, value in enumerate(values)]
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _text(place: float) -> str:
    return f"{place:.1f}"
