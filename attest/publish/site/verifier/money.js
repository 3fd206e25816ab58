// SPDX-License-Identifier: GPL-3.0-or-later
// Exact money (attest/money.py): BigInts of minor units and of token base units, never a float.

export const UINT256_MAX = 2n ** 256n - 1n;

/** Division rounding down, also below zero. */
export function floorDivide(amount, by) {
  const quotient = amount / by;
  return amount % by < 0n ? quotient - 1n : quotient;
}

/** `123456` with exponent 2 is `1234.56`; no grouping, sign in front. */
export function format(amount, exponent) {
  const digits = String(amount < 0n ? -amount : amount).padStart(exponent + 1, "0");
  const sign = amount < 0n ? "-" : "";
  return exponent === 0 ? sign + digits : `${sign}${digits.slice(0, -exponent)}.${digits.slice(-exponent)}`;
}

/** Token base units as a decimal string, trailing zeros cut to no fewer than two decimals if it has any. */
export function formatUnits(units, decimals) {
  const [whole, fraction] = format(units, decimals).split(".");
  if (fraction === undefined) return whole;
  return `${whole}.${fraction.replace(/0+$/, "").padEnd(Math.min(2, decimals), "0")}`;
}

/** The whole part grouped in threes with commas. */
export function group(text) {
  const [whole, ...fraction] = text.split(".");
  return [whole.replace(/\B(?=([0-9]{3})+$)/g, ","), ...fraction].join(".");
}

/** A sum of minor units in token units, and what flooring left over; the sum is not negative. */
export function toTokenUnits(minorUnits, exponent, decimals) {
  const shift = decimals - exponent;
  if (shift >= 0) return { units: minorUnits * 10n ** BigInt(shift), remainder: 0n };
  const divisor = 10n ** BigInt(-shift);
  return { units: minorUnits / divisor, remainder: minorUnits % divisor };
}

/** Reserve over supply in percent, floored to one decimal; null if the supply is 0. */
export function ratioPercent(reserve, supply) {
  if (supply === 0n) return null;
  const tenths = (reserve * 1000n) / supply;
  return `${tenths / 10n}.${tenths % 10n}`;
}
