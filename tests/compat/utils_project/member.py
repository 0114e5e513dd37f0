"""Reads the description of a distributed group."""

import json
from pathlib import Path

from valohai import distributed, outputs

facts = {
    "distributed": distributed.is_distributed_task(),
    "group": distributed.group_name,
    "member": distributed.member_id,
    "rank": distributed.rank,
    "count": distributed.required_count,
    "ranks": {member.member_id: member.rank for member in distributed.members()},
    "master": distributed.master().primary_local_ip,
    "me": [distributed.me().identity, distributed.me().exposed_ports, distributed.me().is_master],
}
Path(outputs().path("member.json")).write_text(json.dumps(facts))
