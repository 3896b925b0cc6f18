"""Measures this project beside plain requests and urllib3 and the other recorders.

``make bench``, or ``python -m tests.benchmarks --help``. Each contestant lives in a child process
of its own, since some patch ``http.client`` when imported; within a round they take turns, one at
a time, and what is reported are the ratios of times of one round.
"""
