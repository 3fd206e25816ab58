// SPDX-License-Identifier: GPL-3.0-or-later
// ISO weeks and instants (attest/period.py). Instants are whole seconds since 1970, days are counted the same way.

import { repr } from "./errors.js";

const DAY = 86_400;
const WEEKDAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** The seconds of `2026-11-22T23:59:00Z`; null if there is no such time. */
export function parseInstant(text) {
  const match = /^([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})Z$/.exec(text);
  if (match === null) return null;
  const [year, month, day, hour, minute, second] = match.slice(1).map(Number);
  const at = new Date(0);
  at.setUTCFullYear(year, month - 1, day);
  at.setUTCHours(hour, minute, second);
  return year > 0 && formatInstant(at.getTime() / 1000) === text ? at.getTime() / 1000 : null;
}

export function formatInstant(seconds) {
  return new Date(seconds * 1000).toISOString().replace(".000Z", "Z");
}

/** To the minute, with weekday and zone: `Sun 22 Nov 2026 23:59 UTC`. */
export function moment(seconds) {
  const at = new Date(seconds * 1000);
  const two = (number) => String(number).padStart(2, "0");
  const weekday = WEEKDAYS[(at.getUTCDay() + 6) % 7];
  const day = `${at.getUTCDate()} ${MONTHS[at.getUTCMonth()]} ${at.getUTCFullYear()}`;
  return `${weekday} ${day} ${two(at.getUTCHours())}:${two(at.getUTCMinutes())} UTC`;
}

/** One ISO-8601 week: how it is written, and the day of its Monday, by which weeks compare. */
export class Period {
  constructor(year, week, monday) {
    this.text = `${String(year).padStart(4, "0")}-W${String(week).padStart(2, "0")}`;
    this.monday = monday;
  }

  /** Throws an `Error` unless `text` is exactly `YYYY-Www` and exists. */
  static parse(text) {
    const match = /^([0-9]{4})-W([0-9]{2})$/.exec(text);
    if (match === null) throw new Error(`period ${repr(text)} is not an ISO week`);
    const [year, week] = [Number(match[1]), Number(match[2])];
    const missing = (why) => new Error(`period ${text}: there is no such ISO week (${why})`);
    if (year < 2000) throw missing("before the year 2000");
    const monday = firstMonday(year) + 7 * (week - 1);
    if (week < 1 || monday >= firstMonday(year + 1)) throw missing(`Invalid week: ${week}`);
    if (monday + 6 > lastDay()) throw missing("after the year 9999");
    return new Period(year, week, monday);
  }

  /** The week in which the instant lies. */
  static containing(seconds) {
    const day = Math.floor(seconds / DAY);
    let year = new Date(day * DAY * 1000).getUTCFullYear() + 1;
    while (firstMonday(year) > day) year--;
    const week = Math.floor((day - firstMonday(year)) / 7);
    return new Period(year, week + 1, firstMonday(year) + 7 * week);
  }

  /** Whether the instant can be the cutoff: it is local, so in UTC it can lie up to a day outside of the ISO week. */
  hasCutoff(seconds) {
    const day = Math.floor(seconds / DAY) - this.monday;
    return -1 <= day && day <= 7;
  }

  /** The period so many weeks later. */
  shifted(weeks) {
    return Period.containing((this.monday + 7 * weeks) * DAY);
  }
}

/** The Monday of the week that has 4 January. */
function firstMonday(year) {
  const fourth = Date.UTC(year, 0, 4) / (DAY * 1000);
  return fourth - ((((fourth + 3) % 7) + 7) % 7); // 1 January 1970 was a Thursday
}

function lastDay() {
  return Date.UTC(9999, 11, 31) / (DAY * 1000);
}
