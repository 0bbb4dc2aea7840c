"""forger - records as an attacker with write access to Redis makes them, and as one who has the key does."""

import hashlib
import hmac
import time

NO_KEY = "00" * 32


def sign(text, key):
    """`text`: the lines before the mac, bytes."""
    return text + b"mac: " + hmac.new(bytes.fromhex(key), text, hashlib.sha256).hexdigest().encode() + b"\n"


def unsigned(record):
    return record[:record.rindex(b"mac: ")]


def policy_record(domain, body, key, seq=None, record_id="serial1"):
    now = int(time.time())
    head = (f"sts1 policy\ndomain: {domain}\nseq: {seq or now * 1000000}\nid: {record_id}\nold-ids: -\nfetched: {now}\n"
            f"refresh: {now + 40000}\nasked: {now // 86400}\nbody: {len(body)}\n")
    return sign((head + body + "\n").encode(), key)


def failure_record(domain, key):
    now = int(time.time())
    return sign(f"sts1 failure\ndomain: {domain}\nseq: {now * 1000000}\nid: serial1\nold-ids: -\nfetched: {now}\n"
                "error: http-status 404 gone\n".encode(), key)


def tombstone_record(domain, key, seq):
    now = int(time.time())
    return sign(f"sts1 tombstone\ndomain: {domain}\nseq: {seq}\nid: -\nold-ids: -\nfetched: {now}\n"
                f"until: {now + 80000}\n".encode(), key)
