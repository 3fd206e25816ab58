"""All lines about whole bundles."""

from tests.vectors.cases import (
    bundle_claims,
    bundle_files,
    bundle_history,
    bundle_leaves,
    bundle_signatures,
    bundle_statement,
)
from tests.vectors.cases.case import Case

CASES: tuple[Case, ...] = (
    *bundle_files.CASES,
    *bundle_statement.CASES,
    *bundle_signatures.CASES,
    *bundle_claims.CASES,
    *bundle_leaves.CASES,
    *bundle_history.CASES,
)
