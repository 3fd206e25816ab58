"""What all pages have in common: templates that escape every value, and a policy that names style and script by digest
(CSP level 3, "hash-source")."""

from __future__ import annotations

import base64
import hashlib
from importlib import resources
from typing import TYPE_CHECKING

from attest.publish.site import plot, words

if TYPE_CHECKING:
    from jinja2 import Environment

_HERE = "attest.publish.site"


def asset(name: str, package: str = _HERE) -> str:
    """A text file of a package's templates."""
    return (resources.files(package) / "templates" / name).read_text(encoding="utf-8").strip()


def environment(package: str = _HERE) -> Environment:
    """The templates of a package, which may use those of the public site, with the filters of every page."""
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    found = Environment(
        loader=ChoiceLoader([PackageLoader(each) for each in dict.fromkeys((package, _HERE))]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {
        "moment": words.moment,
        "counted": words.counted,
        "span": words.span,
        "markup": Markup,  # only for the drawings, which escape what they contain
    }
    found.globals |= {"marks": plot.MARKS}
    return found


def policy(style: str, script: str | None = None) -> str:
    """A content security policy that lets a page load nothing, and use this style and this script alone."""
    scripts = "" if script is None else f"script-src {_source(script)}; "
    return (
        f"default-src 'none'; style-src {_source(style)}; {scripts}img-src data:; base-uri 'none'; form-action 'none'"
    )


def _source(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
