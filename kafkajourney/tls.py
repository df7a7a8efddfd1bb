"""What the other side of a TLS connection says of our certificate, in our words. Pure.

A server that wants a client's certificate and gets none, or one that it does not trust, ends the connection with an
alert; which one differs between servers, and between versions of one (Java 17.0.15: bad_certificate, 17.0.21:
certificate_required; OpenSSL by TLS 1.2: handshake_failure). https://www.rfc-editor.org/rfc/rfc8446#section-6
"""

import re

_MISSING = ("bad certificate", "certificate required")
_PERHAPS_MISSING = ("handshake failure",)
_REFUSED = (
    *("bad certificate", "unsupported certificate", "certificate unknown", "unknown ca"),
    *("certificate revoked", "certificate expired", "access denied"),
)


def certificate_complaint(reason: str, *, has_certificate: bool) -> str:
    """Return what a TLS error says of the client's certificate, a clause without an end; empty where it says nothing.

    ``reason`` is OpenSSL's text, as librdkafka and Python's ``ssl`` pass it on; ``has_certificate`` is whether the
    client has a certificate to show.
    """
    alert = re.search(r"alert[ _](\w[\w ]*)", reason.lower())
    words = alert[1].replace("_", " ") if alert else ""
    if not has_certificate and words.startswith(_MISSING):
        return "it wants a client certificate, and none is set"
    if not has_certificate and words.startswith(_PERHAPS_MISSING):
        return "it may want a client certificate, and none is set"
    if has_certificate and words.startswith(_REFUSED):
        return "it does not accept the client certificate"
    return ""
