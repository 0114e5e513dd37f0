"""The description of the machine."""

import json

from runner.provenance.host import describe_host


def test_the_host_is_described_in_plain_json_with_the_facts_that_matter() -> None:
    host = describe_host()
    assert json.loads(json.dumps(host)) == host
    assert host["kernel"].startswith("Linux ")
    assert host["memory"] > 1 << 20
    assert host["processors"] >= 1
