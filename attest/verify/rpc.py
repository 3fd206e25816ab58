"""The auditor's own endpoint: JSON-RPC over HTTP with the standard library, one call at a time."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from attest.errors import AttestError, OperatorError
from attest.records import load_plain
from attest.verify.case import EndpointError, Rpc

TIMEOUT_SECONDS = 20.0
MAX_ANSWER_BYTES = 1 << 20


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *arguments: Any) -> None:
        return None


def open_rpc(url: str, *, timeout: float = TIMEOUT_SECONDS) -> Rpc:
    """A caller of the endpoint at ``url`` (http or https). Redirects are not followed, answers are at most 1 MiB.

    Raises :class:`OperatorError` for another kind of URL; calling raises :class:`EndpointError`, which never repeats
    the URL (it may carry credentials).
    """
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # of a bracket without its other, or of a port that is none
        usable = False
    if not usable:
        raise OperatorError(
            "--rpc is not an http or https URL",
            code="usage",
            reason="Your own node is asked over JSON-RPC.",
            advice="Give a URL such as http://localhost:8545.",
        )
    opener = urllib.request.build_opener(_NoRedirect)

    def call(method: str, parameters: Sequence[Any]) -> Any:
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": list(parameters)}).encode()
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        try:
            with opener.open(request, timeout=timeout) as response:
                answer = response.read(MAX_ANSWER_BYTES + 1)
        except urllib.error.HTTPError as fault:
            raise EndpointError(f"your endpoint answers HTTP {fault.code}") from None
        except (OSError, http.client.HTTPException, ValueError) as fault:
            raise EndpointError(f"your endpoint does not answer ({_cause(fault)})") from None
        return _result(answer)

    return call


def _cause(fault: Exception) -> str:
    reason = getattr(fault, "reason", None)
    return getattr(reason, "strerror", None) or type(reason or fault).__name__


def _result(data: bytes) -> Any:
    if len(data) > MAX_ANSWER_BYTES:
        raise EndpointError(f"your endpoint's answer is larger than {MAX_ANSWER_BYTES} bytes")
    try:
        answer = load_plain(data, "the answer")
    except AttestError as fault:
        raise EndpointError(f"your endpoint does not speak JSON-RPC: {fault.message}") from None
    if not isinstance(answer, dict) or answer.get("id") != 1:
        raise EndpointError("your endpoint does not speak JSON-RPC")
    error = answer.get("error")
    if error is not None:
        code = error.get("code") if isinstance(error, dict) else None
        message = error.get("message") if isinstance(error, dict) else error
        raise EndpointError(f"your endpoint refuses: {str(message)[:200]}", code if isinstance(code, int) else -32000)
    if "result" not in answer:
        raise EndpointError("your endpoint does not speak JSON-RPC")
    return answer["result"]
