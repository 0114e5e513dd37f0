"""Members of a distributed task that find one another as the library tells: the master adds up what the others send."""

import json
import socket
import time
from pathlib import Path

import valohai

distributed = valohai.distributed
master, me = distributed.master(), distributed.me()
PORT = 29500
total = 0
if me.is_master:
    with socket.create_server((me.primary_local_ip, PORT)) as server:
        server.settimeout(60)
        for _ in range(distributed.required_count - 1):
            peer, _ = server.accept()
            with peer, peer.makefile() as lines:
                total += int(lines.readline())
else:
    for _ in range(600):
        try:
            peer = socket.create_connection((master.primary_local_ip, PORT), 60)
            break
        except ConnectionRefusedError:
            time.sleep(0.1)
    with peer:
        peer.sendall(b"%d\n" % distributed.rank)

facts = {
    "distributed": distributed.is_distributed_task(),
    "group": distributed.group_name,
    "member": distributed.member_id,
    "rank": distributed.rank,
    "count": distributed.required_count,
    "ranks": [member.rank for member in distributed.members()],
    "addresses": [member.primary_local_ip for member in distributed.members()],
    "sum": total,
}
Path(valohai.outputs().path("together.json")).write_text(json.dumps(facts))
