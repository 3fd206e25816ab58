// SPDX-License-Identifier: GPL-3.0-or-later
// What a check opens to: its rule, the working with this bundle's own numbers, and the bytes that it looked at.

import { ENVELOPE, LOG_PROOF, MANIFEST, MANIFEST_ENVELOPE, RECEIPTS, RESERVES } from "./bundle.js";
import { fromHex, fromUtf8, toBase64, toHex } from "./bytes.js";
import { openCheckpoint, parseLogProof } from "./checkpoint.js";
import { attestedTokens } from "./checks.js";
import { digest, sha256 } from "./crypto.js";
import { InclusionProof, MANIFEST_PAYLOAD_TYPE, PAYLOAD_TYPE } from "./documents.js";
import { badge, html, lines } from "./dom.js";
import { decodeDer, pae, parseEnvelope, verifies } from "./dsse.js";
import { UnavailableError, VerificationError } from "./errors.js";
import { readHistory } from "./history.js";
import { readLeaves } from "./leaves.js";
import { climb, leafHash } from "./merkle.js";
import { format, group } from "./money.js";
import { formatInstant, moment } from "./period.js";
import { fromJson } from "./records.js";
import { issued } from "./statement.js";
import { drawTree } from "./tree.js";
import { validIn } from "./trust.js";

const SHOWN_CHARACTERS = 20_000;

const RULES = {
  files:
    "manifest.json lists every file with its SHA-256 and size; each file must be exactly the listed one, and no " +
    "other may be there. The manifest's very bytes must carry a signature, over sha256(PAE), of an attestor whom you" +
    " trust for this period. A statement of an older release may come with a manifest that nobody signed.",
  statement:
    "The signed bytes must be readable in exactly one way (no name twice, no fraction, no unknown field), and every " +
    "figure that follows from others is computed again: supplies are the sum over all deployments, the reserve that " +
    "counts is the lower of the issuer's own and the one reported on chain, the surplus is that minus the higher " +
    "supply.",
  signatures:
    "DSSE: ECDSA on the curve secp256k1 over sha256(PAE), where PAE is “DSSEv1”, type and statement, each " +
    "with its length. A signature counts in its one form only (DER, low s), once for each key, and only by a key " +
    "that your trust file allows for this period. The key id in the file is a hint that nobody believes.",
  subject:
    "The statement names the SHA-256 of reserves.json; that file must have it, and the same period, Merkle root, " +
    "size and totals.",
  period:
    "Issuer and earliest period come from your trust file. The cutoff must lie in the period's ISO week (a day of " +
    "leeway for time zones) and not in the future, and all files must be of the same period and revision.",
  "log-inclusion":
    "RFC 9162: the log's leaf is SHA-256 of the byte 00 and the whole envelope; the audit path has exactly as many " +
    "hashes as index and size fix, and must lead to the root in the checkpoint, which the log's own key signed " +
    "(Ed25519).",
  consistency:
    "RFC 9162: the log's hash tiles must give a proof that the newer of both checkpoints begins with all entries of " +
    "the older one. Both must be signed by the log's own key.",
  history:
    "All entries are hashed and must lead to the checkpoint's root. Then every one is read: none may supersede or " +
    "revoke this statement, no period and revision may have two statements, revisions must follow one another, and " +
    "with a cadence in your trust file no period may be missing. Entries before your earliest period are passed over.",
  witnesses:
    "C2SP tlog-cosignature: each witness signs the checkpoint's text with the time at which it saw it, after " +
    "checking that the log only grew. As many as your trust file asks for must have done so.",
  timestamp: "RFC 3161: an authority signs the hash of the checkpoint with the time at which it was shown it.",
  tokens: "Tokens, currencies, decimals and every deployment must be exactly those of your trust file.",
  policy:
    "The weakest rule by which any account of a token was decided must be at least as strict as your trust file " +
    "asks, and so must what was found: sources, origins, tolerances, ages (of the supply too), dissent, waivers.",
  coverage:
    "For each token by itself: the reserve that counts is at least the higher of both supplies. Nothing is netted.",
  consensus:
    "The statement's own words about the oracle: your oracle's address, its quorum met and not below yours, and a " +
    "report of the issuer's own on its chain. That the chain says so too is for the two checks that follow.",
  receipts:
    "The listed transactions must be those of the statement, to your oracle; the anchor must be in your registry, by" +
    " a publisher whom you trust for this period, of this statement, Merkle root and log.",
  "chain-proof":
    "EIP-1186: supply, consensus and anchor follow from block headers that enough of the validators in your trust " +
    "file sealed. It needs Keccak and RLP, which this page leaves out.",
  "chain-rpc": "A node of your own is asked for supply, consensus and anchor at the very blocks of the statement.",
  leaves:
    "All leaves are hashed to the signed root and size, and their balances are added up for each token; times, " +
    "counts and kinds must fit the statement.",
  evidence: "The custodians' documents are hashed, and the decision on every account is made again from what they say.",
  freshness: "The cutoff must not be further back than your trust file's maximum_age_seconds.",
  inclusion:
    "RFC 9162: your leaf is SHA-256 of the byte 00 and the leaf's exact bytes; the audit path has exactly as many " +
    "hashes as index and size fix, and must lead to the root in the signed statement. The root in the proof's own " +
    "file is never used.",
};

/** The elements behind a check; `extra`: the `proof` that was given, if any. */
export async function explain(name, subject, extra) {
  const parts = [html("h4", {}, "The rule"), html("p", {}, RULES[name])];
  const working = WORKING[name];
  if (working === undefined) return parts;
  try {
    const shown = (await working(subject, extra)).filter((part) => part !== null);
    if (shown.length > 0) parts.push(html("h4", {}, "The working and the bytes"), ...shown);
  } catch (fault) {
    if (!(fault instanceof VerificationError || fault instanceof UnavailableError)) throw fault;
    parts.push(html("h4", {}, "The working"), html("p", {}, `There is nothing to show: ${fault.message}.`));
  }
  return parts;
}

// -- pieces ---------------------------------------------------------------------------------------------------------

function facts(pairs) {
  return html(
    "dl",
    { class: "facts" },
    pairs.map(([term, value]) => [html("dt", {}, term), html("dd", {}, value)]),
  );
}

function code(text) {
  return html("code", {}, text);
}

function table(caption, columns, rows) {
  return html(
    "div",
    { class: "scroll", role: "group", tabindex: "0", "aria-label": caption },
    html(
      "table",
      {},
      html("caption", {}, caption),
      html("thead", {}, html("tr", {}, columns.map((column) => html("th", { scope: "col" }, column)))),
      html(
        "tbody",
        {},
        rows.map(([first, ...others]) =>
          html("tr", {}, html("th", { scope: "row" }, first), others.map((cell) => html("td", {}, cell))),
        ),
      ),
    ),
  );
}

/** A file's bytes as text, folded away; hex where they are no text. */
function file(name, data) {
  const text = fromUtf8(data) ?? toHex(data);
  const rest = text.length > SHOWN_CHARACTERS ? `\n… ${text.length - SHOWN_CHARACTERS} more characters` : "";
  return html(
    "details",
    {},
    html("summary", {}, `${name}, ${data.length} bytes`),
    html(
      "div",
      { class: "bytes", role: "group", tabindex: "0", "aria-label": `The bytes of ${name}` },
      html("code", {}, lines(text.slice(0, SHOWN_CHARACTERS) + rest)),
    ),
  );
}

function same(one, other) {
  return badge(one === other ? "pass" : "fail");
}

function amount(units, decimals, unit) {
  return `${group(format(units, decimals))} ${unit}`;
}

// -- one for each check ---------------------------------------------------------------------------------------------

const WORKING = {
  async files(subject) {
    if (!subject.files.has(MANIFEST)) return [];
    let listed = new Map();
    try {
      const { files } = JSON.parse(fromUtf8(subject.files.get(MANIFEST)));
      listed = new Map(files.map((entry) => [entry.name, entry.sha256]));
    } catch {
      // The check says that it cannot be read; its bytes are shown below all the same.
    }
    const rows = [];
    for (const [name, data] of [...subject.files].sort()) {
      if (name === MANIFEST || name === MANIFEST_ENVELOPE) continue;
      const found = await digest(data);
      rows.push([name, String(data.length), code(found), same(found, listed.get(name))]);
    }
    const signed = subject.files.get(MANIFEST_ENVELOPE);
    return [
      table("The files, hashed here", ["File", "Bytes", "SHA-256", "As listed"], rows),
      signed === undefined ? null : await signatureTable(subject, await parseEnvelope(signed), MANIFEST_PAYLOAD_TYPE),
      file(MANIFEST, subject.files.get(MANIFEST)),
      signed === undefined ? null : file(MANIFEST_ENVELOPE, signed),
    ];
  },

  async statement(subject) {
    const { body } = await subject.envelope();
    const predicate = await subject.predicate().catch(() => null);
    return [
      facts([["SHA-256 of the statement", code(await digest(body))]]),
      predicate === null ? null : figures(predicate),
      file("The statement", body),
    ];
  },

  async signatures(subject) {
    const envelope = await subject.envelope();
    const message = pae(PAYLOAD_TYPE, envelope.body);
    const head = message.subarray(0, message.length - envelope.body.length);
    return [
      facts([
        ["PAE begins with", code(fromUtf8(head))],
        ["sha256(PAE)", code(toHex(await sha256(message)))],
      ]),
      await signatureTable(subject, envelope, PAYLOAD_TYPE),
      file(ENVELOPE, subject.file(ENVELOPE)),
    ];
  },

  async subject(subject) {
    const [named] = (await subject.statement()).subject;
    const found = await digest(subject.file(RESERVES));
    return [
      facts([
        ["SHA-256 of reserves.json", code(found)],
        ["The statement says", [code(named.digest.sha256), " ", same(found, named.digest.sha256)]],
      ]),
      file(RESERVES, subject.file(RESERVES)),
    ];
  },

  async period(subject) {
    const predicate = await subject.predicate();
    return [
      facts([
        ["Issuer", predicate.issuer],
        ["You expect", subject.trust.issuer],
        ["Period", `${predicate.period}, revision ${predicate.revision}`],
        ["Your earliest", subject.trust.earliest_period],
        ["Cutoff", moment(predicate.cutoff)],
        ["Judged as of", moment(subject.now)],
      ]),
    ];
  },

  async "log-inclusion"(subject) {
    const envelope = subject.file(ENVELOPE);
    const { index, path, checkpoint } = parseLogProof(subject.file(LOG_PROOF), LOG_PROOF);
    const { signed } = await subject.logged();
    const leaf = await leafHash(envelope);
    const { size, root, origin } = signed.checkpoint;
    return [
      facts([
        ["The log", origin],
        ["Its key, from your trust file", code(subject.trust.log.vkey)],
        ["Entry", `${index} of ${size}, counted from 0`],
        ["Leaf hash", code(toHex(leaf))],
        ["Root that the log signed", code(toHex(root))],
      ]),
      drawTree({
        leaf,
        steps: await climb(leaf, index, size, path),
        names: { leaf: "the hash of this statement's envelope", root: "the root that the log signed" },
        signed: toHex(root),
      }),
      file("The checkpoint", checkpoint),
    ];
  },

  async consistency(subject) {
    if (subject.since === null) return [];
    const kept = await openCheckpoint(subject.since, subject.trust.log.key, "your checkpoint");
    const own = (await subject.logged()).signed.checkpoint;
    const heads = [
      ["Your checkpoint", kept.checkpoint],
      ["This bundle's", own],
      ...(subject.log === null ? [] : [["The log's newest", (await subject.newest()).checkpoint]]),
    ];
    return [
      table(
        "The heads that are compared",
        ["Head", "Entries", "Root"],
        heads.map(([name, { size, root }]) => [name, String(size), code(toHex(root))]),
      ),
      file("Your checkpoint", subject.since),
    ];
  },

  async history(subject) {
    if (subject.log === null) return [];
    const rows = (await readHistory(subject)).statements.map(({ index, statement, predicate }) => [
      predicate.period,
      String(predicate.revision),
      String(index),
      predicate.supersedes === null ? "first statement" : `${predicate.supersedes.kind}: ${predicate.supersedes.reason}`,
      code(statement),
    ]);
    return [table("The statements in the log", ["Period", "Revision", "Entry", "What it is", "SHA-256"], rows)];
  },

  async leaves(subject) {
    if (subject.leaves === null) return [];
    const { tokens } = await subject.predicate();
    const rows = (await readLeaves(subject)).map((leaf) => {
      const { exponent } = tokens.find(({ token }) => token === leaf.token);
      const balance = amount(leaf.minor_units, exponent, leaf.currency);
      return [leaf.account, leaf.custodian, leaf.token, balance, moment(leaf.as_of)];
    });
    return [table("The accounts, in the tree's order", ["Account", "Custodian", "Token", "Balance", "As of"], rows)];
  },

  async witnesses(subject) {
    const { note } = (await subject.logged()).signed;
    const found = new Map((await subject.cosignatures()).map(({ witness, time }) => [witness, time]));
    return [
      table(
        "The witnesses of your trust file",
        ["Witness", "Saw this checkpoint", "Its key"],
        subject.trust.witnesses.keys.map(({ name, publicKey }) => [
          name,
          found.has(name) ? moment(Number(found.get(name))) : "no cosignature",
          code(toHex(publicKey)),
        ]),
      ),
      html("p", {}, "What they signed, after a line with that time:"),
      html("p", {}, html("code", {}, lines(note.text.trimEnd()))),
    ];
  },

  async tokens(subject) {
    const { tokens } = await subject.predicate();
    const written = (token) => [
      `${token.currency}, ${token.exponent} and ${token.decimals} decimals`,
      html("br"),
      token.deployments.map(({ chain_id: chain, address }) => [code(address), ` on chain ${chain}`, html("br")]).flat(),
    ];
    const names = new Set([...tokens, ...subject.trust.tokens].map(({ token }) => token));
    const cell = (all, name) => {
      const token = all.find((each) => each.token === name);
      return token === undefined ? "not named" : written(token);
    };
    return [
      table(
        "Tokens and deployments",
        ["Token", "The statement", "Your trust file"],
        [...names].sort().map((name) => [name, cell(tokens, name), cell(subject.trust.tokens, name)]),
      ),
    ];
  },

  async policy(subject) {
    const yours = subject.trust.policy;
    const predicate = await subject.predicate();
    const all = attestedTokens(predicate);
    const row = (what, mine, theirs) => [what, String(mine), ...all.map(([, stated]) => String(theirs(stated)))];
    return [
      table(
        "The rule and what was found",
        ["Limit", "Your trust file", ...all.map(([token]) => token.token)],
        [
          row("Sources at least", yours.min_sources, ({ policy }) => policy.min_sources),
          row("Sources found, fewest", "", ({ agreement }) => agreement.fewest_sources),
          row("Origins at least", yours.min_origins, ({ policy }) => policy.min_origins),
          row("Origins found, fewest", "", ({ agreement }) => agreement.fewest_origins),
          row("Tolerance, minor units", yours.max_tolerance_abs, ({ policy }) => policy.tolerance_abs),
          row("Tolerance, basis points", yours.max_tolerance_bps, ({ policy }) => policy.tolerance_bps),
          row("Age of a balance, seconds", yours.max_age_seconds, ({ policy }) => policy.max_age_seconds),
          row("Dissenting sources", yours.allow_dissent, ({ policy }) => policy.allow_dissent),
          row("Waivers", yours.waivers.join(", ") || "none", ({ agreement }) => {
            return agreement.waivers.map((waiver) => `${waiver.code} (${waiver.count})`).join(", ") || "none";
          }),
        ],
      ),
      facts(
        predicate.chains.map((chain) => [
          `Supply on chain ${chain.chain_id}`,
          `read ${chain.supply_gap_seconds} seconds before the cutoff`,
        ]),
      ),
    ];
  },

  async coverage(subject) {
    return [figures(await subject.predicate())];
  },

  async consensus(subject) {
    const { oracle } = subject.trust;
    return [
      facts([
        ["Your oracle", [code(oracle.address), ` on chain ${oracle.chain_id}`]],
        ["Reports at least", String(oracle.min_quorum)],
      ]),
      table(
        "As the statement says",
        ["Token", "Oracle", "Reports", "Quorum", "Consensus", "The issuer's own transactions"],
        attestedTokens(await subject.predicate()).map(([token, { consensus }]) => [
          token.token,
          code(consensus.oracle),
          String(consensus.reports),
          `${consensus.required_quorum}, ${consensus.quorum_met ? "met" : "not met"}`,
          amount(consensus.units, token.decimals, token.token),
          token.reports.flatMap((report) => [code(`0x${report.transaction}`), html("br")]),
        ]),
      ),
    ];
  },

  async receipts(subject) {
    const { anchor } = await subject.receipts();
    const predicate = await subject.predicate();
    const row = (what, ...both) => {
      const [found, wanted] = both.map(String);
      return [what, code(found), code(wanted), same(found.toLowerCase(), wanted.toLowerCase())];
    };
    const { root, size } = (await subject.logged()).signed.checkpoint;
    return [
      table(
        "The anchor, as receipts.json says",
        ["Of", "The anchor", "Must be", "Equal"],
        [
          row("Registry", anchor.registry, subject.trust.registry.address),
          row("Statement", anchor.statement, await subject.statementDigest()),
          row("Merkle root", anchor.root, predicate.merkle.root),
          row("Accounts", anchor.size, predicate.merkle.size),
          row("Log root", anchor.log_root, toHex(root)),
          row("Log size", anchor.log_size, size),
        ],
      ),
      file(RECEIPTS, subject.file(RECEIPTS)),
    ];
  },

  async freshness(subject) {
    const { cutoff } = await subject.predicate();
    return [
      facts([
        ["Cutoff", moment(cutoff)],
        ["Judged as of", moment(subject.now)],
        ["Seconds between", String(subject.now - cutoff)],
        ["You accept", String(subject.trust.maximum_age_seconds ?? "any age")],
      ]),
    ];
  },

  async inclusion(subject, { proof }) {
    const { merkle } = await subject.predicate();
    const { leaf: written, leaf_index: index, audit_path: path } = await fromJson(InclusionProof, proof, "the proof");
    const bytes = Uint8Array.from(atob(written), (character) => character.charCodeAt(0));
    const leaf = await leafHash(bytes);
    return [
      facts([
        ["Leaf", `${index} of ${merkle.size}, counted from 0`],
        ["Leaf hash", code(toHex(leaf))],
        ["Root in the signed statement", code(merkle.root)],
      ]),
      drawTree({
        leaf,
        steps: await climb(leaf, index, merkle.size, path.map(fromHex)),
        names: { leaf: "the hash of this account's leaf", root: "the root in the signed statement" },
        signed: merkle.root,
      }),
      file("The leaf", bytes),
    ];
  },
};

/** Who made each signature of an envelope, tried with every key of the trust file. */
async function signatureTable(subject, envelope, payloadType) {
  const period = await subject.period().catch(() => null);
  const rows = [];
  for (const { keyid, bytes } of envelope.signatures) {
    const numbers = decodeDer(bytes);
    let who = "nobody of your trust file";
    for (const attestor of subject.trust.attestors) {
      if (!(await verifies(attestor.spki, payloadType, envelope.body, bytes))) continue;
      who = attestor.name + (period !== null && !validIn(attestor, period) ? ", not valid for this period" : "");
    }
    const written = numbers?.map((number) => number.toString(16).padStart(64, "0")).join(" ") ?? toBase64(bytes);
    rows.push([who, code(written), code(keyid)]);
  }
  return table("The signatures", ["By", "r and s", "Key id, a hint"], rows);
}

function figures(predicate) {
  return table(
    `The figures, as of ${formatInstant(predicate.cutoff)}`,
    ["Token", "Reserve, the issuer's", "Reserve, on chain", "Supply, the higher", "Surplus", "Verdict"],
    predicate.tokens.map((token) => {
      const units = (number) => (number === null ? "not stated" : amount(number, token.decimals, token.token));
      return [
        token.token,
        units(token.reserve_units),
        units(token.consensus?.units ?? null),
        units(issued(token)),
        units(token.surplus_units),
        badge(token.verdict),
      ];
    }),
  );
}
