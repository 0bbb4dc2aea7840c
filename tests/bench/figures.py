"""figures - medians, spreads and ratios, for people and as JSON."""

import json
import statistics


def spread(values):
    """Median, lowest and highest."""
    return statistics.median(values), min(values), max(values)


def ratios(ours, theirs):
    """Of values measured in the same rounds, pair by pair."""
    return [one / other for one, other in zip(ours, theirs)]


def show(values, digits=2):
    middle, low, high = spread(values)
    return f"{middle:,.{digits}f} ({low:,.{digits}f}-{high:,.{digits}f})"


class Report:
    """What was measured: printed as it comes, unless it is wanted as JSON at the end."""

    def __init__(self, as_json):
        self.as_json, self.sections = as_json, {}

    def begin(self, key, title, *columns):
        self.key, self.columns = key, columns
        self.sections[key] = {"title": title, "rows": []}
        if not self.as_json:
            print(f"\n{title}\n" + "  ".join(f"{column:>{max(len(column), width)}}" for column, width in columns_of(columns)),
                  flush=True)

    def row(self, *cells, **raw):
        """`cells`: as shown; `raw`: the values behind them."""
        self.sections[self.key]["rows"].append({**dict(zip(self.columns, map(str, cells))), **raw})
        if not self.as_json:
            print("  ".join(f"{cell!s:>{max(len(column), width)}}"
                            for cell, (column, width) in zip(cells, columns_of(self.columns))), flush=True)

    def note(self, text):
        self.sections.setdefault("notes", []).append(text)
        if not self.as_json:
            print(text, flush=True)

    def end(self):
        if self.as_json:
            print(json.dumps(self.sections, indent=1))


def columns_of(columns):
    return [(column, 22 if number else 26) for number, column in enumerate(columns)]
