"""What is written of a job is enough to make it again."""

import json
from dataclasses import replace

from runner.engine.entry import job_from_json, job_to_json
from runner.job import Allowance, Gang, HostMount, InputFile, Job, JobInput, Network, Script

JOB = Job(
    id="0190a1b2-0000-7000-8000-000000000001",
    step="train",
    image="python:3.12",
    script=Script(("a", "b"), stop_at_failure=False),
    snapshot="0" * 64,
    parameters={"C": 1.5, "names": ["a", "b"], "flag": False},
    inputs=(
        JobInput("data", (InputFile("a.csv", "1" * 64, 3, "datum://x", {"k": [1]}),)),
        JobInput("none", ()),
    ),
    environment={"A": "1"},
    network=Network.NONE,
    time_limit=5.0,
    no_output_timeout=2.0,
    stop_condition="loss < 1",
    allowance=Allowance(cpus=1.5, cpu_set=(0, 2), memory=1 << 30, shm=1, devices={"nvidia.com/gpu": -1}),
    mounts=(HostMount("/a", "/b", True),),
    secrets=("TOKEN",),
    defaults={"TZ": "UTC"},
    gang=Gang("run.gang", 1, ("127.1.0.1", "127.1.0.2")),
)


def test_a_job_comes_back_from_its_record_whole() -> None:
    assert job_from_json(JOB.id, json.loads(json.dumps(job_to_json(JOB)))) == JOB


LATER = ("allowance", "mounts", "secrets", "defaults", "gang")


def test_what_only_this_execution_was_told_is_written_too() -> None:
    document = {"valohai.execution-ctime": "now", "valohai.execution-step": "train"}

    told = job_to_json(replace(JOB, documents={"execution": document, "parameters": {}}))["told"]

    assert told == {"valohai.execution-ctime": "now"}


def test_a_record_without_the_later_fields_is_a_job_without_bounds() -> None:
    old = {key: value for key, value in job_to_json(JOB).items() if key not in LATER}

    job = job_from_json(JOB.id, old)

    assert (job.allowance, job.mounts, job.secrets, job.defaults, job.gang) == (Allowance(), (), (), {}, None)
