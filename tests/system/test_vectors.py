"""Some hundred domains, each with something of its own wrong or just right: the real sts-cached, a
lying DNS, hostile policy hosts. Every case is one line of a table in vectors/."""

import subprocess

import pytest

from lab import namespace
from vectors.case import run_all
from vectors.internet import Internet
from vectors.key_cases import KEY_CASES
from vectors.dns_cases import DNS_CASES
from vectors.http_cases import HTTP_CASES
from vectors.policy_cases import POLICY_CASES
from vectors.txt_cases import TXT_CASES

TABLES = {"txt": TXT_CASES, "policy": POLICY_CASES, "http": HTTP_CASES, "dns": DNS_CASES, "key": KEY_CASES}


@pytest.fixture(name="internet", scope="module")
def fixture_internet(tmp_path_factory):
    if namespace.is_private():
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    internet = Internet(tmp_path_factory.mktemp("vectors"))
    internet.daemon.start()
    yield internet
    status = internet.daemon.stop()
    internet.stop()
    internet.daemon.check_log()
    assert status == 0


@pytest.mark.parametrize("table", TABLES)
def test_table(internet, table):
    """Every case of the table gets its answer."""
    faults = run_all(internet, TABLES[table])
    assert not faults, f"{len(faults)} of {len(TABLES[table])}:\n" + "\n".join(faults)
