// SPDX-License-Identifier: GPL-3.0-or-later
// Strict JSON for known records (attest/records.py): duplicate names, floats, NaN, unknown or missing fields, half
// surrogate pairs and deep nesting are refused. Amounts are BigInts, instants whole seconds since 1970 (UTC).

import { fromUtf8 } from "./bytes.js";
import { VerificationError, compareText, cut, repr } from "./errors.js";
import { parseInstant } from "./period.js";

const MAX_DEPTH = 64;
const MAX_INTEGER = 2n ** 53n - 1n;
const MAX_DIGITS = 100;

// -- parsing --------------------------------------------------------------------------------------------------------

/** Plain JSON of `data`: objects as Maps, integers as BigInts. Throws `VerificationError` naming `where`. */
export function loadPlain(data, where) {
  const refuse = (detail) =>
    new VerificationError(`${where}: ${detail}`, {
      code: "malformed-json",
      reason: "What is not well-formed in exactly one way can mean two things to two readers.",
      advice: "Fetch the file again from where it was published; if it is unchanged, tell its publisher.",
    });
  if (data[0] === 0xef && data[1] === 0xbb && data[2] === 0xbf) throw refuse("begins with a byte order mark");
  if (nesting(data) > MAX_DEPTH) throw refuse("is nested too deeply");
  const text = fromUtf8(data);
  if (text === null) throw refuse("is not UTF-8");
  return new Parser(text, refuse).document();
}

/** How deep the brackets outside strings nest, at most. */
function nesting(data) {
  let depth = 0;
  let deepest = 0;
  let quoted = false;
  for (let n = 0; n < data.length; n++) {
    const byte = data[n];
    if (byte === 0x22) quoted = !quoted;
    else if (quoted && byte === 0x5c) n++;
    else if (!quoted && (byte === 0x5b || byte === 0x7b)) deepest = Math.max(deepest, ++depth);
    else if (!quoted && (byte === 0x5d || byte === 0x7d)) depth--;
  }
  return deepest;
}

const ESCAPES = { '"': '"', "\\": "\\", "/": "/", b: "\b", f: "\f", n: "\n", r: "\r", t: "\t" };
const CONSTANTS = { true: true, false: false, null: null };

/** RFC 8259, by recursive descent; the nesting is bounded before. */
class Parser {
  constructor(text, refuse) {
    this.text = text;
    this.refuse = refuse;
    this.at = 0;
  }

  document() {
    const value = this.value();
    this.space();
    if (this.at < this.text.length) throw this.malformed("something follows it");
    return value;
  }

  malformed(detail) {
    const lines = this.text.slice(0, this.at).split("\n");
    return this.refuse(`is not JSON (${detail}, line ${lines.length} column ${lines.at(-1).length + 1})`);
  }

  take(pattern) {
    pattern.lastIndex = this.at;
    const match = pattern.exec(this.text);
    if (match !== null) this.at = pattern.lastIndex;
    return match;
  }

  space() {
    this.take(/[ \t\n\r]*/y);
  }

  accept(character) {
    this.space();
    if (this.text[this.at] !== character) return false;
    this.at++;
    return true;
  }

  value() {
    this.space();
    if (this.accept("{")) return this.object();
    if (this.accept("[")) return this.array();
    if (this.text[this.at] === '"') return this.string();
    const word = this.take(/true|false|null/y);
    if (word !== null) return CONSTANTS[word[0]];
    return this.number();
  }

  object() {
    const pairs = [];
    if (!this.accept("}")) {
      do {
        this.space();
        if (this.text[this.at] !== '"') throw this.malformed("a name in quotes is expected");
        const name = this.string();
        if (!this.accept(":")) throw this.malformed("a colon is expected");
        pairs.push([name, this.value()]);
      } while (this.accept(","));
      if (!this.accept("}")) throw this.malformed("a comma or closing brace is expected");
    }
    const record = new Map();
    for (const [name, value] of pairs) {
      if (record.has(name)) throw this.refuse(`the name ${repr(cut(name, 80))} stands twice in one object`);
      record.set(name, value);
    }
    return record;
  }

  array() {
    const items = [];
    if (this.accept("]")) return items;
    do items.push(this.value());
    while (this.accept(","));
    if (!this.accept("]")) throw this.malformed("a comma or closing bracket is expected");
    return items;
  }

  string() {
    this.at++;
    let text = "";
    for (;;) {
      text += this.take(/[^"\\\u0000-\u001f]*/y)[0];
      if (this.text[this.at] === '"') break;
      const escape = this.take(/\\(?:u([0-9a-fA-F]{4})|(["\\/bfnrt]))/y);
      if (escape === null) throw this.malformed("a string is not closed, or has a control character or unknown escape");
      text += escape[1] ? String.fromCharCode(Number.parseInt(escape[1], 16)) : ESCAPES[escape[2]];
    }
    this.at++;
    if (/[\ud800-\udfff]/u.test(text)) throw this.refuse("has half of a surrogate pair, which is no character");
    return text;
  }

  number() {
    const match = this.take(/(-?(?:0|[1-9][0-9]*))(\.[0-9]+)?([eE][-+]?[0-9]+)?|NaN|-?Infinity/y);
    if (match === null) throw this.malformed("a value is expected");
    const [text, integer, fraction, exponent] = match;
    if (integer === undefined || fraction !== undefined || exponent !== undefined) {
      throw this.refuse(`the number ${text.slice(0, 40)} is not an integer (amounts are decimal strings)`);
    }
    if (text.length > MAX_DIGITS) throw this.refuse("a number is longer than any amount can be");
    return BigInt(text);
  }
}

// -- records --------------------------------------------------------------------------------------------------------

/** A record's own invariant does not hold; the message says which. */
export class InvariantError extends Error {}

class Mismatch extends Error {
  constructor(path, detail) {
    super(detail);
    this.path = path.replace(/^\.+/, "");
  }
}

/** One record of type `type` from its JSON bytes; throws `VerificationError` naming `where` and the field. */
export async function fromJson(type, data, where) {
  const plain = loadPlain(data, where);
  try {
    return await type(plain, "");
  } catch (fault) {
    if (!(fault instanceof Mismatch)) throw fault;
    throw new VerificationError(`${where}: ${fault.path || "the document"} ${fault.message}`, {
      code: "malformed-record",
      reason: "A field that is missing, unknown or of another kind could change what the document says.",
      advice: "Compare with the schema (`attest schemas`), or fetch the file again from where it was published.",
    });
  }
}

/** A record type: an object with exactly these `fields`. `check` throws `InvariantError`; it may be asynchronous. */
export function record(fields, check = () => undefined) {
  const known = Object.entries(fields);
  return async (plain, path) => {
    if (!(plain instanceof Map)) throw new Mismatch(path, "must be an object");
    const [unknown] = [...plain.keys()].filter((name) => !Object.hasOwn(fields, name)).sort(compareText);
    if (unknown !== undefined) throw new Mismatch(`${path}.${unknown}`, "is not a known field");
    const values = {};
    for (const [name, type] of known) {
      if (plain.has(name)) values[name] = await (type.type ?? type)(plain.get(name), `${path}.${name}`);
      else if (type.type) values[name] = type.otherwise;
      else throw new Mismatch(`${path}.${name}`, "is missing");
    }
    try {
      await check(values);
    } catch (fault) {
      if (!(fault instanceof InvariantError)) throw fault;
      throw new Mismatch(path, fault.message);
    }
    return values;
  };
}

/** A field that may be left out, and is then `otherwise`. */
export function optional(type, otherwise = null) {
  return { type: otherwise === null ? nullable(type) : type, otherwise };
}

/** A field that may be null. */
export function nullable(type) {
  return (plain, path) => (plain === null ? null : type(plain, path));
}

export function list(type) {
  return async (plain, path) => {
    if (!Array.isArray(plain)) throw new Mismatch(path, "must be an array");
    const items = [];
    for (const [n, item] of plain.entries()) items.push(await type(item, `${path}[${n}]`));
    return items;
  };
}

export function oneOf(...values) {
  return (plain, path) => {
    if (!values.includes(plain)) throw new Mismatch(path, `must be one of ${values.map(repr).join(", ")}`);
    return plain;
  };
}

function written(pattern, description) {
  return (plain, path) => {
    if (typeof plain !== "string" || !pattern.test(plain)) throw new Mismatch(path, `must be ${description}`);
    return plain;
  };
}

const decimal = written(/^(?!-0$)-?(?:0|[1-9][0-9]{0,99})$/, "an integer as a decimal string");
const timed = written(
  /^[0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2}Z$/,
  "a UTC time such as 2026-11-22T23:59:00Z",
);

/** 32 bytes, as lowercase hex. */
export const hex32 = written(/^[0-9a-f]{64}$/, "64 lowercase hex digits");

/** An integer amount, carried as a decimal string: a BigInt. */
export function amount(plain, path) {
  return BigInt(decimal(plain, path));
}

/** A UTC time: whole seconds since 1970. */
export function instant(plain, path) {
  const seconds = parseInstant(timed(plain, path));
  if (seconds === null) throw new Mismatch(path, "is not a time that exists");
  return seconds;
}

export function integer(plain, path) {
  if (typeof plain === "bigint" && -MAX_INTEGER <= plain && plain <= MAX_INTEGER) return Number(plain);
  throw new Mismatch(path, "must be an integer below 2^53");
}

export function boolean(plain, path) {
  if (typeof plain === "boolean") return plain;
  throw new Mismatch(path, "must be true or false");
}

export function text(plain, path) {
  if (typeof plain === "string") return plain;
  throw new Mismatch(path, "must be a string");
}
