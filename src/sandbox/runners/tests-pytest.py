"""Runs the files it is given, or all tests below the working directory, with pytest. A child of tests.ts, which it tells of each case."""

import json
import os
import sys

import pytest

CASES = 4
MOST_TEXT = 4000


def report(file, name, status, seconds=0.0, message=""):
    case = {"file": os.path.abspath(file), "name": name, "status": status, "durationMs": round(seconds * 1000, 3)}
    if message:
        # Where the interpreter lives on the host is nobody's business.
        text = message.replace(sys.prefix, "").replace(sys.base_prefix, "")
        case["message"] = text[-MOST_TEXT:]
    data = memoryview((json.dumps(case) + "\n").encode("utf-8", "replace"))
    while data:
        data = data[os.write(CASES, data) :]


class Reporter:
    def __init__(self):
        self.seconds = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport):
        """A case is one item; its set-up and tear-down are told only when they decide what became of it."""
        seconds = self.seconds.get(report.nodeid, 0.0) + report.duration
        self.seconds[report.nodeid] = seconds
        decides = report.when == "call" or not report.passed
        if decides and not (report.when == "teardown" and report.skipped):
            self.tell(report, seconds)

    def tell(self, item, seconds):
        status = item.outcome if item.when == "call" or item.skipped else "error"
        if hasattr(item, "wasxfail"):
            status = "skipped" if item.skipped else "passed"
        text = item.longreprtext if item.failed else reason(item)
        report(item.location[0], item.nodeid.split("::")[1:], status, seconds, text)

    def pytest_collectreport(self, report: pytest.CollectReport):
        if report.failed:
            report_collection(report)


def report_collection(item):
    file, *rest = item.nodeid.split("::")
    report(file, rest or ["the file"], "error", 0.0, item.longreprtext)


def reason(item):
    if hasattr(item, "wasxfail"):
        return item.wasxfail
    return str(item.longrepr[2]) if isinstance(item.longrepr, tuple) else ""


# As `python -m pytest` does: tests import what lies beside them.
sys.path.insert(0, os.getcwd())
OPTIONS = ["-p", "no:cacheprovider", "--rootdir", ".", "--color=no", "--continue-on-collection-errors"]
sys.exit(pytest.main([*OPTIONS, *sys.argv[1:]], plugins=[Reporter()]))
