#!/usr/bin/env python3
"""Prints "passed failed" for the log of a test part: count_tests.py LOG EXIT_STATUS.

Understands cmocka under ctest, pytest, and any program that ends in `N passed, N failed`.  A
command that failed without naming a failed case counts as one failure, so that a crash is never
read as success.
"""
import re
import sys

CMOCKA_OK = re.compile(r"\[       OK \]")
CMOCKA_FAILED = re.compile(r"\[  FAILED  \] +[A-Za-z_]\w*\s*$")
CTEST_TOTAL = re.compile(r"tests passed, (\d+) tests failed out of (\d+)")
SUMMARY_LINE = re.compile(r"\d+ passed, \d+ failed\s*$|\d+ (passed|failed|errors?)\b.* in [\d.]+s")
SUMMARY = re.compile(r"\b(\d+) (passed|failed|errors?)\b")


def counts(text, status):
    passed = failed = 0
    suites = None
    named = set()
    for line in text.splitlines():
        total = CTEST_TOTAL.search(line)
        if total:
            suites = int(total[1])
        elif CMOCKA_OK.search(line):
            passed += 1
        elif CMOCKA_FAILED.search(line):
            named.add(line.split()[-1])
        elif SUMMARY_LINE.search(line):
            for number, what in SUMMARY.findall(line):
                if what == "passed":
                    passed += int(number)
                else:
                    failed += int(number)
    failed += len(named)
    if suites is not None:
        failed = max(failed, suites)
    if status != 0 and failed == 0:
        failed = 1
    if passed == 0 and failed == 0:
        failed = 1
    return passed, failed


if __name__ == "__main__":
    with open(sys.argv[1], errors="replace") as log:
        print(*counts(log.read(), int(sys.argv[2])))
