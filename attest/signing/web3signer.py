"""``web3signer:URL[#ADDRESS]``: a remote signer that signs whole transactions.

Asked by JSON-RPC over HTTP: ``eth_accounts`` when it is opened, then ``eth_signTransaction`` only. It never sends for
us: what is sent is journaled first. The transaction that comes back is decoded, and used only if every field is what
was asked for and the sender is the pinned address.

Options stand in the URL's query, all of them paths relative to the configuration: ``ca`` (the server's certificate
authority, PEM), ``cert`` and ``key`` (a client certificate; the configured password is the key's, if it has one).
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass, fields
from ipaddress import ip_address
from itertools import count
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import SplitResult, parse_qsl, urlsplit

from attest.errors import OperatorError, VerificationError, printable
from attest.posting import HttpTransport, TransportFault
from attest.records import dump_plain, load_plain
from attest.secrets import Secret
from attest.signing.external import PATIENCE, BusyError, Patience, denied, unavailable, unfaithful, unusable
from attest.signing.transaction import Transaction, decode

#: Posts a JSON body and gives the status and the body of the answer; raises :class:`BusyError` when none came in time.
Post: TypeAlias = Callable[[bytes], tuple[int, bytes]]

#: A signed report has some 250 bytes; nothing that is signed here comes near.
_MAX_BODY_BYTES = 1 << 20
_PASSING_STATUS = frozenset({408, 429, 502, 503, 504})
_OPTIONS = frozenset({"ca", "cert", "key"})
_RIGHT = "eth_signTransaction for this account (the signer's TLS and host lists, or the proxy before it)"


class Web3Signer:
    """A :class:`attest.signing.transaction.TransactionSigner` whose key is in a web3signer.

    ``name`` is how errors call it (its URI), ``address`` the pinned account. May be used from several threads.
    """

    def __init__(self, name: str, address: str, post: Post, patience: Patience) -> None:
        self._name = name
        self._address = address
        self._post = post
        self._patience = patience
        self._ids = count(1)

    @property
    def address(self) -> str:
        """The pinned address."""
        return self._address

    def check_account(self) -> None:
        """Raises :class:`OperatorError` (``signer-key``) unless the signer holds the pinned account."""
        accounts = self._call("eth_accounts", [])
        if not isinstance(accounts, list) or not all(isinstance(account, str) for account in accounts):
            raise unfaithful(self._name, "eth_accounts did not give a list of addresses")
        if self._address.lower() not in {account.lower() for account in accounts}:
            raise unusable(
                self._name,
                f"it holds {len(accounts)} accounts, and {self._address} is none of them",
                "Load the key into the signer, or pin the address of one that it holds.",
            )

    def sign_transaction(self, transaction: Transaction) -> bytes:
        """The raw signed transaction. Raises :class:`OperatorError`: ``signer-unfaithful`` if it is not exactly the one
        that was asked for, signed by the pinned address; else as the codes of :mod:`attest.signing.external` say."""
        answer = self._call("eth_signTransaction", [_parameters(transaction, self._address)])
        if not isinstance(answer, str) or not re.fullmatch("0x(?:[0-9a-fA-F]{2})+", answer):
            raise unfaithful(self._name, "eth_signTransaction did not give a raw transaction in hex")
        raw = bytes.fromhex(answer[2:])
        try:
            signed, sender = decode(raw)
        except VerificationError as fault:
            raise unfaithful(self._name, fault.message) from None
        changed = [
            field.name
            for field in fields(Transaction)
            if getattr(signed, field.name) != getattr(transaction, field.name)
        ]
        if changed:
            raise unfaithful(self._name, f"it signed another transaction: {_difference(transaction, signed, changed)}")
        if sender.lower() != self._address.lower():
            raise unfaithful(self._name, f"the transaction is signed by {sender}, not by {self._address}")
        return raw

    def _call(self, method: str, params: list[Any]) -> Any:
        """The result of one JSON-RPC call, asked for again within the signer's patience."""
        number = next(self._ids)
        body = dump_plain({"jsonrpc": "2.0", "id": number, "method": method, "params": params})

        def request() -> tuple[int, bytes]:
            status, answer = self._post(body)
            if status in _PASSING_STATUS:
                raise BusyError(f"it answered with HTTP status {status}")
            return status, answer

        status, answer = self._patience.ask(self._name, request)
        if status in (401, 403):
            raise denied(self._name, f"HTTP status {status}", _RIGHT)
        if status != 200:
            raise unavailable(self._name, f"it answered with HTTP status {status}")
        return self._result(answer, number)

    def _result(self, answer: bytes, number: int) -> Any:
        try:
            reply = load_plain(answer, "answer")
        except VerificationError as fault:
            raise unfaithful(self._name, fault.message) from None
        if not isinstance(reply, dict) or reply.get("id") != number:
            raise unfaithful(self._name, "the answer is not this request's JSON-RPC answer")
        error = reply.get("error")
        if isinstance(error, dict):
            raise denied(self._name, f"{error.get('message')} (code {error.get('code')})", _RIGHT)
        if error is not None or "result" not in reply:
            raise unfaithful(self._name, "the answer has neither a result nor a readable error")
        return reply["result"]


def _parameters(transaction: Transaction, sender: str) -> dict[str, str]:
    prices = (
        {"gasPrice": hex(transaction.max_fee_per_gas)}
        if transaction.kind == "legacy"
        else {
            "maxFeePerGas": hex(transaction.max_fee_per_gas),
            "maxPriorityFeePerGas": hex(transaction.max_priority_fee_per_gas),
        }
    )
    return {
        "from": sender,
        "to": transaction.to,
        "nonce": hex(transaction.nonce),
        "gas": hex(transaction.gas),
        **prices,
        "value": hex(transaction.value),
        "data": f"0x{transaction.data.hex()}",
        # web3signer has its own --chain-id and overlooks this one; other signers compare.
        "chainId": hex(transaction.chain_id),
    }


def _difference(asked: Transaction, signed: Transaction, names: list[str]) -> str:
    def told(transaction: Transaction, name: str) -> str:
        value = getattr(transaction, name)
        return f"{len(value)} bytes" if isinstance(value, bytes) else str(value)

    return "; ".join(f"{name} {told(signed, name)} instead of {told(asked, name)}" for name in names)


# -- the URI ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Endpoint:
    """Where a signer listens. ``url`` is without options; ``ca``, ``certificate`` and ``key`` are files."""

    url: str
    account: str
    ca: Path | None
    certificate: Path | None
    key: Path | None


def parse_uri(location: str, base: Path) -> Endpoint:
    """What stands after ``web3signer:``, for example
    ``https://signer.example:9000?ca=ca.pem&cert=client.pem&key=client.key#0xAbC...``.

    Raises :class:`OperatorError` (``web3signer-uri``), without repeating the URL, for one that carries credentials,
    unknown options, or plain HTTP to another machine.
    """
    try:
        parts = urlsplit(location)
        host, port = parts.hostname, parts.port
        options = dict(_strictly(parts))
    except ValueError:
        raise _malformed("it is no URL with options name=value") from None
    if not re.fullmatch(r"[!-~]+", location) or parts.scheme not in ("http", "https") or not host or port == 0:
        raise _malformed("it is not http:// or https:// with a host")
    if "@" in parts.netloc:
        raise _malformed("it carries credentials")
    if parts.scheme == "http" and not _is_here(host):
        raise _malformed("http:// to another machine can be read and changed by everybody on the way")
    if not options.keys() <= _OPTIONS:
        raise _malformed("its options are none of " + ", ".join(sorted(_OPTIONS)))
    if "key" in options and "cert" not in options:
        raise _malformed("key= belongs to a cert=")
    if options and parts.scheme == "http":
        raise _malformed("certificates need https://")
    files = {name: base / value for name, value in options.items()}
    return Endpoint(
        url=parts._replace(query="", fragment="").geturl(),
        account=parts.fragment,
        ca=files.get("ca"),
        certificate=files.get("cert"),
        key=files.get("key"),
    )


def _strictly(parts: SplitResult) -> list[tuple[str, str]]:
    pairs = parse_qsl(parts.query, strict_parsing=True) if parts.query else []
    if len(dict(pairs)) != len(pairs):
        raise ValueError("an option stands twice")
    return pairs


def _is_here(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _malformed(detail: str) -> OperatorError:
    return OperatorError(
        f"web3signer uri: {detail}",
        code="web3signer-uri",
        reason="Whoever can speak to the signer can sign, so the way there must be private and no secret in the URI.",
        advice="Write web3signer:https://HOST:PORT?ca=FILE&cert=FILE&key=FILE, or http://127.0.0.1:PORT.",
    )


# -- HTTP ------------------------------------------------------------------------------------------------------------


def http_post(url: str, timeout: float, tls: ssl.SSLContext | None = None) -> Post:
    """A :data:`Post` to ``url`` with a deadline of ``timeout`` seconds."""
    transport = HttpTransport(timeout, max_body_bytes=_MAX_BODY_BYTES, tls=tls)

    def post(body: bytes) -> tuple[int, bytes]:
        try:
            reply = transport.post(url, body)
        except TransportFault as fault:
            raise BusyError(printable(fault.detail)) from None
        return reply.status, reply.body

    return post


def _tls(endpoint: Endpoint, password: Secret | None) -> ssl.SSLContext | None:
    """Raises :class:`OperatorError` (``web3signer-tls``) naming the files that cannot be used."""
    if endpoint.url.startswith("http://"):
        return None
    try:
        context = ssl.create_default_context(cafile=None if endpoint.ca is None else str(endpoint.ca))
        if endpoint.certificate is not None:
            # Without a password OpenSSL would ask the terminal; an empty one is refused by every encrypted key.
            secret = "" if password is None else password.reveal()
            context.load_cert_chain(endpoint.certificate, endpoint.key, password=lambda: secret)
    except (OSError, ValueError) as fault:  # ssl.SSLError is an OSError
        files = ", ".join(str(file) for file in (endpoint.ca, endpoint.certificate, endpoint.key) if file is not None)
        detail = getattr(fault, "reason", None) or getattr(fault, "strerror", None) or type(fault).__name__
        raise OperatorError(
            f"web3signer: {files}: cannot be used ({detail})",
            code="web3signer-tls",
            reason="The signer is known by its certificate, and knows this program by the client's.",
            advice="Check that they are PEM files which belong together, and the key's password.",
        ) from None
    return context


def open_transaction_signer(location: str, *, address: str, password: Secret | None, base: Path) -> Web3Signer:
    """The account ``address`` (pinned) of the web3signer at ``location``, after asking whether it holds it.

    Raises :class:`OperatorError`: ``web3signer-uri`` and ``web3signer-tls`` for the location, ``signer-mismatch`` when
    the URI names another account than the pinned one, else with the codes of :mod:`attest.signing.external`.
    """
    endpoint = parse_uri(location, base)
    name = f"web3signer:{location}"
    if endpoint.account and endpoint.account.lower() != address.lower():
        raise OperatorError(
            f"signer {name!r}: the uri names the account {endpoint.account}, the configuration pins {address}",
            code="signer-mismatch",
            reason="Roles name the pinned account; another one's transaction would be refused.",
            advice="Correct the one that is wrong; the part after # can be left out.",
        )
    post = http_post(endpoint.url, PATIENCE.timeout, _tls(endpoint, password))
    signer = Web3Signer(name, address, post, PATIENCE)
    signer.check_account()
    return signer
