"""Azure Key Vault: versions, what a key must be, tokens and challenges, odd answers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import ClientAuthenticationError

from attest.errors import OperatorError
from attest.signing import azurekv
from attest.signing.azurekv import AzureKeyVaultSigner
from tests.support.fakes_azure import KEY, TOKEN, VERSION, AzureKeyVault, Credential, encoded, said
from tests.support.key_services import CALM
from tests.support.replay import Answer

DIGEST = bytes(range(32))
ADDRESS = AzureKeyVault.key.address


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AzureKeyVault]:
    with AzureKeyVault(tmp_path_factory.mktemp("vault")) as fake:
        yield fake


@pytest.fixture
def vault(started: AzureKeyVault) -> AzureKeyVault:
    started.reset()
    return started


@pytest.mark.parametrize("version", [None, VERSION])
def test_sign__newest_or_named_version__the_opened_version_signs(vault: AzureKeyVault, version: str | None) -> None:
    signer = vault.open(version=version)

    assert signer.sign_digest(DIGEST) == vault.key.sign_digest(DIGEST)
    assert vault.requests[-1].path == f"/keys/{KEY}/{VERSION}/sign"
    assert ("/" + VERSION in signer.name) == (version is not None)


@pytest.mark.parametrize(
    ("bundle", "attributes", "says"),
    [
        ({"kty": "RSA"}, {}, "not a P-256K"),
        ({"crv": "P-384"}, {}, "not a P-256K"),
        ({"crv": None}, {}, "not a P-256K"),
        ({"key_ops": ["verify"]}, {}, "may not sign"),
        ({"key_ops": None}, {}, "may not sign"),
        ({}, {"enabled": False}, "disabled"),
    ],
)
def test_open__key_that_cannot_sign__refused(
    vault: AzureKeyVault, bundle: dict[str, Any], attributes: dict[str, Any], says: str
) -> None:
    vault.bundle, vault.attributes = bundle, attributes

    with pytest.raises(OperatorError, match=says) as refusal:
        vault.open()

    assert refusal.value.code == "signer-key"


def test_open__key_in_an_hsm__is_as_good(vault: AzureKeyVault) -> None:
    vault.bundle = {"kty": "EC-HSM"}

    assert vault.open().address == ADDRESS


@pytest.mark.parametrize("bundle", [{"x": encoded(b"\x01" * 32)}, {"x": None}, {"y": encoded(b"")}])
def test_open__point_off_the_curve__refused(vault: AzureKeyVault, bundle: dict[str, Any]) -> None:
    vault.bundle = bundle

    with pytest.raises(OperatorError, match="not a point of the curve") as refusal:
        vault.open()

    assert refusal.value.code == "signer-unfaithful"


@pytest.mark.parametrize(
    "answer",
    [
        said({}),
        said({"value": None}),
        said({"value": "A"}),
        said({"value": encoded(bytes(65))}),
        said({"value": 7}),
        Answer(b"<html>a proxy's page</html>", headers={"Content-Type": "text/html"}),
        Answer(b"{", headers={"Content-Type": "application/json"}),
        Answer(b"", headers={"Content-Type": "application/json"}),
        Answer(b"[]", headers={"Content-Type": "application/json"}),
    ],
)
def test_sign__unreadable_answer__refused(vault: AzureKeyVault, answer: Answer) -> None:
    signer = vault.open()
    signer.sign_digest(DIGEST)
    vault.answers = [answer]

    with pytest.raises(OperatorError) as refusal:
        signer.sign_digest(DIGEST)

    assert refusal.value.code == "signer-unfaithful"


@pytest.mark.parametrize(
    ("status", "inner", "expected"),
    [
        (408, None, "signer-unavailable"),
        (503, None, "signer-unavailable"),
        (403, "ForbiddenByPolicy", "signer-denied"),
        (403, "ForbiddenByFirewall", "signer-denied"),
        (403, None, "signer-denied"),
        (403, "KeyExpired", "signer-key"),
        (400, None, "signer-key"),
    ],
)
def test_sign__error_of_the_service__sorted_by_who_can_mend_it(
    vault: AzureKeyVault, status: int, inner: str | None, expected: str
) -> None:
    signer = vault.open()
    signer.sign_digest(DIGEST)
    error: dict[str, Any] = {"code": "Forbidden", "message": "why"}
    vault.answers = [said({"error": error | ({"innererror": {"code": inner}} if inner else {})}, status)] * 3

    with pytest.raises(OperatorError, match="why") as refusal:
        signer.sign_digest(DIGEST)

    assert refusal.value.code == expected


def test_sign__error_page_without_json__still_sorted_by_its_status(vault: AzureKeyVault) -> None:
    signer = vault.open()
    signer.sign_digest(DIGEST)
    vault.answers = [Answer(b"<html>forbidden</html>", 403, {"Content-Type": "text/html"})]

    with pytest.raises(OperatorError) as refusal:
        signer.sign_digest(DIGEST)

    assert refusal.value.code == "signer-denied"


# -- tokens ----------------------------------------------------------------------------------------------------------


class Stranger(Credential):
    """Its tokens are another vault's."""

    def get_token(self, *_: str, **__: Any) -> Any:
        return super().get_token()._replace(token="another")

    def get_token_info(self, *_: str, **__: Any) -> Any:
        info = super().get_token_info()
        info.token = "another"
        return info


class Nobody:
    """Has no tokens."""

    def get_token(self, *_: str, **__: Any) -> Any:
        raise ClientAuthenticationError("no credential in this chain gave a token")

    get_token_info = get_token


@pytest.mark.parametrize("credential", [Stranger(), Nobody()])
def test_open__no_token_or_one_that_is_refused__denied_naming_the_right(vault: AzureKeyVault, credential: Any) -> None:
    with pytest.raises(OperatorError) as refusal:
        AzureKeyVaultSigner(KEY, None, vault.client(credential=credential), CALM)

    assert refusal.value.code == "signer-denied"
    assert "vaults/keys/read" in refusal.value.advice
    assert vault.asked == []


def test_open__vault_asks_for_another_services_token__token_not_sent(vault: AzureKeyVault) -> None:
    client = vault.client(verify_challenge_resource=True)

    with pytest.raises(OperatorError, match="does not match the requested domain") as refusal:
        AzureKeyVaultSigner(KEY, None, client, CALM)

    assert refusal.value.code == "signer-unfaithful"
    assert not any(TOKEN in str(request.headers) for request in vault.requests)


def test_open__certificate_of_an_unknown_authority__never_asked(vault: AzureKeyVault) -> None:
    client = azurekv.connect(vault.url, CALM, Credential())

    with pytest.raises(OperatorError, match="CERTIFICATE_VERIFY_FAILED") as refusal:
        AzureKeyVaultSigner(KEY, None, client, CALM)

    assert refusal.value.code == "signer-unavailable"
    assert vault.requests == []


def test_connect__no_credential_given__azures_own_are_tried_and_their_failure_is_named(
    vault: AzureKeyVault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "EnvironmentCredential")
    for name in ("AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_TENANT_ID", "AZURE_CLIENT_CERTIFICATE_PATH"):
        monkeypatch.delenv(name, raising=False)
    options = {"connection_verify": str(vault.authority), "verify_challenge_resource": False}
    client = azurekv.connect(vault.url, CALM, **options)

    with pytest.raises(OperatorError, match="EnvironmentCredential") as refusal:
        AzureKeyVaultSigner(KEY, None, client, CALM)

    assert refusal.value.code == "signer-denied"
    assert vault.asked == []


# -- locations -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("location", "url", "version"),
    [
        ("issuer/reporter", "https://issuer.vault.azure.net", None),
        (f"issuer/reporter/{VERSION}", "https://issuer.vault.azure.net", VERSION),
        ("issuer.managedhsm.azure.net/reporter", "https://issuer.managedhsm.azure.net", None),
    ],
)
def test_open__location__that_vault_and_version(
    vault: AzureKeyVault, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, location: str, url: str, version: str | None
) -> None:
    asked: list[str] = []
    client = vault.client()
    monkeypatch.setattr(azurekv, "connect", lambda where, patience: asked.append(where) or client)

    assert azurekv.open_digest_signer(location, password=None, base=tmp_path).address == ADDRESS
    assert asked == [url]
    assert vault.requests[-1].path == f"/keys/{KEY}/{version or ''}"


@pytest.mark.parametrize(
    "location",
    ["reporter", "/reporter", "issuer/", "issuer/a_b", "issuer/reporter/1", "https://issuer/reporter", "a@b/c"],
)
def test_open__malformed_location__refused(tmp_path: Path, location: str) -> None:
    with pytest.raises(OperatorError, match="not a key of Azure Key Vault") as refusal:
        azurekv.open_digest_signer(location, password=None, base=tmp_path)

    assert refusal.value.code == "signer-key"
    assert location in refusal.value.message
