"""Steps 7 to 10: sign the statement, log it, anchor it on chain, publish the bundle."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import NamedTuple

from attest import records, statement
from attest.artifacts import (
    Anchored,
    Committed,
    Confirmed,
    Disclosures,
    Logged,
    Opened,
    Published,
    StatementSignature,
)
from attest.chain import state
from attest.documents import (
    MANIFEST_PAYLOAD_TYPE,
    PAYLOAD_TYPE,
    Anchor,
)
from attest.errors import AttestError, ChainError, ConflictError, OperatorError, SourceError, VerificationError
from attest.log.note import parse_vkey
from attest.log.proof import LoggedEntry, verify_log_proof
from attest.log.timestamp import QUERY_TYPE, request_stamp, verify_stamp
from attest.log.witness import collect_cosignature
from attest.log.writer import LogWriter
from attest.merkle.proof import InclusionProof
from attest.merkle.tree import MerkleTree
from attest.period import revision_name
from attest.publish import bundle
from attest.records import digest, to_json
from attest.scaffold import trust_example
from attest.secrets import resolve
from attest.signing import dsse
from attest.signing.signer import DigestSigner
from attest.steps.context import Run
from attest.steps.reports import anchor_intent, submitter
from attest.steps.reserves import recheck, tampered
from attest.steps.statements import check_disclosures, make_disclosures, predicate, reserves_file
from attest.store import Store, get_or_create
from attest.verify.trust import Trust

#: What auditors may begin with, in the public store.
TRUST_EXAMPLE = "trust.example.json"

# -- 7. sign ---------------------------------------------------------------------------------------------------------


def sign(run: Run) -> tuple[bytes, str]:
    """Fix the statement's payload, then add the signatures of the attestors held here, until the threshold; those of
    other operators' attestors that :func:`add_cosignature` stored count as well.

    Returns the envelope's bytes. Raises :class:`ConflictError` (exit 7) when a stored decision, the stored payload or a
    stored signature is not what the artifacts give (until the envelope is logged, every run looks again), and
    :class:`OperatorError` (exit 2, ``signatures-missing``) as long as other operators' signatures are awaited.
    """
    environment, area = run.environment, run.area
    stored = area.bytes_of("envelope")
    if stored is None or area.bytes_of("log") is None:
        recheck(run)
        opened, committed = run.take("open", Opened), run.take("commitment", Committed)
        disclosures = area.artifact("disclosures", Disclosures, lambda: make_disclosures(run))
        check_disclosures(run, disclosures)
        expected = statement.build(
            predicate(run, disclosures, run.take("confirmation", Confirmed)),
            reserves_file(opened, committed),
            signatures=len(run.config.signing.attestors),
        )
        payload = get_or_create(environment.private, area.key("payload"), lambda: expected)
        if payload != expected:
            raise tampered(area, "payload", "it is not the statement that the artifacts give")
        if stored is None:
            envelope = _signed_envelope(run, payload)
            stored = get_or_create(environment.private, area.key("envelope"), lambda: envelope)
        _check_signed(run, stored, payload)
    envelope_read = dsse.parse_envelope(stored, area.key("envelope"))
    count = len(envelope_read.signatures)
    return stored, f"statement {digest(envelope_read.body)[:16]}… signed by {count} of {count} attestors"


def _signed_envelope(run: Run, payload: bytes) -> bytes:
    signing = run.config.signing
    signatures: dict[str, StatementSignature] = {}
    for attestor in signing.own_attestors[: signing.threshold]:
        signer = run.environment.keys.attestor(attestor.address)
        keyid = dsse.keyid_of(dsse.spki_der(signer.public_key))
        signatures[keyid] = run.area.artifact(f"signatures/{keyid}", StatementSignature, _signature(signer, payload))
    signatures |= _cosignatures(run)
    if len(signatures) < signing.threshold:
        raise _signatures_missing(run, len(signatures))
    envelope = dsse.assemble_envelope(
        PAYLOAD_TYPE, payload, [(keyid, base64.b64decode(each.sig)) for keyid, each in signatures.items()]
    )
    _check_signed(run, envelope, payload)
    return envelope


def _cosignatures(run: Run) -> dict[str, StatementSignature]:
    """The stored signatures of attestors whose keys others hold, by key id."""
    area = run.area
    elsewhere = {attestor.address for attestor in run.config.signing.attestors if attestor.uri is None}
    found = {}
    for name in area.names("signatures") if elsewhere else ():
        signature = run.take(name, StatementSignature)
        try:
            address = dsse.address_of(signature.public_key.encode())
        except VerificationError as fault:
            raise tampered(area, name, fault.message) from None
        if address in elsewhere:
            found[name.removeprefix("signatures/")] = signature
    return found


def _signatures_missing(run: Run, count: int) -> OperatorError:
    signing, period = run.config.signing, run.period
    waiting = ", ".join(attestor.address for attestor in signing.attestors if attestor.uri is None)
    return OperatorError(
        f"period {period}: {count} of {signing.threshold} attestors signed; signatures of {waiting} are awaited",
        code="signatures-missing",
        reason="The statement is fixed, and waits until as many attestors as signing.threshold says have signed it.",
        advice=f"1. attest audit-package --period {period} --auditor NAME --out package.gpg   (for the co-attestor)\n"
        "2. They open it and run: attest cosign PACKAGE_DIR --attestor-key URI --address 0x… --rpc URL "
        "--out signature.json\n"
        f"3. attest run --period {period} --cosignature signature.json",
    )


def add_cosignature(run: Run, data: bytes, where: str) -> str:
    """Store another operator's signature (``attest cosign``'s document) over this attempt's fixed payload; returns the
    attestor's address. One that is stored already is left as it is.

    Raises :class:`OperatorError` when no payload is fixed yet, the statement is signed without it, or the key is none
    of the configured attestors held elsewhere; :class:`VerificationError` (exit 6) when it is no valid signature over
    this payload.
    """
    area = run.area
    payload = area.bytes_of("payload")
    if payload is None:
        raise OperatorError(
            f"{where}: period {run.period} has no statement to be signed yet",
            code="nothing-to-sign",
            reason="A signature belongs to the statement's fixed bytes.",
            advice=f"Run `attest run --period {run.period}` first; it stops when it waits for signatures.",
        )
    given = records.from_json(StatementSignature, data, where)
    public_key = given.public_key.encode()
    address = dsse.address_of(public_key)
    if address not in {attestor.address for attestor in run.config.signing.attestors if attestor.uri is None}:
        raise OperatorError(
            f"{where}: its key is {address}, which is no attestor that another operator holds",
            code="unknown-attestor",
            reason="Only signatures of the attestors that are pinned in signing.attestors count.",
            advice="Compare the address with the co-attestor's; it stands in [[signing.attestors]] without `uri`.",
        )
    keyid = dsse.keyid_of(dsse.spki_der(public_key))
    try:
        if dict(given.made_from) != area.digests("payload") or (given.keyid, given.public_key) != (
            keyid,
            dsse.spki_pem(public_key),
        ):
            raise ValueError("it is over another statement, or is not as attest writes it")
        dsse.verify_signature(public_key, PAYLOAD_TYPE, payload, records.decode_base64(given.sig))
    except (ValueError, VerificationError) as fault:
        raise VerificationError(
            f"{where}: is no signature of {address} over this statement: {fault}",
            code="cosignature-invalid",
            reason="Every signature is checked over the statement's very bytes before it counts.",
            advice="Make a new package with `attest audit-package` and have it signed again.",
        ) from None
    envelope = area.bytes_of("envelope")
    if envelope is not None and keyid not in {each.keyid for each in dsse.parse_envelope(envelope).signatures}:
        raise OperatorError(
            f"{where}: period {run.period} is signed already, without {address}",
            code="already-signed",
            reason="A signed statement is never changed.",
            advice="Nothing is lost: the attestors' threshold is met.",
        )
    area.artifact(f"signatures/{keyid}", StatementSignature, lambda: given)
    return address


def _check_signed(run: Run, envelope: bytes, payload: bytes) -> None:
    """The envelope carries this payload, and each signature is a configured attestor's, as many as the threshold says.
    Raises :class:`ConflictError`: what goes into the log stays there."""
    area, signing = run.area, run.config.signing
    try:
        parsed = dsse.parse_envelope(envelope, area.key("envelope"))
        if (parsed.payloadType, parsed.body) != (PAYLOAD_TYPE, payload):
            raise tampered(area, "envelope", "it carries another statement than the artifacts give")
        signed = set()
        for signature in parsed.signatures:
            name = f"signatures/{signature.keyid}"
            public_key = run.take(name, StatementSignature).public_key.encode()
            address = dsse.address_of(public_key)
            if address not in {attestor.address for attestor in signing.attestors}:
                raise tampered(area, name, f"its key is {address}, which is no configured attestor")
            dsse.verify_signature(public_key, PAYLOAD_TYPE, payload, signature.signature)
            signed.add(address)
    except VerificationError as fault:
        raise tampered(area, "envelope", fault.message) from None
    if len(signed) < signing.threshold or len(signed) != len(parsed.signatures):
        raise tampered(area, "envelope", f"{len(signed)} attestors signed it, {signing.threshold} must")


def _signature(signer: DigestSigner, payload: bytes) -> Callable[[], StatementSignature]:
    return lambda: statement_signature(signer, payload)


def statement_signature(signer: DigestSigner, payload: bytes) -> StatementSignature:
    """An attestor's signature over the payload's exact bytes."""
    return _signed(signer, PAYLOAD_TYPE, payload, {"payload": digest(payload)})


def _signed(signer: DigestSigner, payload_type: str, body: bytes, made_from: Mapping[str, str]) -> StatementSignature:
    signature = signer.sign_digest(dsse.message_digest(payload_type, body))
    return StatementSignature(
        format="attest-run-signature/1",
        made_from=made_from,
        keyid=dsse.keyid_of(dsse.spki_der(signer.public_key)),
        public_key=dsse.spki_pem(signer.public_key),
        sig=base64.b64encode(dsse.encode_der(signature.r, signature.s)).decode(),
    )


# -- 8. log ----------------------------------------------------------------------------------------------------------


def append_to_log(run: Run) -> tuple[Logged, str]:
    """Append the envelope, collect the witnesses' cosignatures of the head until their deadline, and have it
    time-stamped.

    Raises :class:`ChainError` (exit 5) when fewer than ``log.witness_quorum`` cosigned, or there is no time stamp and
    ``log.timestamp`` requires one; the next run asks them again.
    """
    environment, area, config = run.environment, run.area, run.config

    def compute() -> Logged:
        envelope = area.bytes_of("envelope") or b""
        log = LogWriter(environment.public, config.log.origin, environment.keys.log())
        receipt = log.append(envelope)
        size, cosigned = _cosign_newest(run, log)
        proof = log.proof_file(receipt.index, size)
        _check_logged(run, proof, envelope)
        if cosigned < config.log.witness_quorum:
            raise ChainError(
                f"log {config.log.origin}: {cosigned} of {config.log.witness_quorum} witnesses cosigned {size} entries",
                code="witness-quorum-not-met",
                reason="Without them nobody outside remembers this log, and a rewrite of it would go unseen.",
                advice="See that the witnesses answer (`attest doctor`), then run `attest run` again: the entry is in "
                "the log already, only the cosignatures are asked for.",
            )
        stamp = _time_stamp(run, log, size)
        return Logged(
            format="attest-run-log/1",
            made_from=area.digests("envelope"),
            index=receipt.index,
            size=size,
            witnesses=cosigned,
            root=log.checkpoint(size).checkpoint.root.hex(),
            proof=base64.b64encode(proof).decode(),
            timestamp=None if stamp is None else base64.b64encode(stamp).decode(),
        )

    logged = area.artifact("log", Logged, compute)
    asked = len(config.log.witnesses)
    return logged, f"entry {logged.index} of {config.log.origin}; {logged.witnesses} of {asked} witnesses cosigned"


def _check_logged(run: Run, proof: bytes, envelope: bytes) -> LoggedEntry:
    """The proof is of this very envelope, under the log's own key; raises :class:`ConflictError`."""
    key = parse_vkey(run.config.signing.log.vkey, "signing.log.vkey", OperatorError)
    try:
        return verify_log_proof(proof, envelope, key, (), run.area.key("log"))
    except VerificationError as fault:
        raise tampered(run.area, "log", f"the log has another envelope in this place: {fault.message}") from None


def _cosign_newest(run: Run, log: LogWriter) -> tuple[int, int]:
    """Size of the newest head, and how many witnesses cosigned it. While a witness is asked, another run may append,
    and have the witness cosign that: then it is asked for the head after ours."""
    while True:
        size = _newest_size(log)
        try:
            return size, _cosign(run, log, size)
        except ConflictError as fault:
            if fault.code != "witness-ahead" or _newest_size(log) == size:
                raise


def _newest_size(log: LogWriter) -> int:
    newest = log.latest_checkpoint()
    return 0 if newest is None else newest.checkpoint.size


def _cosign(run: Run, log: LogWriter, size: int) -> int:
    """How many configured witnesses cosigned the head; those that fail are asked again until the deadline."""
    environment = run.environment
    waiting = {witness.vkey: witness for witness in run.config.log.witnesses}
    waited, pause = 0.0, 0.5
    while waiting:
        for vkey, witness in list(waiting.items()):
            key = parse_vkey(vkey)
            environment.narrator.progress(f"asking witness {key.name}")
            try:
                collect_cosignature(log, size, key, _poster(run, witness.url))
                del waiting[vkey]
            except ConflictError:
                raise
            except (AttestError, OSError) as fault:
                environment.narrator.progress(f"witness {key.name}: {fault}")
        if not waiting or waited >= run.config.log.witness_deadline_seconds:
            break
        environment.sleep(pause)
        waited, pause = waited + pause, pause * 2
    return len(run.config.log.witnesses) - len(waiting)


def _time_stamp(run: Run, log: LogWriter, size: int) -> bytes | None:
    """The configured authority's stamp over the head at ``size``: the stored one, or asked for, verified and stored.
    None without an authority, or when it gives none and none is required."""
    environment, wanted = run.environment, run.config.log.timestamp
    if wanted is None:
        return None
    text, roots, where = log.checkpoint(size).note.text, [wanted.authority], f"time stamp by {wanted.name}"
    try:
        stored = log.timestamp(size, wanted.name)
        if stored is not None:
            verify_stamp(stored, text, roots, where)
            return stored
        environment.narrator.progress(f"asking {wanted.name} for a time stamp")
        url = _revealed(run, wanted.url)
        answer, _ = request_stamp(lambda body: environment.post(url, body, QUERY_TYPE), text, roots, where)
    except (SourceError, VerificationError, OSError) as fault:
        if wanted.required:
            raise ChainError(
                f"log {run.config.log.origin}: no time stamp by {wanted.name} over {size} entries ({fault})",
                code="timestamp-missing",
                reason="The configuration requires one (log.timestamp): the time shall not be the issuer's word alone.",
                advice="See that the authority answers and `authority` is its root (`attest doctor`), then run "
                "`attest run` again: only what is missing is asked for.",
            ) from None
        environment.narrator.progress(f"no time stamp by {wanted.name}: {fault}")
        return None
    return log.add_timestamp(size, wanted.name, answer)


def _poster(run: Run, url: str) -> Callable[[bytes], tuple[int, bytes]]:
    """How to reach a witness: its configured URL, or the one that the configured reference names."""
    prefix = _revealed(run, url).rstrip("/")
    return lambda body: run.environment.post(f"{prefix}/add-checkpoint", body)


def _revealed(run: Run, url: str) -> str:
    return url if url.startswith("http") else resolve(url, base=run.environment.loaded.base).reveal()


# -- 9. anchor -------------------------------------------------------------------------------------------------------


def anchor(run: Run) -> tuple[Anchored, str]:
    """Publish root, statement digest and log head in the registry, and read the entry back at finality.

    Raises :class:`ChainError` (exit 5) if the registry would not take it or holds something else.
    """
    area, config = run.area, run.config
    expected = _to_anchor(run)
    intent = anchor_intent(
        run,
        statement_digest=bytes.fromhex(expected.statement),
        log_root=bytes.fromhex(expected.log_root),
        log_size=expected.log_size,
    )

    def compute() -> Anchored:
        sender = submitter(run, config.registry.chain)
        sender.submit([intent])
        timeout = config.chains[config.registry.chain].confirm_timeout_seconds
        receipts = sender.confirm([intent], timeout_seconds=timeout)
        opened = run.take("open", Opened)
        entry, proof = state.read_anchor(
            run.environment.client(config.registry.chain),
            config,
            period=opened.period,
            revision=opened.revision,
            publisher=config.signing.publisher.address,
            base=run.environment.loaded.base,
        )
        if _entry(entry) != expected:
            raise ChainError(
                f"registry {config.registry.address}: revision {opened.revision} of {opened.period} is another entry",
                code="anchor-differs",
                reason="An entry is never overwritten; somebody else with the publisher's key wrote this one.",
                advice="Find out who used the publisher's key, and tell the auditors: the log has what was signed.",
            )
        return Anchored("attest-run-anchor/1", area.digests("log", "commitment"), tuple(receipts), entry, proof)

    anchored = area.artifact("anchor", Anchored, compute)
    if _entry(anchored.anchor) != expected:
        raise tampered(area, "anchor", "it is not the entry of this statement")
    return anchored, f"registry {anchored.anchor.registry}, block {anchored.anchor.block.number}"


class _Entry(NamedTuple):
    """What the registry holds of one attestation."""

    root: str
    size: int
    statement: str
    log_root: str
    log_size: int


def _entry(anchored: Anchor) -> _Entry:
    return _Entry(anchored.root, anchored.size, anchored.statement, anchored.log_root, anchored.log_size)


def _to_anchor(run: Run) -> _Entry:
    """The entry of the logged envelope: what it commits to, and the log's head that it is proven against. Raises
    :class:`ConflictError` where a stored artifact says otherwise: what is anchored stays."""
    area = run.area
    committed, logged = run.take("commitment", Committed), run.take("log", Logged)
    envelope = area.bytes_of("envelope") or b""
    head = _check_logged(run, base64.b64decode(logged.proof), envelope).checkpoint
    if (head.root.hex(), head.size) != (logged.root, logged.size):
        raise tampered(area, "log", "root or size are not those of its proof")
    payload = dsse.parse_envelope(envelope, area.key("envelope")).body
    merkle = statement.read(payload, area.key("envelope")).predicate.merkle
    if (merkle.root, merkle.size) != (committed.root, len(committed.leaves)):
        raise tampered(area, "commitment", "root or size are not those of the signed statement")
    return _Entry(merkle.root, merkle.size, digest(payload), logged.root, logged.size)


# -- 10. publish -----------------------------------------------------------------------------------------------------


def publish(run: Run) -> tuple[Published, str]:
    """Write the bundle and the dashboard to the public store, the accounts' proofs to the private one."""
    environment, area = run.environment, run.area
    opened, committed = run.take("open", Opened), run.take("commitment", Committed)
    confirmed, anchored = run.take("confirmation", Confirmed), run.take("anchor", Anchored)
    logged = run.take("log", Logged)

    def compute() -> Published:
        files = _with_manifest(
            run,
            bundle.files(
                opened=opened,
                confirmed=confirmed,
                anchored=anchored,
                reserves=reserves_file(opened, committed),
                envelope=area.bytes_of("envelope") or b"",
                log_proof=base64.b64decode(logged.proof),
                timestamp=None if logged.timestamp is None else base64.b64decode(logged.timestamp),
                registry=run.config.registry.address,
                oracle=run.config.oracle.address,
            ),
        )
        folder = bundle.folder(opened.period, opened.revision)
        for name, data in files.items():
            bundle.put(environment.public, f"{folder}/{name}", data)
        for account, proof in _proofs(opened, committed):
            environment.private.create(proof_key(opened.period, opened.revision, account), to_json(proof))
        # A statement without any reserve was reported by nobody: it knows neither the oracle's quorum nor its code.
        if confirmed.reading.consensus or environment.public.get(TRUST_EXAMPLE) is None:
            environment.public.replace(TRUST_EXAMPLE, to_json(trust_for_auditors(run)))
        bundle.refresh_site(environment.public, environment.loaded.config, now=environment.now())
        return Published(
            format="attest-run-publication/1",
            made_from=area.digests("commitment", "envelope", "log", "anchor"),
            folder=folder,
            files={name: digest(data) for name, data in files.items()},
        )

    published = area.artifact("publication", Published, compute)
    return published, f"{len(published.files)} files in {environment.public.url}/{published.folder}"


def _with_manifest(run: Run, content: dict[str, bytes]) -> dict[str, bytes]:
    """The files with their manifest, which is written last, and an attestor's signature over it: created once, as a key
    service signs the same bytes differently each time. A statement of an earlier release promises no signature.

    Raises :class:`ConflictError` if the stored signature is not an attestor's over this very manifest.
    """
    area, signing = run.area, run.config.signing
    predicate = statement.read(dsse.parse_envelope(content[bundle.ENVELOPE]).body).predicate
    data = bundle.manifest(
        content,
        version=predicate.bundle or "attest-manifest/1",
        period=predicate.period,
        revision=predicate.revision,
    )
    if predicate.bundle is None:
        return content | {bundle.MANIFEST: data}
    name, attestor = "manifest-signature", signing.own_attestors[0]

    def compute() -> StatementSignature:
        signer = run.environment.keys.attestor(attestor.address)
        return _signed(signer, MANIFEST_PAYLOAD_TYPE, data, area.digests("commitment", "envelope", "log", "anchor"))

    signature = area.artifact(name, StatementSignature, compute)
    key, der = signature.public_key.encode(), base64.b64decode(signature.sig)
    try:
        dsse.verify_signature(key, MANIFEST_PAYLOAD_TYPE, data, der)
        known = dsse.address_of(key) in {each.address for each in signing.attestors}
    except VerificationError as fault:
        raise tampered(area, name, fault.message) from None
    if not known or signature.keyid != dsse.keyid_of(dsse.spki_der(key)):
        raise tampered(area, name, "it is no configured attestor's")
    signed = dsse.assemble_envelope(MANIFEST_PAYLOAD_TYPE, data, [(signature.keyid, der)])
    return content | {bundle.MANIFEST_ENVELOPE: signed, bundle.MANIFEST: data}


def trust_for_auditors(run: Run) -> Trust:
    """What an auditor may begin with, from this run's artifacts: keys that signed, contracts as they were proven."""
    opened, confirmed, anchored = (
        run.take("open", Opened),
        run.take("confirmation", Confirmed),
        run.take("anchor", Anchored),
    )
    proofs = (*opened.supply.proofs, *confirmed.reading.proofs, anchored.proof)
    envelope = dsse.parse_envelope(run.area.bytes_of("envelope") or b"", run.area.key("envelope"))
    signatures = [run.take(f"signatures/{each.keyid}", StatementSignature) for each in envelope.signatures]
    return trust_example(
        run.config,
        earliest_period=_earliest(run.environment.public, opened.period),
        attestors=[signature.public_key for signature in signatures],
        code_hashes={
            (proof.block.chain_id, account.address): account.code_hash for proof in proofs for account in proof.accounts
        },
        min_quorum=min((item.required_quorum for item in confirmed.reading.consensus), default=1),
    )


def _earliest(public: Store, period: str) -> str:
    """The first period that is published, ``period`` if it is the first."""
    names = {key.split("/")[1].partition(".")[0] for key in public.list("attestations")}
    return min({period, *names})


def proof_key(period: str, revision: int, account: str) -> str:
    """Where an account's inclusion proof is kept in the private store."""
    return f"proofs/{revision_name(period, revision)}/{account}.json"


def _proofs(opened: Opened, committed: Committed) -> list[tuple[str, InclusionProof]]:
    leaves = [base64.b64decode(leaf) for leaf in committed.leaves]
    tree = MerkleTree(leaves)
    proofs = []
    for index, leaf in enumerate(leaves):
        account = records.load_plain(leaf, "leaf", ConflictError)["account"]
        proofs.append(
            (
                account,
                InclusionProof(
                    format="attest-inclusion-proof/1",
                    period=opened.period,
                    revision=opened.revision,
                    tree_size=tree.size,
                    leaf_index=index,
                    leaf=committed.leaves[index],
                    audit_path=tuple(node.hex() for node in tree.inclusion_path(index)),
                    root=committed.root,
                ),
            )
        )
    return proofs
