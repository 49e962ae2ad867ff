# SPDX-License-Identifier: MPL-2.0
"""Which curves a result file has, without drawing them."""

SHOWN = {"latency": (("p50_us", "p50, µs"), ("p99_us", "p99, µs")),
         "throughput": (("rate", "messages a second"),)}


class Panel:
    """One picture: a figure of one pattern along one quantity, a line for each library."""

    def __init__(self, title, along, unit):
        self.title = title
        self.along = along
        self.unit = unit
        self.lines = {}  # library -> place -> values


def panels(cells):
    """Every pattern, transport and placement that was measured at two sizes or client counts."""
    found = {}
    for cell in cells:
        if "mode" not in cell:
            continue
        what = f"{cell['mode']} {cell['pattern']} {cell['transport']}"
        clients = "subscribers" if cell["pattern"] == "pub_sub" else "connections"
        for along, place, fixed in (
                ("message size, B", cell["size"], f"{cell['clients']} {clients}"
                 if cell["clients"] > 1 else ""),
                (clients, cell["clients"], f"{cell['size']} B")):
            for metric, unit in SHOWN[cell["mode"]]:
                title = ", ".join(filter(None, (what, fixed, cell["placement"])))
                key = (title, along, unit)
                for library, series in cell["series"].items():
                    values = [run[metric] for run in series["runs"] if run and metric in run]
                    if values:
                        panel = found.setdefault(key, Panel(*key))
                        panel.lines.setdefault(library, {}).setdefault(place, []).extend(values)
    return [panel for panel in found.values()
            if max(len(points) for points in panel.lines.values()) > 1]
