#!/usr/bin/env python3
# SPDX-License-Identifier: MPL-2.0
"""The judgement of the benchmarks, on made-up figures. Nothing is run or timed."""

import random
import unittest

import check_floors
import comparing
import plotting
import suite
from measuring import Failed


def cell(title="a cell", metric="p50_us", **series):
    return {"title": title, "placement": "unpinned", "metrics": [metric],
            "series": {name.replace("_", "-"): {
                "runs": [None if value is None else {metric: value} for value in values],
                "failures": [], "not_there": False} for name, values in series.items()}}


def noisy(middle, spread, count, seed):
    chance = random.Random(seed)
    return [middle * (1 + spread * chance.uniform(-1, 1)) for _ in range(count)]


class Verdicts(unittest.TestCase):
    def verdict(self, before, after, metric="p50_us", **options):
        changes, _, _ = comparing.compare(
            {"cells": [cell(metric=metric, **before)]}, {"cells": [cell(metric=metric, **after)]},
            **options)
        return changes[0].verdict

    def test_a_clear_change(self):
        old, new = noisy(100, 0.05, 10, 1), noisy(70, 0.05, 10, 2)
        self.assertEqual(self.verdict({"ours": old}, {"ours": new}), comparing.FASTER)
        self.assertEqual(self.verdict({"ours": new}, {"ours": old}), comparing.SLOWER)

    def test_more_is_better_for_rates(self):
        old, new = noisy(100, 0.05, 10, 1), noisy(70, 0.05, 10, 2)
        self.assertEqual(self.verdict({"ours": old}, {"ours": new}, "rate"), comparing.SLOWER)

    def test_cpu_and_memory_are_less_or_more(self):
        old, new = noisy(100, 0.05, 10, 1), noisy(70, 0.05, 10, 2)
        self.assertEqual(self.verdict({"ours": old}, {"ours": new}, "cpu"), comparing.BETTER)
        self.assertEqual(self.verdict({"ours": new}, {"ours": old}, "cpu"), comparing.WORSE)

    def test_noise_is_no_change(self):
        same = sum(self.verdict({"ours": noisy(100, 0.3, 7, 2 * seed)},
                                {"ours": noisy(100, 0.3, 7, 2 * seed + 1)})
                   == comparing.NO_CHANGE for seed in range(40))
        self.assertGreaterEqual(same, 38)

    def test_a_sure_but_tiny_change_is_none(self):
        self.assertEqual(self.verdict({"ours": [100.0] * 8}, {"ours": [101.0] * 8}),
                         comparing.NO_CHANGE)

    def test_a_slower_machine_is_no_change(self):
        """Both libraries took twice as long the second time."""
        old = noisy(100, 0.3, 12, 1)
        before = {"ours": old, "libzmq": [5 * value for value in old]}
        after = {"ours": [2 * value for value in old], "libzmq": [10 * value for value in old]}
        self.assertEqual(self.verdict(before, after), comparing.NO_CHANGE)
        self.assertEqual(self.verdict(before, after, reference=None), comparing.SLOWER)

    def test_too_few_runs(self):
        self.assertEqual(self.verdict({"ours": [1.0] * 3}, {"ours": [2.0] * 9}), comparing.TOO_FEW)

    def test_failed_runs_count_for_nothing(self):
        self.assertEqual(self.verdict({"ours": [10.0, None] * 4}, {"ours": [10.0] * 8}),
                         comparing.NO_CHANGE)
        self.assertEqual(self.verdict({"ours": [10.0] * 8}, {"ours": [None] * 8}),
                         "a figure → not run")

    def test_cells_in_one_file_only(self):
        changes, lost, gained = comparing.compare(
            {"cells": [cell("a", ours=[1.0])]}, {"cells": [cell("b", ours=[1.0])]})
        self.assertEqual((changes, lost, gained), ([], ["a"], ["b"]))


class Values(unittest.TestCase):
    OUTPUT = "".join(f"{line}\n" for line in (
        "messages 1000", "p50_us 5", "server_cpu_us 8000", "server_switches 100",
        "client_cpu_us 6000", "client_switches 50"))

    def test_costs_are_for_each_message(self):
        values = suite.values_of(self.OUTPUT)
        self.assertEqual((values["server_cpu"], values["client_cpu"], values["cpu"]), (8, 6, 14))
        self.assertEqual(values["server_switches"], 0.1)

    def test_two_pairs_at_once(self):
        values = suite.values_of(self.OUTPUT + self.OUTPUT.replace("p50_us 5", "p50_us 7"), 2)
        self.assertEqual((values["p50_us"], values["messages"], values["cpu"]), (6, 2000, 14))

    def test_anything_else_is_a_failure(self):
        for output, copies in (("", 1), ("error in zmq_bind\n", 1), (self.OUTPUT, 2)):
            with self.assertRaises(Failed):
                suite.values_of(output, copies)


class Library:
    def __init__(self, name):
        self.name = name
        self.environment = None


def measured(metric="p50_us", **series):
    """A cell with these runs; a string is the reason of a failure."""
    result = suite.Cell("made up", ["bench_pattern"])
    for name, values in series.items():
        name = name.replace("_", "-")
        result.series[name] = suite.Series(result, Library(name))
        for value in values:
            if isinstance(value, str):
                result.series[name].failures.append(value)
                value = None
            result.series[name].runs.append(None if value is None else {metric: value})
    return result


class Floors(unittest.TestCase):
    def verdict(self, bound, metric="p50_us", other=suite.LIBZMQ, **series):
        return check_floors.Floor("made up", measured(metric, **series), metric, bound,
                                  other).verdict()

    def test_times_are_at_most(self):
        self.assertEqual(self.verdict(0.5, ours=[4, 5, 9], libzmq=[10, 10, 10]), "met")
        self.assertEqual(self.verdict(0.5, ours=[4, 6, 9], libzmq=[10, 10, 10]), "SHORT")

    def test_rates_are_at_least(self):
        self.assertEqual(self.verdict(2, "rate", ours=[21], libzmq=[10]), "met")
        self.assertEqual(self.verdict(2, "rate", ours=[19], libzmq=[10]), "SHORT")

    def is_open(self, bound, **series):
        return check_floors.Floor("made up", measured("rate", **series), "rate", bound).is_open()

    def test_noise_leaves_a_floor_open(self):
        theirs = [10.0] * 9
        self.assertTrue(self.is_open(2, ours=noisy(20, 0.3, 9, 1), libzmq=theirs))
        self.assertFalse(self.is_open(2, ours=noisy(30, 0.3, 9, 1), libzmq=theirs))
        self.assertFalse(self.is_open(2, ours=noisy(13, 0.3, 9, 1), libzmq=theirs))
        self.assertFalse(self.is_open(2, ours=[20.0], libzmq=[10.0]))

    def test_a_floor_of_its_own(self):
        self.assertEqual(self.verdict(5, other=None, ours=[4.9]), "met")
        self.assertEqual(self.verdict(5, other=None, ours=[5.1]), "SHORT")

    def test_ratios_are_within_a_round(self):
        # The medians alone would say 2 / 10.
        self.assertEqual(self.verdict(0.5, ours=[1, 2, 30], libzmq=[10, 2, 30]), "SHORT")

    def test_a_failure_is_never_a_figure(self):
        self.assertEqual(self.verdict(0.5, ours=[1, "crashed", 1], libzmq=[9, 9, 9]), "FAILED")
        self.assertEqual(self.verdict(0.5, ours=[1, 1], libzmq=["crashed", None]), "no ratio")

    def test_text(self):
        series = measured(ours=["crashed"], libzmq=[3.0, "crashed", 5.0]).series
        self.assertEqual(series["ours"].text("p50_us"), "FAILED")
        self.assertEqual(series["libzmq"].text("p50_us"), "4.00, 1 FAILED")


class Curves(unittest.TestCase):
    def test_what_is_drawn(self):
        def point(size, clients):
            return {**cell(metric="rate", ours=[1.0, 2.0]), "mode": "throughput", "size": size,
                    "pattern": "pub_sub", "transport": "tcp", "clients": clients}
        panels = plotting.panels([point(64, 1), point(64, 10), point(1024, 1),
                                  cell("no pattern", ours=[1.0])])
        self.assertEqual(
            sorted((panel.along, sorted(panel.lines["ours"])) for panel in panels),
            [("message size, B", [64, 1024]), ("subscribers", [1, 10])])


if __name__ == "__main__":
    outcome = unittest.main(exit=False, verbosity=0).result
    bad = len(outcome.failures) + len(outcome.errors)
    print(f"{outcome.testsRun - bad} passed, {bad} failed, {len(outcome.skipped)} skipped")
    raise SystemExit(1 if bad else 0)
