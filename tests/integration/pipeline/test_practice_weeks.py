"""Weeks that share a practice chain do not disturb each other."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from attest.secrets import resolve
from attest.signing.transaction import decode, open_transaction_signer
from tests.support.practice import week


def test_week__transaction_left_waiting__is_not_mined_in_the_next(network: tuple[Path, str], tmp_path: Path) -> None:
    template, url = network
    with week(template, url, tmp_path / "first") as first:
        first.run()
        reports = [json.loads(data)["raw"] for key, data in first.stored().items() if key.startswith("tx/")]
    sent = [decode(bytes.fromhex(raw)) for raw in reports]
    last, sender = max((each for each in sent if each[0].nonce > 0), key=lambda each: each[0].nonce)
    number = next(n for n in (1, 2, 3) if (template / f"keys/reporter-{n}.json").read_text().find(sender[2:]) > 0)
    password = resolve("file:keys/password.txt", base=template)
    signer = open_transaction_signer(
        f"keystore:keys/reporter-{number}.json", address=sender, password=password, base=template
    )
    with week(template, url, tmp_path / "second") as second:
        dearer = replace(
            last,
            max_fee_per_gas=2 * last.max_fee_per_gas,
            max_priority_fee_per_gas=2 * last.max_priority_fee_per_gas,
        )
        second.rpc("eth_sendRawTransaction", f"0x{signer.sign_transaction(dearer).hex()}")
        assert second.rpc("txpool_status") == {"pending": "0x0", "queued": "0x1"}

    with week(template, url, tmp_path / "third") as third:
        assert third.run().exit_code == 0
