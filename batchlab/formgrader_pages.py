"""The formgrader's pages, as a Jupyter server extension: what `batchlab.formgrader` starts runs this and nothing else.

nbgrader's own server would also run a learner's notebook outside of the sandbox (its Autograde button, a live kernel),
show a learner's HTML as it is, and fetch MathJax from the internet. A fence lets through what marking by hand asks for;
a submission is shown by an exporter of our own, which removes what could act.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import bleach
from jinja2 import FileSystemLoader, pass_context
from jupyter_server.serverapp import ServerApp
from nbconvert.exporters import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbgrader.server_extensions.formgrader import formgrader, handlers
from tornado.httputil import HTTPServerRequest
from tornado.routing import Matcher, Rule
from tornado.web import ErrorHandler

DATA = Path(__file__).parent / "data" / "formgrader"
OPEN = {
    "GET": re.compile(
        r"/|/(login|logout|api|favicon\.ico)|/static/.*"
        r"|/formgrader/(gradebook|static|fonts|api|submissions)(/.*)?"
    ),
    "POST": re.compile(r"/login|/formgrader/api/submitted_notebook/[^/]+/flag"),
    "PUT": re.compile(r"/formgrader/api/(grade|comment)/[^/]+"),
}
# nbgrader's templates hold scripts in the page itself. Nothing may come from, or go, elsewhere.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
TAGS = {"a", "abbr", "blockquote", "br", "code", "dd", "del", "details", "div", "dl", "dt", "em", "h1", "h2", "h3",
        "h4", "h5", "h6", "hr", "i", "li", "ol", "p", "pre", "s", "span", "strong", "sub", "summary", "sup", "table",
        "tbody", "td", "th", "thead", "tr", "ul"}  # fmt: skip
ATTRIBUTES = {"a": ["href", "title", "class"], "*": ["class"], "h1": ["id"], "h2": ["id"], "h3": ["id"]}
# The place of a formula while the rest is cleaned, between two characters that mean nothing in any text.
FORMULA = re.compile("\ue000(\\d+)\ue001")
MARKS = dict.fromkeys(map(ord, "\ue000\ue001"))


class FormgraderError(RuntimeError):
    """The pages cannot be served safely; the message says why."""


class Fence(Matcher):
    """Matches every request that marking by hand does not need."""

    def match(self, request: HTTPServerRequest) -> dict[str, Any] | None:
        """Return None for what may pass, which leaves it to the rules behind this one."""
        method = "GET" if request.method == "HEAD" else str(request.method)
        known = OPEN.get(method)
        return None if known and known.fullmatch(request.path) else {}


class SubmissionExporter(HTMLExporter):
    """A submission as nbgrader's page for marking, with Markdown that cannot act."""

    def __init__(self) -> None:
        super().__init__(
            template_name="marking", extra_template_basedirs=[str(DATA / "submission"), handlers.template_path]
        )

    @pass_context
    def markdown2html(self, context: Mapping[str, Any], source: str) -> str:
        """Return Markdown as HTML: no scripts, no images, no addresses but of the web; the lab's formulas as MathML."""
        learners = context["cell"].metadata.get("nbgrader", {}).get("solution", False)
        renderer = _Renderer(draw=not learners)
        html = MarkdownWithMath(renderer=renderer).render(source.translate(MARKS))
        text = bleach.clean(html, TAGS, ATTRIBUTES)
        return FORMULA.sub(lambda found: renderer.formulas[int(found[1])], text)


class _Renderer(IPythonRenderer):
    """Markdown to HTML; formulas are kept aside, since the cleaning of HTML knows none."""

    def __init__(self, draw: bool) -> None:
        super().__init__(escape=False, allow_harmful_protocols=False, exclude_anchor_links=True)
        self.formulas: list[str] = []
        # A learner's TeX stays as it was written: the converter trusts what it is given.
        self._draw = draw

    def codespan(self, text: str) -> str:
        return str(super().codespan(_as_written(text)))

    def block_code(self, code: str, info: str | None = None) -> str:
        return str(super().block_code(_as_written(code), info))

    def inline_math(self, body: str) -> str:
        return self._formula(body, "inline") if self._draw else str(super().inline_math(_as_written(body)))

    def block_math(self, body: str) -> str:
        return self._formula(body, "block") if self._draw else str(super().block_math(_as_written(body)))

    def _formula(self, body: str, display: str) -> str:
        from latex2mathml.converter import convert

        self.formulas.append(convert(_as_written(body), display=display))
        return f"\ue000{len(self.formulas) - 1}\ue001"


def _as_written(text: str) -> str:
    """Undo what `batchlab.gradebook.shown` did to the notebook on disk: code shows an entity as it stands."""
    return text.replace("&lt;", "<")


def fence(app: ServerApp) -> None:
    """Add the formgrader to a server, and close everything else.

    Raises:
        FormgraderError: the user's own Jupyter settings switch the token off.
    """
    if not app.identity_provider.auth_enabled:
        raise FormgraderError("Jupyter's settings on this machine switch its token off, and everybody here could mark.")
    formgrader.load_jupyter_server_extension(app)
    settings = app.web_app.settings
    settings["headers"] = {**settings.get("headers", {}), "Content-Security-Policy": POLICY}
    settings["nbgrader_exporter"] = SubmissionExporter()
    settings["nbgrader_jinja2_env"].loader = FileSystemLoader([str(DATA / "pages"), handlers.template_path])
    app.web_app.default_router.rules.insert(0, Rule(Fence(), ErrorHandler, {"status_code": 404}))


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "batchlab.formgrader_pages"}]


_load_jupyter_server_extension = fence
