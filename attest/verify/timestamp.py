"""The check ``timestamp``: did an authority outside see the log's head, and when (RFC 3161)?"""

from __future__ import annotations

from datetime import timedelta

from attest.log.timestamp import verify_stamp
from attest.statement import moment
from attest.verify.bundle import TIMESTAMP
from attest.verify.case import Case
from attest.verify.checks import Finding, refuse

#: How far an authority's clock may be ahead of the auditor's.
_CLOCKS_DIFFER = timedelta(minutes=5)


def check(case: Case) -> Finding:
    if TIMESTAMP not in case.files:
        return Finding(
            "skipped",
            "the bundle has no time stamp: when the log had this head is the log's and the witnesses' word",
            "Ask the issuer to have its checkpoints time-stamped.",
        )
    roots = case.trust.timestamp_authorities
    if not roots:
        return Finding(
            "skipped",
            "your trust file names no time-stamping authority",
            "Add the authority's root certificate (PEM) to timestamp_authorities, or use `openssl ts -verify`.",
        )
    head, data = case.logged.checkpoint, case.file(TIMESTAMP)
    try:
        stamp = verify_stamp(data, head.text, roots, TIMESTAMP)
    except ModuleNotFoundError as missing:
        return Finding(
            "skipped",
            f"reading a time stamp needs {missing.name}, which the core install leaves out",
            "pip install 'reserve-attest[timestamp]'",
        )
    advice = "Ask the issuer and the authority; keep the file as evidence."
    predicate = case.predicate
    if stamp.time > case.now + _CLOCKS_DIFFER:
        raise refuse(f"stamped at {moment(stamp.time)}, which is in the future (it is {moment(case.now)})", advice)
    if stamp.time < predicate.cutoff and predicate.clock == "system":
        raise refuse(
            f"stamped at {moment(stamp.time)}, before the cutoff {moment(predicate.cutoff)} of what it stamps", advice
        )
    return Finding(
        "pass", f"the log's head of {head.size} entries, stamped at {moment(stamp.time)} by {stamp.authority}"
    )
