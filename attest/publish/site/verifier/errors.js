// SPDX-License-Identifier: GPL-3.0-or-later
// Errors in three lines (attest/errors.py), and how foreign text is shown.

/** Something offered for verification is malformed or false: what, why it matters, what to do next. */
export class VerificationError extends Error {
  constructor(message, { code, reason = "", advice = "" }) {
    super(message);
    Object.assign(this, { code, reason, advice });
  }
}

/** A check cannot be made: the message says what is missing, `advice` how to get it. */
export class UnavailableError extends Error {
  constructor(message, advice = "See the checks that failed.") {
    super(message);
    this.advice = advice;
  }
}

const SHORT = { "\t": "\\t", "\n": "\\n", "\r": "\\r" };

function escaped(character) {
  const point = character.codePointAt(0);
  if (point < 0x100) return `\\x${point.toString(16).padStart(2, "0")}`;
  return point < 0x10000 ? `\\u${point.toString(16).padStart(4, "0")}` : `\\U${point.toString(16).padStart(8, "0")}`;
}

/** `text` with control, bidirectional and other characters that do not print spelled out. */
export function printable(text) {
  return text.replace(/[\p{C}\p{Zl}\p{Zp}]|(?! )\p{Zs}/gu, (character) => SHORT[character] ?? escaped(character));
}

/** `text` quoted as Python's `repr` does it, so that messages here and there are the same. */
export function repr(text) {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  return quote + printable(text.replaceAll("\\", "\\\\")).replaceAll(quote, `\\${quote}`) + quote;
}

/** The first `count` characters (code points, as Python counts them). */
export function cut(text, count) {
  return [...text.slice(0, 2 * count)].slice(0, count).join("");
}

/** How many characters (code points). */
export function lengthOf(text) {
  return [...text].length;
}

const SPACE = "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
const ANY_SPACE = new RegExp(`[${SPACE}]`);
const NOT_SPACE = new RegExp(`[^${SPACE}]`);

/** Whether `text` has a character that Python's `str.isspace` calls a space. */
export function hasSpace(text) {
  return ANY_SPACE.test(text);
}

/** Whether `text` is empty or all spaces. */
export function isBlank(text) {
  return !NOT_SPACE.test(text);
}

/** Code points' order, as Python sorts text. */
export function compareText(one, other) {
  const [a, b] = [[...one], [...other]];
  for (let n = 0; n < Math.min(a.length, b.length); n++) {
    const difference = a[n].codePointAt(0) - b[n].codePointAt(0);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

/** The order of equally long lists of texts, numbers and BigInts, place by place. */
export function compareLists(one, other) {
  for (let n = 0; n < one.length; n++) {
    const [a, b] = [one[n], other[n]];
    const difference = typeof a === "string" ? compareText(a, b) : a < b ? -1 : a > b ? 1 : 0;
    if (difference !== 0) return difference;
  }
  return 0;
}
