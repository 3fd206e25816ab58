"""The table of alerts: complete by the design, tested at its edges, with pages and commands that exist."""

from __future__ import annotations

import re
import shlex
from fractions import Fraction
from pathlib import Path

import click
import pytest

from attest.chain.artifact import artifact, input_types
from attest.cli.main import cli
from attest.monitor.alerts import ALERTS, GROUPS, INCIDENTS, Alert
from attest.monitor.rules import RULES_FILE, duration, files, page, rules
from tests.support.commands import attest
from tests.support.rule_cases import ABSENT, STORIES, Story

ROOT = Path(__file__).parents[3]
README = (ROOT / "docs/alerts/README.md").read_text(encoding="utf-8")

#: What was agreed: alert, severity, incident class, seconds.
AGREED = """
ReserveShortfall critical P0 0 | OnchainReserveInsufficient critical P0 0 | MoneyMultiplierViolation critical P0 0
ReserveRatioLow warning P1 300 | ReserveRatioBelow110 info P2 900 | OracleQuorumNotMet critical P1 120
ReserveReportStale warning P3 300 | SingleOracleFailure warning P2 600
VaultHealthLow warning P3 300 | VaultHealthCritical critical P2 0 | DebtCeilingHigh warning P3 300
PriceOracleStale critical P2 0 | PriceOracleFrozen critical P1 0 | VaultLiquidation warning P3 0
BridgeSuccessRateLow warning P2 300 | BridgeSuccessRateCritical critical P1 300 | BridgeSettlementSlow warning P3 300
BridgeTransferPending warning P3 300 | BridgeReserveVerificationFailed critical P1 0
BridgeComplianceViolation critical P1 0 | BridgeBufferLow warning P3 300 | BridgeBufferBreachSoon critical P1 300
CrossChainParityBroken warning P3 300
ReserveBelowPxT critical P1 0 | ReserveBelowSafetyPxT warning P3 900 | CantileverThroughputLow warning P3 300
TwapDeviationSustained warning P3 0 | StabilizerBlockCapExceeded critical P1 0 | FlashDrainRecoverySlow warning P3 0
ComplianceViolation critical P0 0 | RoleDrift critical P1 0 | RoleChanged warning P3 0 | RoleUnused info P3 0
MultisigWeakened critical P1 0
ChainHalted critical P0 60 | ValidatorNotProducing critical P1 120 | RpcEndpointDown critical P1 120
RpcLatencyHigh warning P3 600 | RpcErrorRateHigh warning P3 600 | RpcProvidersDisagree critical P1 60
RpcEndpointLagging warning P3 120 | UnreadableLogs warning P3 300 | ClockSkew warning P3 300
OraclePublisherErrors warning P3 0 | OracleCircuitBreakerOpen critical P1 60
CollectorStale critical P1 0 | IndexerLagging warning P3 600 | DeepReorg critical P1 0 | MetricsAbsent critical P1 300
TargetDown critical P1 180 | Watchdog none none 0 | DailyCheckMissing warning P3 0
WeeklyAttestationMissing critical P1 0 | WeeklyReportMissing warning P3 0 | MonthlyReviewMissing warning P3 0
"""


def _told(stories: tuple[Story, ...], alert: str) -> list[Story]:
    return [story for story in stories if story.alert == alert]


ALL_STORIES = (*STORIES, *(story for group in ABSENT for story in group))
each_alert = pytest.mark.parametrize("alert", ALERTS.values(), ids=list(ALERTS))


def test_alerts__all__are_those_agreed() -> None:
    agreed = {tuple(entry.split()) for entry in re.split(r"[|\n]", AGREED) if entry.strip()}
    assert {(a.name, a.severity, a.incident, str(a.for_seconds)) for a in ALERTS.values()} == agreed
    assert sum(map(len, GROUPS.values())) == len(ALERTS) == len(agreed)


@each_alert
def test_alerts__each__has_stories_in_which_it_fires_and_in_which_it_does_not(alert: Alert) -> None:
    stories = _told(ALL_STORIES, alert.name)
    assert any(story.fires for story in stories)
    # Only what always fires has no quiet minute.
    assert any(story.fires and story.quiet for story in stories) == (alert.name != "Watchdog")


def test_alerts__p0__has_a_story_with_a_dead_exporter_that_does_not_end_it() -> None:
    for alert in ALERTS.values():
        if alert.incident == "P0":
            dead = [story for story in _told(ALL_STORIES, alert.name) if "dead" in story.what]
            assert len(dead) == 1
            assert len(dead[0].fires) > 2


@each_alert
def test_alerts__each__tells_what_to_type_and_when_to_call(alert: Alert) -> None:
    assert len({command for command, _ in alert.commands}) == 3
    assert all(about and "\n" not in command for command, about in alert.commands)
    assert alert.means.endswith((".", ")"))
    assert alert.escalate.endswith(".")
    assert alert.summary.endswith(".")
    assert "\n" not in alert.summary
    assert alert.section
    assert INCIDENTS[alert.incident]
    assert (alert.keep_firing_seconds > 0) == (alert.severity == "critical")


@pytest.mark.parametrize(
    "line",
    sorted({command for alert in ALERTS.values() for command, _ in alert.commands if command.startswith("attest ")}),
)
def test_alerts__command_of_ours__is_understood(line: str) -> None:
    # Numbers that a person fills in.
    words = shlex.split(re.sub(r"\$\w+", "1", line))[1:]
    command: click.Command = cli
    context = click.Context(cli)
    while isinstance(command, click.Group):
        found = command.get_command(context, words.pop(0))
        assert found is not None
        command = found
    command.make_context("attest", words)  # refuses options that there are not


#: The reference contract at the address that a variable holds.
CONTRACTS = {
    "BRIDGE_REGISTRY": "BridgeRegistry",
    "BRIDGE_VAULT": "BridgeEscrowVault",
    "LEDGER_ADDRESS": "Ledger",
    "LIQUIDATION_ADDRESS": "Liquidation",
    "MINT_CONTROLLER": "MintController",
    "RESERVE_ORACLE": "ReserveOracle",
    "STABILIZER": "Stabilizer",
    "TOKEN_ADDRESS": "WToken",
    "XAU_ORACLE": "XAUOracle",
}
TYPED = sorted({command for alert in ALERTS.values() for command, _ in alert.commands})
CALLS = [line for line in TYPED if re.match(r"cast (call|send) \$(?!MULTISIG)", line)]


@pytest.mark.parametrize("line", CALLS, ids=str)
def test_alerts__call_by_cast__is_of_a_function_of_the_reference_contracts_and_its_results(line: str) -> None:
    asked = re.match(r'cast (call|send) \$(\w+) "(\w+)\(([^)]*)\)(?:\(([^)]*)\))?" (.*)--rpc-url \$RPC_URL$', line)
    assert asked is not None
    kind, variable, name, types, results, arguments = asked.groups()
    abi = [each for each in artifact(CONTRACTS[variable]).abi if each.get("name") == name]
    (function,) = [each for each in abi if ",".join(input_types(each)) == types]
    assert (function["stateMutability"] == "view") == (kind == "call")
    if kind == "call":
        assert results == ",".join(each["type"] for each in function["outputs"])
    # A substitution is one word.
    assert len(shlex.split(re.sub(r"\$\([^)]*\)", "1", arguments))) == len(function["inputs"])


#: What the incident runbook types, with the namespace and labels of its network.
INCIDENT = re.compile(
    r"kubectl (get pods -n besu-network -l (component=validator|component=rpc|app=oracle-publisher)"
    r"|logs -n besu-network (\$VALIDATOR_POD|\$ORACLE_POD|-l component=rpc) --tail=200"
    r"|describe pod \$VALIDATOR_POD -n besu-network"
    r"|top pod (\$VALIDATOR_POD -n besu-network|-n besu-network -l component=rpc))"
)


def test_alerts__commands__are_of_programs_that_the_readme_or_the_runbooks_name() -> None:
    programs = {line.split()[0] for line in TYPED}
    assert programs == {"amtool", "attest", "cast", "curl", "journalctl", "kubectl", "systemctl", "timedatectl"}
    assert all(INCIDENT.fullmatch(line) for line in TYPED if line.startswith("kubectl "))


def test_readme__variables__are_those_of_the_commands() -> None:
    rows = [line.split("|")[1] for line in README.splitlines() if line.startswith("| `") and line.count(" | ") >= 2]
    explained = {name for row in rows for name in re.findall(r"`([A-Z][A-Z0-9_]+|[A-Z])`", row)}
    assert explained == {name for line in TYPED for name in re.findall(r"\$(\w+)", line)}


# -- what the exporter exposes ---------------------------------------------------------------------------------------

#: Labels that Prometheus or the rule itself adds.
ADDED = {"instance", "job", "metric"}


def _metrics(alert: Alert) -> set[str]:
    return {re.sub(r"_bucket$", "", name) for name in re.findall(r"\battest_\w+", alert.expr)}


@each_alert
def test_alerts__each__needs_only_what_the_exporter_exposes(alert: Alert) -> None:
    exposed = {each.name: each.labels for each in pytest.importorskip("attest.monitor.metrics").CATALOGUE}
    assert _metrics(alert) <= exposed.keys()
    shown = set(re.findall(r"\$labels\.(\w+)", alert.summary))
    assert shown <= ADDED.union(*(exposed.get(name, ()) for name in _metrics(alert)))


def test_readme__metrics_named__are_of_alerts_or_exposed() -> None:
    exposed = {each.name for each in pytest.importorskip("attest.monitor.metrics").CATALOGUE}
    named = set()
    for name, braces, rest in re.findall(r"(?<!FROM )(attest_[a-z0-9_]+)(\{([a-z_,]+)\})?", README):
        # `{a,b}` after an underscore abbreviates names, else it gives labels.
        named |= {f"{name}{each}" for each in rest.split(",")} if braces and name.endswith("_") else {name}
    assert named <= exposed


# -- generated files -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "text"), files().items(), ids=list(files()))
def test_files__generated__are_current(name: str, text: str) -> None:
    assert (ROOT / name).read_text(encoding="utf-8") == text, "attest alerts --write ."


def test_files__pages__are_of_alerts_that_there_are() -> None:
    pages = {path.stem for path in (ROOT / "docs/alerts").glob("*.md")}
    assert pages == {*ALERTS, "README", "all"}


@each_alert
def test_rules__each__links_to_a_page_that_is_there(alert: Alert) -> None:
    assert f'runbook_url: "{alert.page}"' in rules()
    assert page(alert).startswith(f"# {alert.name}\n")
    assert (ROOT / alert.page).is_file()


def test_rules__faster__divides_every_time_and_nothing_else() -> None:
    slow, fast = rules().splitlines(), rules(60).splitlines()
    changed = [
        (a.strip(), b.strip())
        for a, b in zip(slow, [each for each in fast if "# Every" not in each], strict=True)
        if a != b
    ]
    assert {a.split(":")[0] for a, _ in changed} == {"for", "keep_firing_for"}
    assert set(changed) >= {
        ("for: 5m", "for: 5s"),
        ("for: 15m", "for: 15s"),
        ("keep_firing_for: 5m", "keep_firing_for: 5s"),
    }
    with pytest.raises(ValueError, match="1 or more"):
        rules(0)


def test_rules__rehearsal__leaves_out_what_is_on_the_work_of_people_and_timers() -> None:
    named = re.compile(r"^ +- alert: (\w+)$", re.MULTILINE)
    left_out = set(named.findall(rules())) - set(named.findall(rules(60, rehearsal=True)))
    assert left_out == {"DailyCheckMissing", "WeeklyAttestationMissing", "WeeklyReportMissing", "MonthlyReviewMissing"}
    assert {line for line in rules(60, rehearsal=True).splitlines() if line.startswith("# ")} >= {
        f"# {name}" for name in left_out
    }


@pytest.mark.parametrize(("seconds", "written"), [(60, "1m"), (90, "90s"), (900, "15m"), (1, "1s")])
def test_duration__whole__is_in_the_largest_unit(seconds: int, written: str) -> None:
    assert duration(Fraction(seconds)) == written
    assert duration(Fraction(seconds, 7 * seconds)) == "143ms"


# -- the runbook's lines ---------------------------------------------------------------------------------------------


def test_readme__alerts_named__are_there_and_every_alert_is_named() -> None:
    named = set(re.findall(r"\]\((\w+)\.md\)", README)) - {"all"}
    assert named == set(ALERTS)


def test_readme__rules_file_named__is_there() -> None:
    assert RULES_FILE in README
    assert "deploy/alertmanager/alertmanager.yml" in README


# -- the command -----------------------------------------------------------------------------------------------------


def test_command__no_name__lists_all() -> None:
    said = attest("alerts")
    assert said.code == 0
    assert all(f"  {name}" in said.out for name in ALERTS)
    assert max(map(len, said.out.splitlines())) <= 80
    assert set(attest("alerts", "--json").document) == set(ALERTS)


def test_command__name__tells_what_it_means() -> None:
    assert attest("alerts", "ChainHalted").out == page(ALERTS["ChainHalted"])
    told = attest("alerts", "ChainHalted", "--json").document
    assert told["ChainHalted"]["incident"] == "P0"
    assert told["ChainHalted"]["for_seconds"] == 60


def test_command__rules__prints_them() -> None:
    assert attest("alerts", "--rules").out == rules()
    assert attest("alerts", "--rules", "--faster", "60").out == rules(60)


def test_command__write_then_check__is_current_until_a_file_differs(tmp_path: Path) -> None:
    (tmp_path / "deploy/prometheus").mkdir(parents=True)
    (tmp_path / "docs/alerts").mkdir(parents=True)
    assert attest("alerts", "--check", tmp_path).code == 2
    assert attest("alerts", "--write", tmp_path).code == 0
    assert attest("alerts", "--check", tmp_path, "--json").document["files"] == sorted(files())
    (tmp_path / RULES_FILE).write_text("groups: []\n", encoding="utf-8")
    said = attest("alerts", "--check", tmp_path)
    assert said.code == 2
    assert "attest.rules.yml is not current" in said.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("NoSuchAlert",), "there is no alert 'NoSuchAlert'"),
        (("ChainHalted", "--rules"), "give one of"),
        (("--faster", "60"), "--faster goes with --rules"),
        (("--rules", "--faster", "0"), "is not in the range"),
    ],
)
def test_command__nonsense__is_refused(words: tuple[str, ...], says: str) -> None:
    said = attest("alerts", *words)
    assert said.code == 2
    assert says in said.err
