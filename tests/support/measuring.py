"""Coverage, where it would measure the same lines many times, or in vain: tracing takes as long as what is traced."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def unmeasured() -> Iterator[None]:
    """No tracing of this thread and of those that it starts."""
    before = sys.gettrace(), threading.gettrace()
    sys.settrace(None)
    threading.settrace(None)
    try:
        yield
    finally:
        sys.settrace(before[0])
        threading.settrace(before[1])
