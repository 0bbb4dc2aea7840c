"""Exim with contrib/exim: what is judged is what the receiving hosts saw."""

import pytest


@pytest.fixture
def exim(lab):
    return lab.exim()


def test_good(lab, exim):
    """An enforced policy and a good host: delivered over verified TLS, with its name as SNI."""
    outcome = lab.send(lab.domain("good", mode="enforce").address(), mta=exim)
    assert outcome.sent and outcome.verify == "OK"
    [session] = lab.mx["good"].sessions_with(outcome.recipient)
    assert session.tls and session.sni == lab.mx["good"].host


def test_none(lab, exim):
    outcome = lab.send(lab.domain("self-signed").address(), mta=exim)
    assert outcome.sent
