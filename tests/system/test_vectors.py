"""Some hundred domains, each with something of its own wrong or just right: the real sts-cached, a
lying DNS, hostile policy hosts. Every case is one line of a table in vectors/."""

import pytest

from vectors.case import run_all
from vectors.dns_cases import DNS_CASES
from vectors.http_cases import HTTP_CASES
from vectors.key_cases import KEY_CASES
from vectors.policy_cases import POLICY_CASES
from vectors.stories import STORIES, run_stories
from vectors.txt_cases import TXT_CASES

TABLES = {"txt": TXT_CASES, "policy": POLICY_CASES, "http": HTTP_CASES, "dns": DNS_CASES, "key": KEY_CASES}


@pytest.mark.parametrize("table", TABLES)
def test_table(internet, table):
    """Every case of the table gets its answer."""
    faults = run_all(internet, TABLES[table])
    assert not faults, f"{len(faults)} of {len(TABLES[table])}:\n" + "\n".join(faults)


def test_stories(internet):
    """Cached policies survive, failures are remembered, deadlines are kept."""
    faults = run_stories(internet, STORIES)
    assert not faults, f"{len(faults)} of {len(STORIES)}:\n" + "\n".join(faults)
