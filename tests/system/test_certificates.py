"""Under enforce no certificate but a good one gets mail, and never is anything sent in the clear."""

import pytest

BAD = ["wrong-name", "expired", "self-signed", "cn-only", "no-starttls", "starttls-454"]


@pytest.mark.parametrize("profile", BAD)
def test_enforce_defers(lab, profile):
    """The gate accepts, as it cannot see the certificate; the delivering side keeps the message."""
    domain = lab.domain(profile, mode="enforce")
    outcome = lab.send(domain.address())
    assert outcome.code == 250
    assert outcome.deferred and lab.mta.is_waiting(outcome.queue_id)
    lab.mx[profile].wait_for_session()
    assert not lab.mx[profile].sessions_with(domain.address())
    assert not lab.in_clear()


@pytest.mark.parametrize("profile", BAD)
def test_control_without_policy_is_delivered(lab, profile):
    """The control: it is the policy that holds the mail back, not the MX."""
    domain = lab.domain(profile)
    assert lab.send(domain.address()).sent
    assert lab.mx[profile].sessions_with(domain.address())
