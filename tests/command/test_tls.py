"""What is said of a certificate, whichever way OpenSSL, Java and the layers in between pass the alert on."""

import pytest

from kafkajourney.tls import certificate_complaint

ALERTS = {
    "librdkafka, certificate_required": (
        "Receive failed: error:0A00045C:SSL routines::tlsv13 alert certificate required: SSL alert number 116",
        "wants",
        "",
    ),
    "librdkafka, bad_certificate": (
        "Receive failed: error:0A000412:SSL routines::ssl/tls alert bad certificate: SSL alert number 42",
        "wants",
        "does not accept",
    ),
    "librdkafka, handshake_failure": (
        "SSL handshake failed: error:0A000410:SSL routines::ssl/tls alert handshake failure: SSL alert number 40",
        "may want",
        "",
    ),
    "librdkafka, unknown_ca": (
        "Receive failed: error:0A000418:SSL routines::tlsv1 alert unknown ca: SSL alert number 48",
        "",
        "does not accept",
    ),
    "ssl, certificate_required": (
        "[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] tlsv13 alert certificate required (_ssl.c:2580)",
        "wants",
        "",
    ),
    "ssl, expired": (
        "[SSL: SSLV3_ALERT_CERTIFICATE_EXPIRED] sslv3 alert certificate expired (_ssl.c:1006)",
        "",
        "does not accept",
    ),
    "the server's own certificate": (
        "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate (_ssl.c:1006)",
        "",
        "",
    ),
    "no TLS at all": ("[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1006)", "", ""),
}


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_is_told_by_what_it_means(alert: str) -> None:
    reason, without_one, with_one = ALERTS[alert]
    for has_certificate, expected in ((False, without_one), (True, with_one)):
        said = certificate_complaint(reason, has_certificate=has_certificate)
        assert said.startswith(f"it {expected}") if expected else not said
