"""The network between the nodes and Redis drops every packet, and then works again."""

import time

from lab.farm import ANSWER_DEADLINE, timed
from lab.process import wait_until

FARM = {"cable": True}


def test_packets_dropped(farm, cable):
    """Without any sign of a loss the nodes answer in time, and come back by themselves."""
    old, new = farm.sources.new_domain(), farm.sources.new_domains(6)
    farm.nodes[0].verdict(old)
    farm.wait_until_all_hold(old)
    cable.drop()
    try:
        for node in farm.nodes * 2:
            for domain in (old, new.pop()):
                answer, took = timed(lambda node=node, domain=domain: node.verdict(domain))
                assert answer["verdict"] == "secure" and took < ANSWER_DEADLINE, (node.number, answer, took)
            time.sleep(0.3)
    finally:
        cable.mend()
    wait_until(lambda: all(node.stat("redis_up") for node in farm.nodes), "a node does not find Redis again", 15)
    learnt = farm.sources.new_domain()
    wait_until(lambda: farm.nodes[0].verdict(learnt)["verdict"] == "secure" and farm.record(learnt),
               "Redis is not used again", 15)
    assert farm.nodes[1].verdict(learnt)["verdict"] == "secure" and farm.sources.fetches(learnt) == 1
