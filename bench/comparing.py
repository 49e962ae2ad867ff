# SPDX-License-Identifier: MPL-2.0
"""Whether a figure has changed between two result files, judged by the noise of both.

Where both files hold a reference library in the same cell, each of our runs is divided by the
reference's run of the same round: that takes out what the machine did meanwhile. Then both sets of
runs are resampled (bootstrap), and the change is the ratio of their medians with the interval in
which it lies in 99 of 100 resamples. A change is one only if the interval leaves out 1, and if it
is larger than the smallest change worth mentioning.
"""

import random
import statistics

# Below this a change is called none, however sure it is.
SMALLEST_CHANGE = 0.02
CONFIDENCE = 0.99
RESAMPLES = 2000
# Fewer runs say nothing about the noise.
FEWEST_RUNS = 4

# Metric -> whether less is better.
LESS_IS_BETTER = {
    "p50_us": True, "p99_us": True, "p999_us": True, "mean_us": True, "rate": False,
    "server_cpu": True, "client_cpu": True, "cpu": True, "rss_per_connection_kib": True,
    "server_rss_kib": True, "client_rss_kib": True,
    "server_idle_switches": True, "client_idle_switches": True,
}

FASTER, SLOWER = "faster", "slower"
BETTER, WORSE = "less", "more"
NO_CHANGE = "no change seen"
TOO_FEW = "with too few runs"
NOT_THERE = "not there"
SAME_LACK = "not there in both"


class Change:
    """One metric of one cell in two files."""

    def __init__(self, title, metric, before, after, ratio, interval, verdict):
        self.title = title
        self.metric = metric
        self.before = before
        self.after = after
        self.ratio = ratio  # after / before; None if it cannot be told
        self.interval = interval
        self.verdict = verdict


def samples(cell, metric, library, reference):
    """Our figures, each divided by the reference's of the same round if there is one."""
    ours = cell["series"][library]["runs"]
    if reference is None:
        return [run[metric] for run in ours if run and run.get(metric)]
    theirs = cell["series"][reference]["runs"]
    return [a[metric] / b[metric] for a, b in zip(ours, theirs)
            if a and b and a.get(metric) and b.get(metric)]


def ratio_interval(before, after, seed=1):
    """The ratio of the medians after / before, and the interval it lies in."""
    ratio = statistics.median(after) / statistics.median(before)
    chance = random.Random(seed)
    return ratio, interval_of(CONFIDENCE, lambda: resampled_median(after, chance)
                              / resampled_median(before, chance))


def median_interval(values, confidence, seed=1):
    """The interval in which the median of `values` lies."""
    chance = random.Random(seed)
    return interval_of(confidence, lambda: resampled_median(values, chance))


def resampled_median(values, chance):
    return statistics.median(chance.choices(values, k=len(values)))


def interval_of(confidence, resample):
    results = sorted(resample() for _ in range(RESAMPLES))
    tail = (1 - confidence) / 2
    return results[int(tail * RESAMPLES)], results[int((1 - tail) * RESAMPLES) - 1]


def verdict_of(metric, before, after):
    """(ratio, interval, verdict) of two sets of samples."""
    if min(len(before), len(after)) < FEWEST_RUNS:
        return None, None, TOO_FEW
    ratio, (low, high) = ratio_interval(before, after)
    if low <= 1 <= high or abs(ratio - 1) < SMALLEST_CHANGE:
        return ratio, (low, high), NO_CHANGE
    better = (ratio < 1) == LESS_IS_BETTER[metric]
    if metric == "rate" or metric in ("p50_us", "p99_us", "p999_us", "mean_us"):
        return ratio, (low, high), FASTER if better else SLOWER
    return ratio, (low, high), BETTER if ratio < 1 else WORSE


def median_of(cell, metric, library):
    values = [run[metric] for run in cell["series"][library]["runs"]
              if run and run.get(metric) is not None]
    return statistics.median(values) if values else None


def state_of(cell, library):
    """Why a cell has no figure."""
    series = cell["series"][library]
    if series["not_there"]:
        return NOT_THERE
    return "FAILED" if series["failures"] else "not run"


def compare(before, after, library="ours", reference="libzmq"):
    """(changes, titles only in the first file, titles only in the second)."""
    old = {cell["title"]: cell for cell in before["cells"] if library in cell["series"]}
    new = {cell["title"]: cell for cell in after["cells"] if library in cell["series"]}
    changes = []
    for title in (title for title in old if title in new):
        a, b = old[title], new[title]
        metrics = [metric for metric in a["metrics"] if metric in LESS_IS_BETTER]
        shown = [metric for metric in metrics
                 if median_of(a, metric, library) is not None
                 or median_of(b, metric, library) is not None]
        for metric in shown or metrics[:1]:
            medians = [median_of(cell, metric, library) for cell in (a, b)]
            if None in medians:
                texts = [state_of(cell, library) if median is None else None
                         for cell, median in zip((a, b), medians)]
                verdict = (SAME_LACK if texts[0] == texts[1] == NOT_THERE else
                           " → ".join(text or "a figure" for text in texts))
                changes.append(Change(title, metric, *medians, None, None, verdict))
                continue
            if medians == [0, 0]:
                changes.append(Change(title, metric, 0, 0, None, None, NO_CHANGE))
                continue
            common = reference if all(
                reference in cell["series"]
                and len(samples(cell, metric, library, reference)) >= FEWEST_RUNS
                for cell in (a, b)) else None
            ratio, interval, verdict = verdict_of(
                metric, samples(a, metric, library, common), samples(b, metric, library, common))
            changes.append(Change(title, metric, *medians, ratio, interval, verdict))
    return changes, [t for t in old if t not in new], [t for t in new if t not in old]
