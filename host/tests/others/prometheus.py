"""Asks a running Prometheus whether it scrapes the host, whether its rules hold, and every question of a Grafana
dashboard: `prometheus.py ADDRESS DASHBOARD`."""

import json
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

PATIENCE = 60


def ask(path, **parameters):
    query = urllib.parse.urlencode(parameters)
    with urllib.request.urlopen(f"{sys.argv[1]}/api/v1/{path}?{query}", timeout=10) as answer:
        return json.load(answer)["data"]


def until(what, holds):
    """Waits until it holds, and is given what it answers then."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            if found := holds():
                return found
        except urllib.error.URLError:
            pass
        time.sleep(0.2)
    sys.exit(f"{what}: not within {PATIENCE} s")


def scraped():
    targets = ask("targets")["activeTargets"]
    return targets and all(target["health"] == "up" for target in targets)


def evaluated():
    rules = [rule for group in ask("rules")["groups"] for rule in group["rules"]]
    wrong = [rule for rule in rules if rule["health"] == "err"]
    if wrong:
        sys.exit(f"rules that fail: {wrong}")
    return rules if all(rule["health"] == "ok" for rule in rules) else None


def questions(dashboard):
    """Grafana's variables as it fills them in, where all is chosen."""
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            question = target["expr"].replace("$__rate_interval", "1m")
            for variable in ("$job", "$instance", "$component"):
                question = question.replace(variable, ".*")
            yield question


until("the host is scraped", scraped)
rules = until("the rules are evaluated", evaluated)
# A rate has two scrapes at least.
until("a rate", lambda: ask("query", query="rate(lectern_http_requests_total[1m])")["result"])
with open(sys.argv[2], encoding="utf-8") as file:
    asked = list(questions(json.load(file)))
answered = [question for question in asked if ask("query", query=question)["result"]]
firing = [rule["name"] for rule in rules if rule["state"] == "firing"]
print(f"prometheus: {len(rules)} rules evaluated, firing: {firing or 'none'}")
print(f"prometheus: {len(asked)} questions of the dashboard asked, {len(answered)} have something to show")
# What nobody did on this host has nothing to show: no webhook, no call of Amazon's.
assert len(answered) >= 30 and not firing
