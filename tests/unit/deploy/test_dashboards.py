"""The Grafana dashboards: current, whole, and true to the metrics and the alerts."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard, Panel
from grafana_foundation_sdk.models.prometheus import Dataquery

from attest.monitor.alerts import ALERTS, JOB
from attest.monitor.metrics import CATALOGUE
from deploy.grafana.build import COLUMNS, DOCS, files, main
from deploy.grafana.pages import PAGES
from deploy.grafana.panels import STATES
from deploy.grafana.queries import collected_age, condition, token_states, told
from tests.support.dashboards import DASHBOARDS, FOLDER, asked, panels

ROOT = Path(__file__).parents[3]
METRICS = {metric.name: metric for metric in CATALOGUE}
needs_promtool = pytest.mark.requires("promtool", "apt-get install prometheus")
each_dashboard = pytest.mark.parametrize("name", DASHBOARDS)


# -- the files -------------------------------------------------------------------------------------------------------


def test_check__what_is_committed__is_current(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check"]) == 0
    assert capsys.readouterr() == (f"current: {FOLDER}\n", "")
    assert {f"{name}.json" for name in DASHBOARDS} == set(files())


def test_build__another_process__gives_the_same_bytes(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "deploy.grafana.build", "--folder", str(tmp_path)]
    subprocess.run(words, cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": "1"}, check=True)
    for name in files():
        assert (tmp_path / name).read_bytes() == (FOLDER / name).read_bytes()


def test_check__files_were_changed_by_hand__says_in_three_lines_which_and_what_to_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--folder", str(tmp_path)]) == 0
    changed, removed = tmp_path / "bridge.json", tmp_path / "watch.json"
    changed.write_text(changed.read_text("utf-8").replace("3600", "3601"), "utf-8")
    removed.unlink()
    capsys.readouterr()
    assert main(["--check", "--folder", str(tmp_path)]) == 2
    message, _, advice = capsys.readouterr().err.splitlines()
    assert message == f"error: {changed} is not current; {removed} is missing"
    assert "make format" in advice


def test_build__folder_cannot_be_written__says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert main(["--folder", str(tmp_path / "file")]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 3


@each_dashboard
def test_dashboard__read_back_by_the_sdk__is_the_same(name: str) -> None:
    register_default_plugins()
    read = Dashboard.from_json(DASHBOARDS[name])
    assert json.loads(JSONEncoder().encode(read)) == DASHBOARDS[name]
    queries = [query for panel in read.panels or [] if isinstance(panel, Panel) for query in panel.targets or []]
    assert queries
    assert all(isinstance(query, Dataquery) for query in queries)


# -- what is on them -------------------------------------------------------------------------------------------------


def test_dashboards__all__have_an_address_and_a_title_of_their_own() -> None:
    for field in ("uid", "title"):
        assert len({dashboard[field] for dashboard in DASHBOARDS.values()}) == len(DASHBOARDS)
    assert all(re.fullmatch(r"attest-[a-z]+", dashboard["uid"]) for dashboard in DASHBOARDS.values())


@each_dashboard
def test_dashboard__panels__are_numbered_and_stand_side_by_side(name: str) -> None:
    every = DASHBOARDS[name]["panels"]
    assert [panel["id"] for panel in every] == list(range(1, len(every) + 1))
    places = [panel["gridPos"] for panel in every]
    assert all(place["x"] >= 0 and place["x"] + place["w"] <= COLUMNS for place in places)
    for one, other in itertools.combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or above, (one, other)


@each_dashboard
def test_panel__each__asks_a_question_says_what_it_shows_and_in_which_unit(name: str) -> None:
    for panel in panels(name):
        assert panel["title"].endswith("?")
        assert panel["description"].strip()
        defaults = panel["fieldConfig"]["defaults"]
        assert defaults["unit"] in {"none", "locale", "percentunit", "s", "cps", "reqps"}
        assert defaults["noValue"], "no data is said in words"
        if panel["type"] == "timeseries":
            assert defaults["custom"]["axisLabel"]
            assert defaults["custom"]["spanNulls"] is False, "a gap stays a gap"
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])


@each_dashboard
def test_panel__of_amounts__names_base_units_and_begins_at_zero(name: str) -> None:
    for panel in panels(name):
        amounts = re.findall(r"attest_\w+_units\w*", " ".join(target["expr"] for target in panel["targets"]))
        defaults = panel["fieldConfig"]["defaults"]
        if not amounts or defaults["unit"] != "locale":
            continue
        assert "base units" in defaults.get("custom", {}).get("axisLabel", panel["description"])
        # What can be below zero shows that it is.
        if panel["type"] == "timeseries" and "attest_token_reserve_surplus_units" not in amounts:
            assert defaults["min"] == 0


@each_dashboard
def test_panel__with_colours_for_states__says_them_in_words(name: str) -> None:
    for panel in panels(name):
        if panel["type"] == "state-timeline" or panel["options"].get("colorMode") == "background":
            (mapping,) = panel["fieldConfig"]["defaults"]["mappings"]
            words = {value: result["text"] for value, result in mapping["options"].items()}
            assert len(set(words.values())) == len(words) >= 2
            (target,) = panel["targets"]
            if re.search(r"[(\s]attest_|^attest_", target["expr"]) and "stale" not in words.values():
                assert words["-1"] == "not told", "what nobody tells is not what it was"


@each_dashboard
def test_dashboard__each__shows_at_its_head_what_fires_and_how_old_its_numbers_are(name: str) -> None:
    first = panels(name)[:3]
    assert [panel["type"] for panel in first] == ["table", "stat", "stat"]
    assert "Watchdog" in first[0]["targets"][0]["expr"]
    assert "attest_collector_last_success_timestamp_seconds" in first[1]["targets"][0]["expr"]
    assert re.match(r"min\(up\{", first[2]["targets"][0]["expr"])


@each_dashboard
def test_dashboard__its_links__lead_to_pages_and_dashboards_that_there_are(name: str) -> None:
    (others,) = DASHBOARDS[name]["links"]
    assert set(others["tags"]) <= set(DASHBOARDS[name]["tags"])
    linked = set()
    for panel in panels(name):
        for link in panel["links"]:
            page = link["url"].removeprefix("${docs:raw}/")
            assert (ROOT / page).is_file(), page
            assert link["title"] == Path(page).stem
            linked.add(link["title"])
            assert f"**{link['title']}**" in panel["description"]
        for link in panel["fieldConfig"]["defaults"].get("links", []):
            uid = re.match(r"/d/([\w-]+)\?", link["url"])
            assert uid is not None
            assert uid[1] in {dashboard["uid"] for dashboard in DASHBOARDS.values()}
    assert linked


def test_dashboards__every_alert__is_explained_on_one() -> None:
    linked = {link["title"] for name in DASHBOARDS for panel in panels(name) for link in panel["links"]}
    assert linked == set(ALERTS) - {"Watchdog"}


@each_dashboard
def test_dashboard__its_variables__are_those_that_it_uses(name: str) -> None:
    text = json.dumps(DASHBOARDS[name]["panels"])
    declared = {variable["name"] for variable in DASHBOARDS[name]["templating"]["list"]}
    used = set(re.findall(r"\$\{?([a-z]\w*)", text)) - {"__url_time_range", "__all_variables", "__value"}
    assert used == declared
    assert {"datasource", "instance", "docs"} <= declared


# -- metrics ---------------------------------------------------------------------------------------------------------


def used() -> Iterator[tuple[str, str, set[str]]]:
    """Of every query: (panel, metric, labels that it is chosen by)."""
    for query in asked():
        for match in re.finditer(r"\b(attest_\w+)(\{[^}]*\})?", query.expr):
            name = match[1]
            metric = name if name in METRICS else re.sub("_(bucket|sum|count)$", "", name)
            assert metric == name or METRICS[metric].kind == "histogram"
            yield query.title, metric, set(re.findall(r"(\w+)(?:=~|!~|!=|=)\"", match[2] or ""))


def test_queries__metrics_and_labels__are_of_the_catalogue() -> None:
    for title, metric, labels in used():
        assert {"job", "instance"} <= labels, f"{title}: {metric} of any program"
        assert labels - {"job", "instance"} <= set(METRICS[metric].labels), f"{title}: {metric}"


def test_queries__variables__narrow_every_metric_that_has_their_label() -> None:
    for title, metric, labels in used():
        assert {"token", "chain"} & set(METRICS[metric].labels) <= labels, f"{title}: {metric}"


def test_queries__catalogue__is_on_some_dashboard_in_full() -> None:
    shown = {metric for _, metric, _ in used()}
    assert shown == set(METRICS)


@pytest.mark.parametrize(
    ("section", "dashboard"), [("1.1", "vaults"), ("1.2", "tokens"), ("1.3", "bridge"), ("1.4", "sizing")]
)
def test_dashboard__of_a_section__has_every_metric_that_the_runbook_is_mapped_to(section: str, dashboard: str) -> None:
    readme = (ROOT / "docs/alerts/README.md").read_text("utf-8")
    (text,) = re.findall(rf"^### {section} .*?(?=^##)", readme, re.MULTILINE | re.DOTALL)
    named = set()
    for name, braces, inside in re.findall(r"(attest_[a-z0-9_]+)(\{([a-z_,]+)\})?", text):
        # `{a,b}` after an underscore abbreviates names, else it gives labels.
        named |= {f"{name}{each}" for each in inside.split(",")} if braces and name.endswith("_") else {name}
    asks = " ".join(query.expr for query in asked() if query.dashboard == dashboard)
    assert len(named) >= 5
    assert {name for name in named if not re.search(rf"\b{name}(_bucket)?\b", asks)} == set()


def test_queries__histograms__are_read_by_rates_of_their_parts() -> None:
    found = 0
    for query in asked():
        for match in re.finditer(r"(\w+)\((attest_\w+_duration_seconds_\w+)\{", query.expr):
            if re.sub("_(bucket|sum|count)$", "", match[2]) in METRICS:
                found += 1
                assert match[1] == "rate"
                before = query.expr[: match.start()]
                assert match[2].endswith("_bucket") == bool(re.search(r"histogram_quantile\([\d.]+, $", before))
    assert found == 5


def test_legends__labels__are_those_of_what_is_asked() -> None:
    for query in asked():
        metrics = re.findall(r"\battest_\w+", query.expr)
        known = {label for name in metrics if name in METRICS for label in METRICS[name].labels}
        known |= {label for name in METRICS if f"{name}_bucket" in query.expr for label in METRICS[name].labels}
        for label in re.findall(r"\{\{(\w+)\}\}", query.legend):
            assert label in known | {"instance"}, (query.title, label)


# -- limits ----------------------------------------------------------------------------------------------------------


def limits(title: str) -> list[tuple[float | None, str]]:
    """A panel's, wherever it is, with their colours."""
    found = [
        [(step["value"], step["color"]) for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]]
        for name in DASHBOARDS
        for panel in panels(name)
        if panel["title"] == title
    ]
    assert found
    assert all(each == found[0] for each in found)
    return found[0]


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("What is the reserve ratio?", [(None, "red"), (1, "orange"), (1.05, "yellow"), (1.1, "green")]),
        ("How healthy is the worst vault?", [(None, "red"), (1.1, "orange"), (1.2, "green")]),
        ("How much of the debt ceiling is used?", [(None, "green"), (0.9, "orange")]),
        ("How old is the price?", [(None, "green"), (3600, "red")]),
        ("How many transfers arrive?", [(None, "red"), (0.9, "orange"), (0.95, "green")]),
        ("How old are these numbers?", [(None, "green"), (600, "red")]),
        ("How many reports are stale?", [(None, "green"), (1, "orange")]),
        ("How long did a deviation last?", [(None, "green"), (3, "orange")]),
        ("Was a vault liquidated?", [(None, "green"), (1, "orange")]),
        ("Was there a violation?", [(None, "green"), (1, "red")]),
        ("By how much does the reserve exceed the supply?", [(None, "red"), (0, "green")]),
    ],
)
def test_limits__of_panels__are_those_of_the_runbook(title: str, expected: list[tuple[float | None, str]]) -> None:
    assert limits(title) == expected


@each_dashboard
def test_limits__of_alerts_with_a_number__are_drawn_where_their_alert_is_explained(name: str) -> None:
    for panel in panels(name):
        steps = [step["value"] for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]]
        if len(steps) == 1:
            continue  # shown in words, or against another series
        for link in panel["links"]:
            found = condition(link["title"])
            if re.fullmatch(r"[\d.]+", found.right) and found.operator != "==":
                assert found.limit + (found.operator == ">" and found.limit == 0) in steps, panel["title"]


# -- Prometheus ------------------------------------------------------------------------------------------------------


@needs_promtool
def test_queries__all__are_read_by_promtool(tmp_path: Path) -> None:
    every = list(asked())
    assert len(every) > 100
    rules = [{"record": f"asked:{number}", "expr": query.expr} for number, query in enumerate(every)]
    path = tmp_path / "rules.yml"
    path.write_text(json.dumps({"groups": [{"name": "dashboards", "rules": rules}]}))  # JSON is YAML
    done = subprocess.run(["promtool", "check", "rules", path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{len(every)} rules found" in done.stdout


def _series(name: str, labels: str, values: str) -> dict[str, str]:
    return {"series": f'{name}{{job="{JOB}",instance="monitor",{labels}}}', "values": values}


def _token(token: str, surplus: str, quorum: str, collected: str, supply: str) -> list[dict[str, str]]:
    return [
        _series("attest_token_supply_units", f'token="{token}"', supply),
        _series("attest_token_reserve_surplus_units", f'token="{token}"', surplus),
        _series("attest_reserve_oracle_quorum_met", f'token="{token}"', quorum),
        _series("attest_collector_last_success_timestamp_seconds", f'collector="token-{token}"', collected),
    ]


#: A time each minute that is of this minute, and one that stands still after ten.
FRESH, STUCK = "0+60x120", "0+60x10 600x110"
SUPPLY = "100x120"
#: Values of ten minutes, then nothing.
ENDED = "x10 stale"


@needs_promtool
def test_token_states__whatever_happens_to_token_or_exporter__are_never_better_than_they_were(tmp_path: Path) -> None:
    # Values of surplus, quorum, last collection and supply.
    tokens = {
        "Covered": ("0x120", "1x120", FRESH, SUPPLY),
        "Short": ("-1x120", "1x120", FRESH, SUPPLY),
        "NoQuorum": (f"5{ENDED}", "1x10 0x110", FRESH, SUPPLY),
        "ShortThenNoQuorum": (f"-1{ENDED}", "1x10 0x110", FRESH, SUPPLY),
        "Stuck": ("5x120", "1x120", STUCK, SUPPLY),
        "StuckShort": ("-1x120", "1x120", STUCK, SUPPLY),
        "Silent": (f"5{ENDED}", f"1{ENDED}", f"0+60{ENDED}", f"100{ENDED}"),
        "SilentShort": (f"-1{ENDED}", f"1{ENDED}", f"0+60{ENDED}", f"100{ENDED}"),
    }
    expected = {
        5: "sufficient SHORT sufficient SHORT sufficient SHORT sufficient SHORT",
        15: "sufficient SHORT withheld SHORT sufficient SHORT stale SHORT",
        60: "sufficient SHORT withheld SHORT stale SHORT stale SHORT",
    }
    codes = {word: int(code) for code, (word, _) in STATES.items()}
    expr = token_states().replace("$token", ".*")
    checks = [
        {
            "expr": expr,
            "eval_time": f"{minute}m",
            "exp_samples": [
                {"labels": f'{{token="{token}"}}', "value": codes[word]}
                for token, word in zip(tokens, words.split(), strict=True)
            ],
        }
        for minute, words in expected.items()
    ]
    # Its own contract says that it does not suffice, whatever the difference.
    refused = _series("attest_token_reserve_sufficient", 'token="Refused"', "0x120")
    for check in checks:
        check["exp_samples"] = [*check["exp_samples"], {"labels": '{token="Refused"}', "value": codes["SHORT"]}]
    # After a day of silence nothing is said, and nothing is green.
    checks.append({"expr": expr, "eval_time": "1600m", "exp_samples": []})
    told_of = [each for token, values in tokens.items() for each in _token(token, *values)]
    _promtool_test(tmp_path, [*told_of, *_token("Refused", "5x120", "1x120", FRESH, SUPPLY), refused], checks)


@needs_promtool
def test_told__nobody_tells_a_state__is_said_for_a_day_and_not_of_one_that_another_exporter_tells(
    tmp_path: Path,
) -> None:
    gauge = "attest_rpc_up"
    series = [
        _series(gauge, 'chain="main",endpoint="a"', f"1{ENDED}"),
        _series(gauge, 'chain="main",endpoint="b"', "0x120"),
        _series(gauge, 'chain="main",endpoint="c"', f"1{ENDED}"),
        {"series": f'{gauge}{{job="{JOB}",instance="other",chain="main",endpoint="c"}}', "values": "1x120"},
    ]

    def states(**endpoints: int) -> list[dict[str, Any]]:
        return [{"labels": f'{{endpoint="{each}"}}', "value": value} for each, value in endpoints.items()]

    checks = [
        {"expr": f"min by (endpoint) ({told(gauge)})", "eval_time": f"{minute}m", "exp_samples": expected}
        for minute, expected in {
            5: states(a=1, b=0, c=1),
            15: states(a=-1, b=0, c=1),
            1455: states(b=-1, c=-1),
            1570: [],
        }.items()
    ]
    _promtool_test(tmp_path, series, checks)


@needs_promtool
def test_age__exporter_is_dead__grows_on_for_a_day(tmp_path: Path) -> None:
    series = [_series("attest_collector_last_success_timestamp_seconds", 'collector="bridge-USDW"', f"0+60{ENDED}")]
    ages = {5: [0.0], 70: [3600.0], 1440: [85_800.0], 1460: []}
    checks = [
        {
            "expr": f"max({collected_age('bridge-.*|events')})",
            "eval_time": f"{minute}m",
            "exp_samples": [{"labels": "{}", "value": age} for age in expected],
        }
        for minute, expected in ages.items()
    ]
    _promtool_test(tmp_path, series, checks)


def _promtool_test(folder: Path, series: list[dict[str, str]], checks: list[dict[str, Any]]) -> None:
    path = folder / "tests.yml"
    test = {"interval": "1m", "input_series": series, "promql_expr_test": checks}
    path.write_text(json.dumps({"evaluation_interval": "1m", "tests": [test]}))
    done = subprocess.run(["promtool", "test", "rules", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


# -- the documentation -----------------------------------------------------------------------------------------------


def test_docs__every_dashboard__is_listed_and_goes_where_grafana_looks() -> None:
    page = (ROOT / "docs/dashboards.md").read_text("utf-8")
    assert re.findall(r"^\| `([a-z]+)\.json`", page, re.MULTILINE) == [each.name for each in PAGES]
    provider = (FOLDER / "provisioning/dashboards.yml").read_text("utf-8")
    (place,) = re.findall(r"path: (\S+)", provider)
    assert f"cp deploy/grafana/*.json {place}/" in page
    assert DOCS in page
