"""docs/contracts.md names every function and declares every event of the contracts it describes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from attest.chain.artifact import artifact, input_types
from attest.monitor.alerts import ALERTS
from attest.scenarios import SITUATIONS

PAGE = Path(__file__).parents[3].joinpath("docs/contracts.md").read_text()
#: What OpenZeppelin's AccessControl and Pausable bring.
INHERITED = {
    *("DEFAULT_ADMIN_ROLE", "getRoleAdmin", "grantRole", "hasRole", "renounceRole", "revokeRole", "supportsInterface"),
    *("RoleAdminChanged", "RoleGranted", "RoleRevoked", "Paused", "Unpaused", "paused"),
}
DESCRIBED = re.findall(r"^## ([A-Z][A-Za-z]+)$", PAGE, re.MULTILINE)


def section(name: str) -> str:
    return PAGE.split(f"\n## {name}\n")[1].split("\n## ")[0]


def test_page__describes_every_contract_that_own_chain_does_not() -> None:
    folder = Path(__file__).parents[3] / "attest/chain/artifacts"
    assert {path.stem for path in folder.glob("*.json")} == {
        *DESCRIBED,
        "ReserveOracle",
        "WToken",
        "AttestationRegistry",
    }


@pytest.mark.parametrize("name", DESCRIBED)
def test_section__names_every_function_and_no_other(name: str) -> None:
    names = {entry["name"] for entry in artifact(name).abi if entry["type"] == "function"}
    text = section(name)
    missing = {function for function in names - INHERITED if f"`{function}" not in text}
    assert missing == set()
    called = set(re.findall(r"`([A-Za-z0-9]+)\(", text))
    assert called <= names


@pytest.mark.parametrize("name", DESCRIBED)
def test_section__declares_every_event_and_no_other(name: str) -> None:
    declared = set(re.findall(r"^    ([A-Za-z0-9]+\(.*\))$", section(name), re.MULTILINE))
    events = set()
    for entry in artifact(name).abi:
        if entry["type"] == "event" and entry["name"] not in INHERITED:
            parameters = zip(input_types(entry), entry["inputs"], strict=True)
            said = (f"{kind}{' indexed' if i['indexed'] else ''} {i['name']}" for kind, i in parameters)
            events.add(f"{entry['name']}({', '.join(said)})")
    assert declared == events


def test_situations__are_listed_with_what_they_are_and_the_alerts_they_raise() -> None:
    listed = re.findall(r"^\| `([a-z-]+)` \| (.*) \| (.*) \|$", section("Situations to look at"), re.MULTILINE)
    assert [row for row in listed if row[0] in SITUATIONS] == [
        (name, situation.title, ", ".join(sorted(situation.alerts)) or "none") for name, situation in SITUATIONS.items()
    ]
    assert {alert for situation in SITUATIONS.values() for alert in situation.alerts} <= set(ALERTS)
