"""The ways to run a job on this machine, each a small named thing behind `runner.job.Executor`.

Importing this page loads none of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module

from runner.executors.site import Site
from runner.job import Executor


@dataclass(frozen=True, slots=True)
class Loader:
    """Imports an executor's module when it is called for, not before: a Docker SDK costs more than a whole step."""

    module: str
    attribute: str

    def __call__(self, site: Site) -> Executor:
        """The executor for this `site`; starts nothing and touches nothing."""
        executor: Executor = getattr(import_module(self.module), self.attribute)(site)
        return executor


EXECUTORS: Mapping[str, Loader] = {
    "docker": Loader("runner.executors.docker", "DockerExecutor"),
    "sandbox": Loader("runner.executors.sandbox", "SandboxExecutor"),
    "process": Loader("runner.executors.process", "ProcessExecutor"),
}

__all__ = ["EXECUTORS", "Loader", "Site"]
