"""Witnesses (C2SP tlog-witness): asking one for a cosignature, and being a small one.

A witness remembers the largest head of each log that it ever cosigned and cosigns only what extends it, so an operator
who re-signs a forged history needs the witness's memory to fail too. Its memory is one file, synced to disk before the
answer leaves.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from attest.errors import AttestError, ConflictError, OperatorError, SourceError, VerificationError
from attest.log.checkpoint import Checkpoint, parse_checkpoint, parse_size
from attest.log.note import (
    COSIGNATURE_V1,
    Note,
    NoteSignature,
    VerifierKey,
    cosign,
    parse_note,
    parse_signature_lines,
    verifier_key,
    verify_cosignature,
    verify_note,
)
from attest.log.state import StateFile, evidence_name
from attest.merkle.proof import EMPTY_ROOT, verify_consistency
from attest.records import Hex32, decode_base64, digest, encode_base64, from_json, to_json
from attest.serving import TEXT, Answer, Handler, Server, text
from attest.signing.signer import NoteSigner

if TYPE_CHECKING:
    from attest.log.writer import LogWriter

#: No more consistency hashes than a log of 2^63 entries can need (tlog-witness).
MAX_HASHES = 63
#: A request with the longest proof and a checkpoint with a hundred signatures is far smaller.
MAX_REQUEST_BYTES = 256 * 1024

# -- asking ----------------------------------------------------------------------------------------------------------


def request_cosignature(
    post: Callable[[bytes], tuple[int, bytes]],
    checkpoint: bytes,
    consistency: Callable[[int, int], Sequence[bytes]],
    witness_key: VerifierKey,
    old_size: int = 0,
) -> NoteSignature:
    """Ask a witness to cosign ``checkpoint`` (the note's bytes); returns its verified cosignature.

    ``post`` sends a body to the witness's ``add-checkpoint`` and returns status and body. ``consistency`` gives the
    path between two sizes. ``old_size`` is the size that the witness is thought to hold; it corrects a wrong guess once
    with 409. Raises :class:`ConflictError` when the witness holds a head that this one does not extend,
    :class:`OperatorError` when it does not know the log or its key, :class:`SourceError` for any other answer, and
    :class:`VerificationError` when what it returns is not its cosignature.
    """
    note = parse_note(checkpoint)
    size = parse_checkpoint(note.text).size
    where = f"witness {witness_key.name}"
    status, body = post(_request(old_size, consistency(old_size, size), checkpoint))
    if status == 409:
        held = parse_size(body[:32].decode("ascii", "replace").removesuffix("\n"))
        if held is None:
            raise _no_answer(where, "answered 409 without the size that it holds")
        if held > size:
            raise ConflictError(
                f"{where} holds a log of {held} entries already, this checkpoint has {size}",
                code="witness-ahead",
                reason="A witness never cosigns a smaller log than it has seen.",
                advice="Take the log's newest checkpoint; if it is this one, the log has lost entries: restore it.",
            )
        status, body = post(_request(held, consistency(held, size), checkpoint))
    if status == 200:
        for signature in parse_signature_lines(body.decode("utf-8", "replace"), where):
            if _is_by(signature, witness_key):
                verify_cosignature(note.text, signature, witness_key, where)
                return signature
        raise _no_answer(where, "answered without a cosignature by the key that is configured for it")
    if status == 422:
        raise ConflictError(
            f"{where} refuses the checkpoint of {size} entries: it does not extend the log that the witness has seen",
            code="witness-inconsistent",
            reason="Either this log or the witness's memory of it was changed after the fact.",
            advice="Stop publishing and compare this log with a mirror and with the witness's last checkpoint.",
        )
    if status in {403, 404}:
        detail = "the log's key" if status == 403 else "this log"
        raise OperatorError(
            f"{where} does not know {detail} (status {status})",
            code="witness-unknown-log",
            reason="A witness cosigns only for logs whose vkey its operator entered.",
            advice="Give the log's vkey to the witness's operator.",
        )
    raise _no_answer(where, f"answered status {status}")


def collect_cosignature(
    log: LogWriter, size: int, witness_key: VerifierKey, post: Callable[[bytes], tuple[int, bytes]]
) -> NoteSignature:
    """The cosignature of ``witness_key`` over the log's head at ``size``: the stored one, or asked for and stored.

    Raises as :func:`request_cosignature`.
    """
    signed = log.checkpoint(size)
    stored = log.cosignature(size, witness_key)
    if stored is not None:
        verify_cosignature(signed.note.text, stored, witness_key, f"cosignatures/{size}")
        return stored
    signature = request_cosignature(post, signed.note.to_bytes(), log.consistency, witness_key)
    return log.add_cosignature(size, signature)


def _request(old_size: int, path: Sequence[bytes], checkpoint: bytes) -> bytes:
    return "\n".join([f"old {old_size}", *map(encode_base64, path), "", ""]).encode() + checkpoint


def _no_answer(where: str, detail: str) -> SourceError:
    return SourceError(
        f"{where} {detail}",
        code="witness-unavailable",
        reason="Without a witness's cosignature, auditors who ask for one cannot accept this checkpoint.",
        advice="Run again later: cosignatures may arrive after the checkpoint. Check the witness's address and vkey.",
    )


# -- being one -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class WitnessedHead:
    """The largest head of a log that was cosigned. ``checkpoint`` is the note with the log's own signature, ``time``
    (Unix seconds) the cosignature's, which follows from both (Ed25519 is deterministic); earlier releases kept
    neither."""

    size: int
    root: Hex32
    checkpoint: str | None = None
    time: int = 0


@dataclass(frozen=True)
class WitnessState:
    """A witness's memory: the largest cosigned head by log origin."""

    format: Literal["attest-witness-state/1"]
    heads: Mapping[str, WitnessedHead]


class Witness:
    """Decides what to cosign. ``clock`` gives Unix seconds; ``log_keys`` are the logs it watches, by their own keys.

    It holds a lock on its state for as long as it lives. Raises :class:`OperatorError` when the state file is damaged,
    out of reach or in use.
    """

    def __init__(
        self, name: str, signer: NoteSigner, log_keys: Iterable[VerifierKey], state: Path, clock: Callable[[], int]
    ) -> None:
        self.key = verifier_key(name, COSIGNATURE_V1, signer)
        self._signer = signer
        self._log_keys = {key.name: key for key in log_keys}
        self._clock = clock
        self._one_at_a_time = threading.Lock()
        self._file = StateFile(state, "witness")
        try:
            data = self._file.read()
            empty = WitnessState("attest-witness-state/1", {})
            self._state = empty if data is None else from_json(WitnessState, data, str(state), OperatorError)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let another process take over the state."""
        self._file.close()

    def add_checkpoint(self, body: bytes) -> Answer:
        """Answer one ``add-checkpoint`` request.

        Raises :class:`OperatorError` when the new state cannot be stored; then nothing was cosigned.
        """
        try:
            old_size, path, checkpoint = _parse_request(body)
            note = parse_note(checkpoint)
            head = parse_checkpoint(note.text)
        except VerificationError as fault:
            return _refused(400, fault)
        log_key = self._log_keys.get(head.origin)
        if log_key is None:
            return text(404, "unknown log")
        try:
            verify_note(note, log_key)
        except VerificationError as fault:
            return _refused(403, fault)
        if old_size > head.size:
            return text(400, "the old size is larger than the checkpoint's")
        own = Note(note.text, tuple(line for line in note.signatures if _is_by(line, log_key)))
        with self._one_at_a_time:
            held = self._state.heads.get(head.origin, _NOTHING)
            if old_size != held.size:
                return Answer(409, "text/x.tlog.size", b"%d\n" % held.size)
            try:
                verify_consistency(held.size, bytes.fromhex(held.root), head.size, head.root, path)
            except VerificationError as fault:
                self._keep_fork(held, head, own)
                return _refused(422, fault)
            time = self._clock()
            self._remember(head.origin, WitnessedHead(head.size, head.root.hex(), own.to_bytes().decode(), time))
            signature = cosign(note.text, self.key.name, self._signer, time)
        return text(200, signature.line)

    def checkpoint(self, origin_hash: str) -> Answer:
        """Answer a monitor: the newest head cosigned of the log whose origin has this sha256 (lowercase hex), with the
        log's signature and this witness's cosignature."""
        for origin, head in self._state.heads.items():
            if digest(origin.encode()) == origin_hash and head.checkpoint is not None:
                note = parse_note(head.checkpoint.encode())
                signature = cosign(note.text, self.key.name, self._signer, head.time)
                whole = Note(note.text, (*note.signatures, signature)).to_bytes()
                return Answer(200, TEXT, whole)
        return text(404, "no checkpoint of that log was cosigned")

    def _remember(self, origin: str, head: WitnessedHead) -> None:
        state = replace(self._state, heads={**self._state.heads, origin: head})
        self._file.replace(to_json(state))
        self._state = state

    def _keep_fork(self, held: WitnessedHead, head: Checkpoint, note: Note) -> None:
        """Two heads of one size, both signed by the log, are proof against it: nobody else can make them."""
        if head.size == held.size and held.checkpoint is not None:
            self._file.keep(evidence_name(held.size, held.root), held.checkpoint.encode())
            self._file.keep(evidence_name(head.size, head.root.hex()), note.to_bytes())


#: What a witness holds of a log that it never cosigned.
_NOTHING = WitnessedHead(0, EMPTY_ROOT.hex())


def _is_by(signature: NoteSignature, key: VerifierKey) -> bool:
    return (signature.name, signature.key_id) == (key.name, key.key_id)


class WitnessServer(Server):
    """A witness over HTTP: ``POST /add-checkpoint``, and ``GET /<sha256 of the origin>/checkpoint`` for monitors.
    ``address`` is host (a name, IPv4 or IPv6) and port (0: any free one)."""

    def __init__(self, witness: Witness, address: tuple[str, int] = ("127.0.0.1", 0)) -> None:
        """Raises :class:`OperatorError` (``witness-address``)."""
        self.witness = witness
        super().__init__(
            address,
            _Handler,
            what="witness",
            reason="Logs reach a witness over HTTP.",
            advice="Choose another address or port, or stop what is listening there.",
        )


class _Handler(Handler):
    server: WitnessServer
    methods = ("GET", "POST")

    def do_POST(self) -> None:  # noqa: N802 - http.server's own name
        if self.path != "/add-checkpoint":
            return self._refuse(404, "only /add-checkpoint is here")
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()):
            return self._refuse(411, "Content-Length is missing")
        if len(length) > 9 or int(length) > MAX_REQUEST_BYTES:
            return self._refuse(413, "the request is too large")
        try:
            answer = self.server.witness.add_checkpoint(self.rfile.read(int(length)))
        except AttestError as fault:
            answer = text(500, fault.code)
        return self.send(answer)

    def do_GET(self) -> None:  # noqa: N802 - http.server's own name
        match = re.fullmatch("/([0-9a-f]{64})/checkpoint", self.path)
        if match is None:
            return self.send(text(404, "only /<sha256 of a log's origin>/checkpoint is here"))
        return self.send(self.server.witness.checkpoint(match[1]))

    def _refuse(self, status: int, line: str) -> None:
        self.close_connection = True  # its body is not read
        self.send(text(status, line))


def _parse_request(body: bytes) -> tuple[int, list[bytes], bytes]:
    head, separator, checkpoint = body.partition(b"\n\n")
    lines = head.decode("ascii", "replace").split("\n")
    word, _, number = lines[0].partition(" ")
    old_size = parse_size(number)
    if not separator or word != "old" or old_size is None or len(lines) - 1 > MAX_HASHES:
        raise _malformed("is not 'old <size>', at most 63 hashes, a blank line and a checkpoint")
    try:
        path = [decode_base64(line) for line in lines[1:]]
    except ValueError as fault:
        raise _malformed(f"has a hash that {fault}") from None
    return old_size, path, checkpoint


def _malformed(detail: str) -> VerificationError:
    return VerificationError(f"the request {detail}", code="malformed-request")


def _refused(status: int, fault: VerificationError) -> Answer:
    return text(status, fault.message)
