"""Several recipients in one message: each is judged by its own domain's policy."""


def test_one_refused_one_accepted(lab):
    """A refused recipient does not harm the other one in the same transaction."""
    refused = lab.domain("good", mode="enforce", listed=["mail.elsewhere.example"])
    accepted = lab.domain("good", mode="enforce")
    first, second = lab.send(refused.address(), accepted.address())
    assert (first.code, second.code, second.sent) == (451, 250, True)
    [session] = lab.sessions()
    assert session.messages == [([accepted.address()], True)]


def mixed_envelope(lab, mta):
    """One message to a plain and an enforcing domain at the same self-signed MX, the plain one first
    in the order in which Sendmail sorts recipients."""
    plain = lab.domain("self-signed", label="a-plain")
    enforcing = lab.domain("self-signed", mode="enforce", label="b-enforce")
    lab.daemons.verdict(enforcing.name)  # known before, so that only the envelope matters
    outcomes = lab.send(plain.address(), enforcing.address(), mta=mta)
    return [plain, enforcing], outcomes


def test_mixed_envelope_leak_is_closed(lab):
    """Stock FEATURE(sts) checks the certificate for the first recipient only; ours checks each."""
    (plain, enforcing), (to_plain, to_enforcing) = mixed_envelope(lab, lab.mta)
    assert to_plain.sent and to_enforcing.deferred
    assert lab.mx["self-signed"].sessions_with(plain.address())
    assert not lab.mx["self-signed"].sessions_with(enforcing.address())


def test_control_stock_sendmail_leaks(lab):
    """The control: the same message through the stock feature does leak, so the test above can fail."""
    stock = lab.stock_mta()
    (_, enforcing), (_, to_enforcing) = mixed_envelope(lab, stock)
    assert to_enforcing.sent
    assert lab.mx["self-signed"].sessions_with(enforcing.address())


def one_queue_run(lab, mta):
    """Mail to a plain and an enforcing domain at the same self-signed MX, delivered in this order in
    one queue run. Returns the two attempts."""
    plain, enforcing = lab.domain("self-signed"), lab.domain("self-signed", mode="enforce")
    lab.daemons.cached.stop()
    first, second = (lab.send(domain.address(), mta=mta) for domain in (plain, enforcing))
    assert first.deferred and second.deferred
    mta.run_queue(second.queue_id)  # once more tried, it comes second in the run
    mta.wait_for_delivery(second.queue_id, second.recipient, attempt=2)
    lab.daemons.cached.start()
    lab.daemons.verdict(enforcing.name)
    mta.run_queue(first.queue_id, second.queue_id)
    return [mta.wait_for_delivery(first.queue_id, first.recipient, attempt=2),
            mta.wait_for_delivery(second.queue_id, second.recipient, attempt=3)]


def test_queue_run_does_not_share_connections(lab):
    """In one queue run, mail to an enforcing domain never follows mail to a plain one over the same
    unverified connection."""
    to_plain, to_enforcing = one_queue_run(lab, lab.mta)
    assert to_plain.sent and to_enforcing.deferred
    assert not lab.mx["self-signed"].sessions_with(to_enforcing.recipient)


def test_control_stock_sendmail_shares_connections(lab):
    """The control: the stock feature sends both over the first one's connection."""
    _, to_enforcing = one_queue_run(lab, lab.stock_mta())
    assert to_enforcing.sent
    assert lab.mx["self-signed"].sessions_with(to_enforcing.recipient)
