"""Formats figures: medians with their range, and tables on stdout."""
import statistics


def spread(values):
    """Returns the median and the range, because other load on the machine varies."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "values": list(values)}


def quantile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(share * len(values)))]


class Table:
    """Prints tables and their cells."""

    @staticmethod
    def number(value):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"

    @classmethod
    def spread(cls, figure, factor=1):
        median, least, most = (figure[key] * factor for key in ("median", "min", "max"))
        return f"{cls.number(median)} ({cls.number(least)}–{cls.number(most)})"

    @staticmethod
    def print(title, heads, rows):
        rows = [tuple(map(str, row)) for row in rows]
        widths = [max(map(len, column)) for column in zip(heads, *rows)]
        print(f"\n{title}\n")
        for row in (heads, ["-" * width for width in widths], *rows):
            print("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |")
