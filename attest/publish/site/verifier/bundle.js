// SPDX-License-Identifier: GPL-3.0-or-later
// A bundle's files as a stranger's: bounded, no odd names, every file as the manifest says (attest/verify/bundle.py).

import { digest } from "./crypto.js";
import { MAX_ENVELOPE_BYTES, Manifest } from "./documents.js";
import { VerificationError, cut, repr } from "./errors.js";
import { fromJson } from "./records.js";

export const ENVELOPE = "attestation.dsse.json";
export const RESERVES = "reserves.json";
export const RECEIPTS = "receipts.json";
export const LOG_PROOF = "attestation.tlog-proof";
export const CHAIN_PROOF = "chain-proof.json";
export const MANIFEST = "manifest.json";
/** The attestors' signatures over the manifest; it covers all others, so it is not listed itself. */
export const MANIFEST_ENVELOPE = "manifest.dsse.json";

/** From this version on the manifest is signed. */
export const SIGNED_FORMAT = "attest-manifest/2";

const REQUIRED = [ENVELOPE, RESERVES, RECEIPTS, LOG_PROOF, MANIFEST];
const MEBIBYTE = 1 << 20;
const MAX_BYTES = new Map([
  [ENVELOPE, MAX_ENVELOPE_BYTES],
  [RESERVES, MEBIBYTE],
  [RECEIPTS, 4 * MEBIBYTE],
  [LOG_PROOF, MEBIBYTE],
  [MANIFEST, MEBIBYTE],
  [MANIFEST_ENVELOPE, MAX_ENVELOPE_BYTES],
  [CHAIN_PROOF, 32 * MEBIBYTE],
]);
const MAX_OTHER_BYTES = 64 * MEBIBYTE;
/** Of all files together. */
const MAX_BUNDLE_BYTES = 128 * MEBIBYTE;
const MAX_FILES = 64;
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;

/** Throws `VerificationError` for too many or too large files and for odd names. */
export function checkFiles(files) {
  if (files.size > MAX_FILES) throw refuse(`the folder has more than ${MAX_FILES} entries`);
  let left = MAX_BUNDLE_BYTES;
  for (const [name, data] of files) {
    if (!NAME.test(name)) throw refuse(`${repr(cut(name, 200))} is no name of a bundle's file`);
    const limit = Math.min(MAX_BYTES.get(name) ?? MAX_OTHER_BYTES, left);
    if (data.length > limit) throw refuse(`'${name}' has more than ${limit} bytes`);
    left -= data.length;
  }
}

/** The manifest, once every file is exactly the one it lists; throws `VerificationError` naming the file. */
export async function checkManifest(files) {
  const missing = REQUIRED.filter((name) => !files.has(name));
  if (missing.length > 0) throw refuse(`${missing.join(", ")} missing`);
  const manifest = await readManifest(files.get(MANIFEST));
  const listed = new Map(manifest.files.map((entry) => [entry.name, entry]));
  const unlisted = manifest.format === SIGNED_FORMAT ? [MANIFEST, MANIFEST_ENVELOPE] : [MANIFEST];
  for (const name of [...new Set([...listed.keys(), ...files.keys()])].sort()) {
    if (unlisted.includes(name)) continue;
    if (!files.has(name)) throw refuse(`${name} is listed in ${MANIFEST} but missing`);
    if (!listed.has(name)) throw refuse(`${name} is not listed in ${MANIFEST}`);
    const { sha256, size } = listed.get(name);
    if (sha256 !== (await digest(files.get(name))) || size !== files.get(name).length) {
      throw refuse(`${name} is not the file that ${MANIFEST} lists: its digest or size differs`);
    }
  }
  return manifest;
}

/** A manifest whose names are those of a bundle's files, each once. */
async function readManifest(data) {
  const manifest = await fromJson(Manifest, data, MANIFEST);
  const names = manifest.files.map((entry) => entry.name);
  if (new Set(names).size !== names.length || names.includes(MANIFEST) || names.includes(MANIFEST_ENVELOPE)) {
    throw refuse(`${MANIFEST} lists a file twice, or itself`);
  }
  for (const name of names) {
    if (NAME.test(name)) continue;
    throw refuse(`${MANIFEST} lists ${repr(cut(name, 200))}, which is no name of a bundle's file`);
  }
  for (const { name, size } of manifest.files) {
    if (size < 0) throw refuse(`${MANIFEST} lists ${name} with ${size} bytes`);
  }
  if (names.length > MAX_FILES) throw refuse(`${MANIFEST} lists more than ${MAX_FILES} files`);
  return manifest;
}

function refuse(detail) {
  return new VerificationError(detail, {
    code: "bundle-malformed",
    reason: "A bundle holds the files of one attestation and nothing else, so that all readers see the same.",
    advice: "Fetch the whole folder again from the public store, into an empty folder.",
  });
}
