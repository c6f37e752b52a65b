"""The headers of W3C Trace Context, by which the spans of several processes make one trace."""

from __future__ import annotations

from multidict import CIMultiDict, CIMultiDictProxy

HEADERS = ("traceparent", "tracestate")


def trace_context(headers: CIMultiDict[str] | CIMultiDictProxy[str]) -> dict[str, str]:
    """Those of a request, by their names in small letters. Several headers of a name are one, as RFC 9110 has it."""
    return {name: ",".join(headers.getall(name)) for name in HEADERS if name in headers}
