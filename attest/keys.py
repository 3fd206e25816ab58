"""The operator's keys: made, brought in from elsewhere, listed, and tried.

A key is enrolled by pinning what is public of it (an address, or a log's vkey) in ``attest.toml``; every other command
then refuses any other key at the same URI.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Literal, NamedTuple
from urllib.parse import parse_qs

from attest.config import Loaded
from attest.errors import AttestError, OperatorError
from attest.log.note import COSIGNATURE_V1, ED25519, VerifierKey, parse_vkey
from attest.scaffold import toml_string
from attest.secrets import Secret, resolve, wipe
from attest.signing.keystore import SCRYPT_N
from attest.signing.signer import (
    DigestSigner,
    NoteSigner,
    enrol_digest_signer,
    enrol_note_signer,
    open_digest_signer,
    open_note_signer,
)

if TYPE_CHECKING:
    from attest.signing.transaction import TransactionSigner

#: Where Ethereum wallets keep their first account (BIP-44).
FIRST_ACCOUNT = "m/44'/60'/0'/0/0"
#: The largest nonce that a transaction can have (EIP-2681): no account will ever come to it.
_NEVER_MINED = 2**64 - 2
#: A mnemonic of 24 words has less than 220 characters.
LONGEST_INPUT = 1024


# -- which keys there are --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ConfiguredKey:
    """A key of ``[signing]``: its job (``reporter-1``, ``publisher``, ``attestor-1``, ``log``), and its pinned address
    or vkey."""

    job: str
    kind: Literal["transactions", "statements", "notes"]
    uri: str
    pinned: str
    password: str | None

    @property
    def shown(self) -> str:
        """The pin as people compare it: the address, or the vkey's name and key id."""
        return self.pinned if self.kind != "notes" else "+".join(self.pinned.split("+")[:2])


def configured(loaded: Loaded) -> tuple[ConfiguredKey, ...]:
    """Every key of the configuration that is held here, in its order; none is opened."""
    signing = loaded.config.signing
    found = [
        ConfiguredKey(f"reporter-{number}", "transactions", key.uri, key.address, key.password)
        for number, key in enumerate(signing.reporters, 1)
    ]
    publisher = signing.publisher
    found.append(ConfiguredKey("publisher", "transactions", publisher.uri, publisher.address, publisher.password))
    found += [
        ConfiguredKey(f"attestor-{number}", "statements", key.uri, key.address, key.password)
        for number, key in enumerate(signing.attestors, 1)
        if key.uri is not None
    ]
    return *found, ConfiguredKey("log", "notes", signing.log.uri, signing.log.vkey, signing.log.password)


def chosen(loaded: Loaded, jobs: tuple[str, ...]) -> tuple[ConfiguredKey, ...]:
    """The keys of these jobs (``reporter`` means all reporters); all without any. Raises :class:`OperatorError` for a
    job that is not configured."""
    keys = configured(loaded)
    for job in jobs:
        if not any(_has_job(key, job) for key in keys):
            raise OperatorError(
                f"keys: there is no job {job!r}",
                code="no-such-key",
                reason="Only configured keys can be tested by their job.",
                advice=f"Name one of {', '.join(key.job for key in keys)}, or a URI.",
            )
    return tuple(key for key in keys if not jobs or any(_has_job(key, job) for job in jobs))


def _has_job(key: ConfiguredKey, job: str) -> bool:
    return job in (key.job, re.sub(r"-[0-9]+$", "", key.job))


# -- what is public of a key -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Identity:
    """What is public of the key at ``uri``: an ``address``, or the 32-byte Ed25519 ``public_key``."""

    uri: str
    address: str | None = None
    public_key: bytes | None = None

    def vkeys(self, name: str) -> tuple[str, str]:
        """As the log ``name``'s key, and as the witness ``name``'s. Raises :class:`OperatorError` for a name that no
        log or witness can have."""
        assert self.public_key is not None
        log, witness = (VerifierKey(name, kind, self.public_key).vkey for kind in (ED25519, COSIGNATURE_V1))
        parse_vkey(log, "--name", OperatorError)
        return log, witness


def identity(uri: str, *, ed25519: bool, password: Secret | None, base: Path) -> Identity:
    """Open the key at ``uri`` and say what is public of it. Raises :class:`OperatorError`."""
    if ed25519:
        return Identity(uri, public_key=enrol_note_signer(uri, password=password, base=base).public_key)
    return Identity(uri, address=enrol_digest_signer(uri, password=password, base=base).address)


def lines_for(found: Identity, password: str | None, name: str) -> str:
    """The lines that pin a key in ``attest.toml``; ``name`` is the log's, for an Ed25519 key."""
    if found.address is not None:
        place = "# In [[signing.reporters]], [signing.publisher] or [[signing.attestors]]:"
        return f"{place}\n{pin_lines(found.uri, found.address, password)}"
    return f"[signing.log]\n{pin_lines(found.uri, found.vkeys(name)[0], password, pin='vkey')}"


def pin_lines(uri: str, pinned: str, password: str | None, *, pin: str = "address") -> str:
    """``uri``, pinned address or vkey, and the password's reference, as TOML lines."""
    known = {"uri": uri, pin: pinned} | ({} if password is None else {"password": password})
    return "".join(f"{name} = {toml_string(value)}\n" for name, value in known.items())


# -- making keys -----------------------------------------------------------------------------------------------------


class Created(NamedTuple):
    """A new key; or, where its keeper's own tool has to make it, the commands that do."""

    identity: Identity | None
    commands: tuple[str, ...] = ()


def create(uri: str, *, ed25519: bool, password: Secret | None, base: Path, scrypt_n: int = SCRYPT_N) -> Created:
    """Make a key at ``uri``: a file, or a key of AWS KMS under a new alias. Nothing is overwritten.

    Raises :class:`OperatorError` for a URI that cannot be made, a key that is there already, and a missing password.
    """
    scheme, _, location = uri.partition(":")
    if scheme == "keystore":
        return Created(_new_file(uri, base / location, ed25519, password, scrypt_n))
    if scheme == "awskms":
        _new_aws_key(uri, location, ed25519)
        return Created(identity(uri, ed25519=ed25519, password=password, base=base))
    return Created(None, _commands(uri, scheme, location, ed25519))


def _new_file(uri: str, path: Path, ed25519: bool, password: Secret | None, scrypt_n: int) -> Identity:
    from attest.signing.ed25519 import generate_note_key
    from attest.signing.keystore import generate_keystore

    revealed = _needed(uri, password)
    if ed25519:
        return Identity(uri, public_key=generate_note_key(path, revealed.encode()).public_key)
    return Identity(uri, address=generate_keystore(path, revealed, n=scrypt_n).address)


def _needed(uri: str, password: Secret | None) -> str:
    if password is None:
        raise OperatorError(
            f"{uri}: no password is given",
            code="keystore",
            reason="A key in a file is only as safe as the password that it is encrypted with.",
            advice="Say where the password is: --password env:NAME, or --password file:PATH.",
        )
    return password.reveal()


def _new_aws_key(uri: str, location: str, ed25519: bool) -> None:
    from botocore.exceptions import BotoCoreError, ClientError

    from attest.signing.awskms import connect
    from attest.signing.external import PATIENCE, denied, unusable

    alias, _, query = location.partition("?")
    if not re.fullmatch(r"alias/(?!aws/)[A-Za-z0-9/_-]+", alias):
        raise unusable(uri, "a new key of AWS KMS needs an alias", "Write awskms:alias/NAME?region=REGION.")
    client = connect(next(iter(parse_qs(query).get("region", [])), None), PATIENCE)
    try:
        known = client.get_paginator("list_aliases").paginate()
        if any(alias == each["AliasName"] for page in known for each in page["Aliases"]):
            raise unusable(uri, "the alias exists already; a key is never replaced", "Choose another alias.")
        key = client.create_key(
            KeySpec="ECC_NIST_EDWARDS25519" if ed25519 else "ECC_SECG_P256K1",
            KeyUsage="SIGN_VERIFY",
            Description=f"attest {alias.removeprefix('alias/')}",
        )
        client.create_alias(AliasName=alias, TargetKeyId=key["KeyMetadata"]["KeyId"])
    except ClientError as fault:
        if "AccessDenied" in str(fault.response.get("Error", {}).get("Code")):
            raise denied(uri, str(fault), "kms:ListAliases, kms:CreateKey and kms:CreateAlias") from None
        raise unusable(uri, str(fault), "Mend what AWS names; a key may have been made without an alias.") from None
    except BotoCoreError as fault:
        raise unusable(uri, str(fault), "Check the region and the credentials: aws sts get-caller-identity.") from None


def _commands(uri: str, scheme: str, location: str, ed25519: bool) -> tuple[str, ...]:
    """What makes such a key with its keeper's own tool, under its keeper's own rules, and then shows what to pin: shell
    commands and comments."""
    following = f"attest keys address {quote(uri)}{' --ed25519' if ed25519 else ''}"
    if scheme == "azurekv" and not ed25519:
        vault, _, rest = location.partition("/")
        made = f"az keyvault key create --kty EC-HSM --curve P-256K --ops sign verify --vault-name {quote(vault)}"
        return f"{made} --name {quote(rest.partition('/')[0])}", following
    if scheme == "gcpkms" and not ed25519:
        parts = location.split("/")
        named = {kind: quote(name) for kind, name in zip(parts[::2], parts[1::2], strict=False)}
        return (
            f"gcloud kms keys create {named.get('cryptoKeys', 'KEY')} --keyring {named.get('keyRings', 'RING')} "
            f"--location {named.get('locations', 'LOCATION')} --project {named.get('projects', 'PROJECT')} "
            "--purpose asymmetric-signing --default-algorithm ec-sign-secp256k1-sha256 --protection-level hsm",
            following,
        )
    if scheme == "pkcs11":
        from attest.signing.pkcs11 import parse_uri

        key = parse_uri(location)
        return (
            f"pkcs11-tool --module {quote(key.module)} --token-label {quote(key.token.get('label', 'TOKEN'))} --login "
            f"--keypairgen --key-type {'EC:edwards25519' if ed25519 else 'EC:secp256k1'} --sensitive --private "
            f"--usage-sign --label {quote(key.label or 'LABEL')}" + (f" --id {key.id.hex()}" if key.id else ""),
            f"{following} --password env:PIN",
        )
    if scheme == "web3signer" and not ed25519:
        return (
            "attest keys new keystore:NEW.json --password file:NEW.password",
            "# Then, in web3signer's key folder, a file NEW.yaml with these lines:",
            "#   type: file-keystore",
            "#   keyType: SECP256K1",
            "#   keystoreFile: NEW.json",
            "#   keystorePasswordFile: NEW.password",
        )
    raise OperatorError(
        f"{uri}: such a key cannot be made",
        code="unknown-signer",
        reason="secp256k1 keys are kept by keystore, awskms, azurekv, gcpkms, pkcs11 and web3signer; "
        "Ed25519 keys by keystore, awskms and pkcs11.",
        advice="Write the URI of one of these; `attest keys --help` shows their forms.",
    )


# -- bringing keys in ------------------------------------------------------------------------------------------------


def bring_in(
    uri: str,
    given: bytearray,
    *,
    ed25519: bool,
    password: Secret | None,
    base: Path,
    account_path: str = FIRST_ACCOUNT,
    scrypt_n: int = SCRYPT_N,
) -> Identity:
    """Write a private key (64 hex digits, or a BIP-39 mnemonic: the account at ``account_path``) to the encrypted file
    ``uri``, and overwrite ``given`` with zeros, also on failure.

    The key itself is passed through libraries that keep copies which cannot be overwritten (see
    :mod:`attest.secrets`). Raises :class:`OperatorError`, which never repeats what was given.
    """
    from attest.signing.ed25519 import write_note_key
    from attest.signing.keystore import write_keystore

    key = bytearray()
    try:
        scheme, _, location = uri.partition(":")
        if scheme != "keystore" or not location:
            raise OperatorError(
                f"{uri}: a key can only be brought into a file",
                code="unknown-signer",
                reason="A KMS or HSM is worth its price because its keys were never anywhere else.",
                advice="Write keystore:PATH; or make the key where it is kept: attest keys new URI.",
            )
        revealed = _needed(uri, password)
        key = _from_mnemonic(given, account_path) if b" " in given.strip() and not ed25519 else from_hexadecimal(given)
        path = base / location
        if ed25519:
            return Identity(uri, public_key=write_note_key(path, key, revealed.encode()).public_key)
        return Identity(uri, address=write_keystore(path, key, revealed, n=scrypt_n).address)
    finally:
        wipe(given)
        wipe(key)


_DIGITS = {ord(digit): int(digit, 16) for digit in "0123456789abcdefABCDEF"}


def from_hexadecimal(given: bytearray) -> bytearray:
    """The 32 bytes that 64 hexadecimal digits stand for (``0x`` and surrounding blanks are allowed), read without a
    copy that could not be overwritten. Raises :class:`OperatorError`, which does not repeat them."""
    begin, end = 0, len(given)
    while end > begin and given[end - 1 : end].isspace():
        end -= 1
    while begin < end and given[begin : begin + 1].isspace():
        begin += 1
    if given[begin : begin + 2] == b"0x":
        begin += 2
    digits = [_DIGITS.get(given[place]) for place in range(begin, end)]
    if len(digits) != 64 or None in digits:
        raise _no_key("neither 64 hexadecimal digits nor a mnemonic")
    key = bytearray(32)
    for place in range(32):
        high, low = digits[2 * place], digits[2 * place + 1]
        assert high is not None
        assert low is not None
        key[place] = high << 4 | low
    return key


def _from_mnemonic(given: bytearray, account_path: str) -> bytearray:
    from eth_account import Account

    Account.enable_unaudited_hdwallet_features()
    try:
        words = " ".join(given.decode("utf-8").split())
        return bytearray(Account.from_mnemonic(words, account_path=account_path).key)
    except Exception:
        # The library's errors repeat the words, and what it raises is not documented.
        raise _no_key("a mnemonic with a wrong word, checksum or --account-path") from None


def _no_key(detail: str) -> OperatorError:
    return OperatorError(
        f"the key that was given is {detail}",
        code="keystore",
        reason="Nothing was written.",
        advice="Give 64 hexadecimal digits (with or without 0x) or the 12 to 24 words, and nothing else.",
    )


# -- trying keys -----------------------------------------------------------------------------------------------------


class Tried(NamedTuple):
    """What came of using a key: seconds for opening it and for signing once, and why it failed, if it did."""

    job: str
    uri: str
    identity: str
    opening: float
    signing: float
    fault: AttestError | None = None


def try_configured(
    loaded: Loaded, keys: tuple[ConfiguredKey, ...], clock: Callable[[], float] = time.perf_counter
) -> Iterator[Tried]:
    """Sign with each key once, and see that the signature leads back to the pinned key. Raises nothing."""
    for key in keys:
        begun = opened = clock()
        try:
            prove = _open_configured(loaded, key)
            opened = clock()
            prove()
            yield Tried(key.job, key.uri, key.shown, opened - begun, clock() - opened)
        except AttestError as fault:
            yield Tried(key.job, key.uri, key.shown, opened - begun, 0.0, fault)


def try_uri(
    uri: str, *, ed25519: bool, password: Secret | None, base: Path, clock: Callable[[], float] = time.perf_counter
) -> Tried:
    """As :func:`try_configured`, for a key that is not (yet) configured."""
    begun = opened = clock()
    try:
        if ed25519:
            note = enrol_note_signer(uri, password=password, base=base)
            opened = clock()
            prove_note(uri, note)
            shown = note.public_key.hex()
        else:
            signer = enrol_digest_signer(uri, password=password, base=base)
            opened = clock()
            prove_digest(uri, signer)
            shown = signer.address
        return Tried("", uri, shown, opened - begun, clock() - opened)
    except AttestError as fault:
        return Tried("", uri, "", opened - begun, 0.0, fault)


def _open_configured(loaded: Loaded, key: ConfiguredKey) -> Callable[[], None]:
    password = None if key.password is None else resolve(key.password, base=loaded.base)
    if key.kind == "notes":
        vkey = parse_vkey(key.pinned, "signing.log.vkey", OperatorError)
        note = open_note_signer(key.uri, public_key=vkey.public_key, password=password, base=loaded.base)
        return lambda: prove_note(key.uri, note)
    if key.kind == "statements":
        signer = open_digest_signer(key.uri, address=key.pinned, password=password, base=loaded.base)
        return lambda: prove_digest(key.uri, signer)
    from attest.signing.transaction import open_transaction_signer

    config = loaded.config
    chain = config.registry.chain if key.job == "publisher" else config.oracle.chain
    sender = open_transaction_signer(key.uri, address=key.pinned, password=password, base=loaded.base)
    return lambda: prove_sender(key.uri, sender, config.chains[chain].chain_id)


def prove_digest(uri: str, signer: DigestSigner) -> None:
    """Sign 32 random bytes; the signature must recover to the signer's own key. Raises :class:`OperatorError`
    (``signer-unfaithful``)."""
    from attest.signing.external import recoverable, unfaithful

    digest = secrets.token_bytes(32)
    signature = signer.sign_digest(digest)
    if recoverable(uri, signer.public_key, digest, signature.r, signature.s) != signature:
        raise unfaithful(uri, "the signature's recovery id leads to another key")


def prove_note(uri: str, signer: NoteSigner) -> None:
    """Sign a text that is no checkpoint, and verify it. Raises :class:`OperatorError` (``signer-unfaithful``)."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from attest.signing.external import unfaithful

    message = b"attest keys test " + secrets.token_hex(16).encode()
    try:
        Ed25519PublicKey.from_public_bytes(signer.public_key).verify(signer.sign(message), message)
    except InvalidSignature:
        raise unfaithful(uri, "the signature is not the key's over this message") from None


def prove_sender(uri: str, signer: TransactionSigner, chain_id: int) -> None:
    """Sign a digest; or, with a signer of whole transactions, one that no chain will ever take: nothing, to itself, at
    a nonce that no account reaches. Raises :class:`OperatorError` (``signer-unfaithful``)."""
    from attest.errors import VerificationError
    from attest.signing.external import unfaithful
    from attest.signing.transaction import DigestTransactionSigner, Transaction, decode

    if isinstance(signer, DigestTransactionSigner):
        prove_digest(uri, signer.signer)
        return
    transaction = Transaction("legacy", chain_id, _NEVER_MINED, signer.address, 0, b"", 21_000, 0)
    try:
        faithful = decode(signer.sign_transaction(transaction)) == (transaction, signer.address)
    except VerificationError:
        faithful = False
    if not faithful:
        raise unfaithful(uri, "what it signed is not the transaction that it was given")


# -- replacing a key -------------------------------------------------------------------------------------------------


def replacement(loaded: Loaded, old: str, uri: str, *, address: str | None, password: Secret | None) -> str:
    """The checksummed address of the key at ``uri`` that is to replace the reporter ``old``, after it has signed a
    test. ``address`` is asked for with signers that hold many keys (web3signer).

    Raises :class:`OperatorError`: ``old`` is no configured reporter (and ``uri``'s key is none in its place), the new
    key has another job already, or it cannot sign.
    """
    from attest.signing.transaction import open_transaction_signer

    signing, chain = loaded.config.signing, loaded.config.chains[loaded.config.oracle.chain]
    if address is None:
        signer = enrol_digest_signer(uri, password=password, base=loaded.base)
        prove_digest(uri, signer)
        address = signer.address
    else:
        sender = open_transaction_signer(uri, address=address, password=password, base=loaded.base)
        prove_sender(uri, sender, chain.chain_id)
        address = sender.address
    others = {signing.publisher.address, *(attestor.address for attestor in signing.attestors)}
    reporters = {reporter.address for reporter in signing.reporters}
    if address == old or address in others:
        raise OperatorError(
            f"{uri}: its key {address} " + ("is the old one" if address == old else "has another job already"),
            code="key-in-use",
            reason="Each key has one job, and a rotation ends with another key than it began with.",
            advice="Make a key with `attest keys new`.",
        )
    if not reporters & {old, address}:
        raise OperatorError(
            f"{old} is no reporter of this configuration",
            code="no-such-key",
            reason="Only a reporter that this operator runs can be replaced by its own new key.",
            advice=f"Name one of {', '.join(sorted(reporters))}.",
        )
    return address


def checksummed(what: str, address: str) -> str:
    """An address in EIP-55 spelling. Raises :class:`OperatorError` naming ``what`` for anything else."""
    from eth_utils.address import is_address, to_checksum_address

    if not (address.startswith("0x") and is_address(address)):
        raise OperatorError(
            f"{what}: {address!r} is no address, or its capital letters are wrong (EIP-55)",
            code="usage",
            reason="A role that is given to a mistyped address is given to nobody, or to a stranger.",
            advice="Copy it whole; `attest keys list` shows the configured ones.",
        )
    return str(to_checksum_address(address))
