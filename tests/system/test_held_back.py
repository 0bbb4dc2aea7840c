"""Nobody waits for another domain's mistake: what SMTP_MAILER_MAXRCPTS and confTO_HOSTSTATUS are good for."""

import pytest

from lab import sendmail
from lab.world import CONTRIB

CONTROLS = {"SMTP_MAILER_MAXRCPTS": "127.0.5.38", "confTO_HOSTSTATUS": "127.0.5.39"}


def one_message(lab, mta):
    """To an enforcing and a plain domain at the same self-signed MX, the enforcing one first in the
    order in which Sendmail sorts recipients. Returns what became of the plain one."""
    enforcing = lab.domain("self-signed", mode="enforce", label="a-enforce")
    plain = lab.domain("self-signed", label="b-plain")
    lab.daemons.verdict(enforcing.name)
    to_enforcing, to_plain = lab.send(enforcing.address(), plain.address(), mta=mta)
    assert to_enforcing.deferred and not lab.mx["self-signed"].sessions_with(enforcing.address())
    return to_plain


def test_plain_domain_is_not_held_back(lab):
    """The plain domain's mail goes out though the enforcing domain's must wait."""
    assert one_message(lab, lab.mta).sent


@pytest.mark.parametrize("left_out", CONTROLS)
def test_control_without_one_setting(lab, tmp_path, left_out):
    """The control: without either of the two both wait, and so they will at every attempt."""
    sample = tmp_path / "sample.mc"
    lines = (CONTRIB / "sendmail.mc").read_text().splitlines(keepends=True)
    kept = [line for line in lines if not line.startswith(f"define(`{left_out}'")]
    assert len(kept) == len(lines) - 1
    sample.write_text("".join(kept))
    mta = sendmail.Sendmail(f"without-{left_out}", sample, lab, CONTROLS[left_out]).start()
    try:
        assert one_message(lab, mta).deferred
    finally:
        mta.stop()
