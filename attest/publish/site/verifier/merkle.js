// SPDX-License-Identifier: GPL-3.0-or-later
// Merkle proofs, from RFC 9162 section 2.1 (attest/merkle/proof.py). Root and size never come from the proof itself.
// Indexes and sizes are numbers or BigInts, hashes bytes.

import { concat, equal, fromBase64, fromHex, toHex } from "./bytes.js";
import { sha256 } from "./crypto.js";
import { VerificationError } from "./errors.js";

const LEAF = Uint8Array.of(0);
const NODE = Uint8Array.of(1);
/** The root of a tree without leaves, in hex: sha256 of nothing. */
export const EMPTY_ROOT = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/** `SHA256(0x00 || data)`. */
export function leafHash(data) {
  return sha256(concat(LEAF, data));
}

/** `SHA256(0x01 || left || right)`. */
export function nodeHash(left, right) {
  return sha256(concat(NODE, left, right));
}

/** The tree hash of leaf hashes in order: level by level, an odd last node moves up as it is. */
export async function rootFromLeafHashes(hashes) {
  if (hashes.length === 0) return fromHex(EMPTY_ROOT);
  let level = hashes;
  while (level.length > 1) {
    const pairs = [];
    for (let n = 0; n + 1 < level.length; n += 2) pairs.push(nodeHash(level[n], level[n + 1]));
    const above = await Promise.all(pairs);
    if (level.length % 2 === 1) above.push(level.at(-1));
    level = above;
  }
  return level[0];
}

/** How many hashes the audit path of leaf `index` in a tree of `size` has. */
function pathLength(index, last) {
  // Below the point where the paths to this leaf and to the last leaf part, every level has a sibling; above it only
  // those do where this leaf lies in the right half.
  const below = bitLength(index ^ last);
  return below + bitCount(index >> BigInt(below));
}

function bitLength(number) {
  return number === 0n ? 0 : number.toString(2).length;
}

function bitCount(number) {
  return number.toString(2).replaceAll("0", "").length;
}

/**
 * Every step from leaf `index` of `size` up to the root: `{left, right, own, parent}`, where `own` says which of both
 * the path came by. Throws `VerificationError` when the index lies outside the tree, a hash is not 32 bytes, or the
 * path has another length than index and size fix.
 */
export async function climb(leaf, index, size, path) {
  if (!(0 <= index && index < size)) {
    throw refuse("merkle-index", `leaf index ${index} is outside a tree of ${size} leaves`);
  }
  checkHashes(leaf, ...path);
  let [position, last] = [BigInt(index), BigInt(size) - 1n];
  const expected = pathLength(position, last);
  if (path.length !== expected) {
    throw refuse(
      "merkle-path-length",
      `the audit path has ${path.length} hashes; leaf ${index} of ${size} needs exactly ${expected}`,
    );
  }
  const steps = [];
  let node = leaf;
  for (const sibling of path) {
    const isRight = (position & 1n) === 1n || position === last;
    const [left, right] = isRight ? [sibling, node] : [node, sibling];
    node = await nodeHash(left, right);
    steps.push({ left, right, own: isRight ? "right" : "left", parent: node });
    if (isRight) [position, last] = raised(position, last);
    position >>= 1n;
    last >>= 1n;
  }
  return steps;
}

/** Up to where a node that has no sibling on its right becomes a right child. */
function raised(position, last) {
  while (position !== 0n && (position & 1n) === 0n) {
    position >>= 1n;
    last >>= 1n;
  }
  return [position, last];
}

/** Check that the hash `leaf` is leaf `index` of the tree of `size` with `root` (RFC 9162 2.1.3.2). */
export async function verifyInclusion(leaf, index, size, path, root) {
  const steps = await climb(leaf, index, size, path);
  checkHashes(root);
  const found = steps.length === 0 ? leaf : steps.at(-1).parent;
  if (!equal(found, root)) {
    throw refuse(
      "merkle-root-mismatch",
      `leaf ${index} of ${size} leads to root ${toHex(found)}, not to ${toHex(root)}`,
    );
  }
}

/** Check that the tree of `newSize` begins with all leaves of the tree of `oldSize` (RFC 9162 2.1.4.2). */
export async function verifyConsistency(oldSize, oldRoot, newSize, newRoot, path) {
  if (!(0 <= oldSize && oldSize <= newSize)) {
    throw refuse("merkle-index", `a tree of ${newSize} leaves cannot extend one of ${oldSize}`);
  }
  checkHashes(oldRoot, newRoot, ...path);
  const [oldest, newest] = [BigInt(oldSize), BigInt(newSize)];
  if (oldest === 0n || oldest === newest) {
    if (path.length > 0) {
      throw refuse("merkle-path-length", `from ${oldSize} to ${newSize} leaves the path must be empty`);
    }
    if (!equal(oldRoot, oldest === newest ? newRoot : fromHex(EMPTY_ROOT))) {
      throw refuse("merkle-root-mismatch", `the root of ${oldSize} leaves is not ${toHex(oldRoot)}`);
    }
    return;
  }
  // The old tree's last perfect subtree: where the proof starts.
  let [position, last] = [oldest - 1n, newest - 1n];
  while ((position & 1n) === 1n) {
    position >>= 1n;
    last >>= 1n;
  }
  const startsAtRoot = position === 0n; // the old tree is itself a perfect subtree of the new one
  const expected = pathLength(position, last) + (startsAtRoot ? 0 : 1);
  if (path.length !== expected) {
    throw refuse(
      "merkle-path-length",
      `the consistency path has ${path.length} hashes; from ${oldSize} to ${newSize} leaves it is ${expected}`,
    );
  }
  const [start, rest] = startsAtRoot ? [oldRoot, path] : [path[0], path.slice(1)];
  let [before, after] = [start, start];
  for (const node of rest) {
    if ((position & 1n) === 1n || position === last) {
      before = await nodeHash(node, before);
      after = await nodeHash(node, after);
      [position, last] = raised(position, last);
    } else {
      after = await nodeHash(after, node);
    }
    position >>= 1n;
    last >>= 1n;
  }
  if (!equal(before, oldRoot)) {
    throw refuse("merkle-root-mismatch", `the path leads to root ${toHex(before)} at size ${oldSize}`);
  }
  if (!equal(after, newRoot)) {
    throw refuse("merkle-root-mismatch", `the path leads to root ${toHex(after)} at size ${newSize}`);
  }
}

/** The leaf's bytes, if `proof` (an `InclusionProof`) shows them in the tree of `size` leaves with `root` (hex). */
export async function verifyInclusionProof(proof, root, size) {
  if (proof.tree_size !== size) {
    throw refuse("merkle-size", `the proof is for a tree of ${proof.tree_size} leaves, the signed one has ${size}`);
  }
  if (proof.root !== root) {
    throw refuse("merkle-root-mismatch", `the proof is for root ${proof.root}, the signed one is ${root}`);
  }
  const leaf = fromBase64(proof.leaf);
  await verifyInclusion(await leafHash(leaf), proof.leaf_index, size, proof.audit_path.map(fromHex), fromHex(root));
  return leaf;
}

function checkHashes(...hashes) {
  for (const item of hashes) {
    if (item.length !== 32) {
      throw refuse("merkle-hash-length", `a hash of ${item.length} bytes stands where SHA-256 gives 32`);
    }
  }
}

function refuse(code, message) {
  return new VerificationError(message, {
    code,
    reason: "A Merkle proof holds only if every hash, its length and its position lead to the signed root.",
    advice:
      "Fetch proof and statement again for the same period and revision; if they still differ, tell the issuer and " +
      "keep both files.",
  });
}
