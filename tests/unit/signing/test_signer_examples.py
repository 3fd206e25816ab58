"""The examples of keys that are kept elsewhere are read as they stand."""

from __future__ import annotations

import tomllib
from pathlib import Path

from attest.config import Signing
from attest.log.note import parse_vkey
from attest.signing import pkcs11, web3signer

FOLDER = Path(__file__).parents[3] / "keys.example"


def test_pkcs11_example__is_a_signing_section_and_every_key_has_its_own_token() -> None:
    signing = Signing.model_validate(
        tomllib.loads((FOLDER / "pkcs11/attest.toml").read_text())["signing"], strict=False
    )

    signers = (*signing.reporters, signing.publisher, *signing.own_attestors)
    keys = [(key.uri, key.password) for key in signers] + [(signing.log.uri, signing.log.password)]
    tokens = {pkcs11.parse_uri(uri.removeprefix("pkcs11:")).token["label"] for uri, _ in keys}
    assert len(tokens) == len({pin for _, pin in keys}) == len(keys) == 4
    assert parse_vkey(signing.log.vkey).name == "log.example/reserves"


def test_web3signer_example__its_reporter_is_reached_over_mutual_tls() -> None:
    (reporter,) = tomllib.loads((FOLDER / "web3signer/attest.toml").read_text())["signing"]["reporters"]

    endpoint = web3signer.parse_uri(reporter["uri"].removeprefix("web3signer:"), Path("/etc/attest"))
    assert endpoint.url == "https://signer.treasury.example:9000"
    assert (endpoint.ca, endpoint.key) == (Path("/etc/attest/signer-ca.pem"), Path("/etc/attest/runner.key"))
