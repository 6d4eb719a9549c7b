"""A report on a network: one page of HTML, a LaTeX file or Markdown, all from the same content."""

from symnet.explain.report.content import Report, report
from symnet.explain.report.markdown import markdown
from symnet.explain.report.page import html
from symnet.explain.report.paper import tex

__all__ = ["Report", "html", "markdown", "report", "tex"]
