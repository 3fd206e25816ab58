"""``attest keys rotate reporter`` on a real chain: grant, switch, revoke; stopped anywhere, nothing twice."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from eth_account import Account

from attest import config
from attest.chain.contracts import reserve_oracle
from attest.chain.devnet import dev_key
from attest.errors import EXIT_CHAIN, EXIT_DONE, EXIT_USAGE
from attest.signing.keystore import KeystoreSigner, write_keystore
from tests.support.commands import Said, attest, attest_process
from tests.support.practice import Week
from tests.support.spoiling import change_role, report_reserve

PASSWORDS = {"NEW_PASSWORD": "canary-new", "ADMIN_PASSWORD": "canary-admin"}


@dataclass
class Walk:
    """A practice network whose first reporter is replaced by its admin."""

    week: Week
    old: str
    new: KeystoreSigner
    admin: KeystoreSigner

    def rotate(self, *words: object, old: str | None = None) -> Said:
        return attest(*self.words(*words, old=old), environment=PASSWORDS)

    def words(self, *words: object, old: str | None = None, admin: str | None = None) -> tuple[object, ...]:
        return (
            *("keys", "rotate", "reporter", old or self.old, "--new", "keystore:keys/new.json"),
            *("--new-password", "env:NEW_PASSWORD", "--admin", "keystore:keys/admin.json"),
            *("--admin-password", "env:ADMIN_PASSWORD", "--admin-address", admin or self.admin.address),
            *("--config", self.week.config_path, *words),
        )

    def switch(self) -> None:
        """What the command asks for: the old table out, the printed one in."""

        def change(text: str) -> str:
            table = rf'\[\[signing\.reporters\]\]\nuri = "[^"]*"\naddress = "{self.old}"\npassword = "[^"]*"\n'
            lines = (
                f'[[signing.reporters]]\nuri = "keystore:keys/new.json"\naddress = "{self.new.address}"\n'
                'password = "env:NEW_PASSWORD"\n'
            )
            assert re.search(table, text)
            return re.sub(table, lines, text)

        self.week.edit_config(change)

    def holds(self, address: str) -> bool:
        known = config.load(self.week.config_path).config
        call = reserve_oracle(known.oracle, self.week.folder).has_role("REPORTER_ROLE", address)
        method, parameters = call.at_latest()
        return bool(call.decode(bytes.fromhex(self.week.rpc(method, *parameters)[2:])))

    def sent(self) -> int:
        """How many transactions the admin has sent."""
        return int(self.week.rpc("eth_getTransactionCount", self.admin.address, "latest"), 16)

    def journal(self) -> list[str]:
        return [key for key in self.week.stored() if key.startswith("tx/")]


@pytest.fixture
def walk(operator: Week) -> Walk:
    keys = operator.folder / "keys"
    new = write_keystore(keys / "new.json", bytes(Account.create().key), PASSWORDS["NEW_PASSWORD"], n=2)
    admin_key = bytes.fromhex(dev_key(0)[2:])
    admin = write_keystore(keys / "admin.json", admin_key, PASSWORDS["ADMIN_PASSWORD"], n=2)
    old = config.load(operator.config_path).config.signing.reporters[0].address
    return Walk(operator, old, new, admin)


def states(said: Said) -> list[tuple[str, str]]:
    return [(step["step"], step["state"]) for step in said.document["steps"]]


def test_rotate__by_script__grants_waits_for_the_switch_then_revokes_and_is_done(walk: Walk) -> None:
    begun = walk.sent()
    first = walk.rotate("--yes", "--json")
    assert (first.code, states(first)) == (EXIT_DONE, [("grant", "done"), ("switch", "open")])
    assert not first.document["complete"]
    assert (walk.holds(walk.old), walk.holds(walk.new.address)) == (True, True)
    again = walk.rotate("--yes", "--json")
    assert states(again) == [("grant", "done"), ("switch", "open")]
    assert walk.sent() == begun + 1

    walk.switch()
    last = walk.rotate("--yes", "--json")
    assert states(last) == [("grant", "done"), ("switch", "done"), ("revoke", "done")]
    assert last.document["complete"]
    assert last.document["needs_gas"]
    walk.week.rpc("anvil_setBalance", walk.new.address, "0x1")
    assert (walk.holds(walk.old), walk.holds(walk.new.address)) == (False, True)
    walk.week.rpc("evm_mine")
    once_more = walk.rotate("--yes", "--json").document
    assert (once_more["complete"], once_more["needs_gas"]) == (True, False)
    walk.week.edit_config(lambda text: text.replace('kind = "legacy"', 'kind = "free"'))
    assert "warning" not in walk.rotate("--yes").out
    assert walk.sent() == begun + 2
    assert len(walk.journal()) == 2

    tested = attest("keys", "test", "reporter", "--config", walk.week.config_path, environment=PASSWORDS)
    assert tested.code == EXIT_DONE


def test_rotate__dry_run__shows_both_transactions_and_leaves_no_trace(walk: Walk) -> None:
    before = walk.sent()
    said = walk.rotate("--dry-run")
    assert said.code == EXIT_DONE, said.everything
    for shown in (
        f"grantRole(REPORTER_ROLE, {walk.new.address})",
        f"revokeRole(REPORTER_ROLE, {walk.old})",
        f"from   {walk.admin.address}",
        "gas    ",
        "would-land",
        f'address = "{walk.new.address}"',
    ):
        assert shown in said.out
    assert walk.sent() == before
    assert walk.week.stored() == {}


def test_rotate__asked_step_by_step__no_means_nothing_is_sent(walk: Walk) -> None:
    said = attest_process(*walk.words(), environment=PASSWORDS, stdin="n\n")
    assert said.code == EXIT_DONE, said.everything
    assert "Send it?" in said.err
    assert walk.journal() == []
    said = attest_process(*walk.words(), environment=PASSWORDS, stdin="y\ny\n")
    assert "landed in 0x" in said.out
    assert len(walk.journal()) == 1  # "Is it replaced?" was answered yes, and was not so
    assert walk.holds(walk.old)


def test_rotate__compromised__revokes_before_anything_else(walk: Walk) -> None:
    said = walk.rotate("--yes", "--compromised", "--json")
    assert states(said) == [("revoke", "done"), ("grant", "done"), ("switch", "open")]
    assert (walk.holds(walk.old), walk.holds(walk.new.address)) == (False, True)


def test_rotate__stopped_before_it_was_mined__sends_the_same_transaction(walk: Walk) -> None:
    walk.week.edit_config(lambda text: text.replace("read_quorum = 1", "read_quorum = 1\nconfirm_timeout_seconds = 1"))
    walk.week.rpc("evm_setAutomine", False)
    try:
        stopped = walk.rotate("--yes", "--json")
        assert (stopped.code, stopped.document["code"]) == (EXIT_CHAIN, "not-confirmed")
    finally:
        walk.week.rpc("evm_setAutomine", True)
    walk.week.rpc("evm_mine")
    before = walk.sent()
    assert states(walk.rotate("--yes", "--json"))[0] == ("grant", "done")
    assert walk.sent() == before
    assert len(walk.journal()) == 1


def test_rotate__undone_since__is_granted_again(walk: Walk) -> None:
    walk.rotate("--yes", "--json")
    oracle = config.load(walk.week.config_path).config.oracle.address
    change_role(walk.week, oracle, "revokeRole", "REPORTER_ROLE", walk.new.address)
    assert states(walk.rotate("--yes", "--json"))[0] == ("grant", "done")
    assert walk.holds(walk.new.address)
    assert len(walk.journal()) == 2


def test_rotate__who_is_not_the_admin__learns_it_before_anything_is_signed(walk: Walk) -> None:
    stranger = walk.words("--yes", "--json", admin=walk.new.address)
    said = attest(*stranger, environment=PASSWORDS)
    assert (said.code, said.document["code"]) == (EXIT_CHAIN, "would-revert")
    rehearsed = attest(*walk.words("--dry-run", "--json", admin=walk.new.address), environment=PASSWORDS)
    assert rehearsed.code == rehearsed.document["exit_code"] == EXIT_CHAIN
    assert walk.journal() == []


def test_rotate__other_key_than_the_admins__is_refused(walk: Walk) -> None:
    words = [word if word != "keystore:keys/admin.json" else "keystore:keys/new.json" for word in walk.words("--yes")]
    words[words.index("env:ADMIN_PASSWORD")] = "env:NEW_PASSWORD"
    said = attest(*words, "--json", environment=PASSWORDS)
    assert (said.code, said.document["code"]) == (EXIT_USAGE, "signer-mismatch")
    assert walk.journal() == []


def test_rotate__wrong_addresses__are_refused(walk: Walk) -> None:
    def refused(*words: object, old: str | None = None) -> str:
        said = walk.rotate("--dry-run", "--json", *words, old=old)
        assert said.code == EXIT_USAGE
        return str(said.document["code"])

    assert refused(old="0x12") == "usage"
    assert refused(old=walk.admin.address) == "no-such-key"
    assert refused(old=walk.new.address) == "key-in-use"
    assert refused("--new", "keystore:keys/publisher.json", "--new-password", "file:keys/password.txt") == "key-in-use"
    assert refused("--new-address", walk.admin.address) == "signer-mismatch"
    asked = attest(*walk.words("--json"), environment=PASSWORDS)
    assert (asked.code, json.loads(asked.out)["code"]) == (EXIT_USAGE, "usage")


def test_rotate__quorum_that_hangs_on_the_old_key__is_warned_of(walk: Walk) -> None:
    report_reserve(walk.week, "USDW", (0, 1))
    said = walk.rotate("--dry-run", "--json")
    revoke = said.document["steps"][-1]
    assert (revoke["step"], revoke["loses_quorum"]) == ("revoke", ["USDW"])
    assert "USDW has no quorum" in walk.rotate("--dry-run").out


def test_rotate__new_address_given__is_opened_and_tested(walk: Walk, tmp_path: Path) -> None:
    said = walk.rotate("--dry-run", "--json", "--new-address", walk.new.address.lower())
    assert (said.code, said.document["new"]) == (EXIT_DONE, walk.new.address)
