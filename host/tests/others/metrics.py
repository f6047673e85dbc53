"""Reads metrics from stdin with Prometheus' own client, strictly, and prints each family's type and names."""

import sys

from prometheus_client import parser
from prometheus_client.openmetrics import parser as openmetrics

PARSERS = {
    "openmetrics": openmetrics.text_string_to_metric_families,
    "text": parser.text_string_to_metric_families,
}

text = sys.stdin.read()
for family in PARSERS[sys.argv[1]](text):
    names = sorted({sample.name for sample in family.samples})
    print(family.type, family.name, *names)
