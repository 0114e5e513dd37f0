"""Documents that others can check: what became of a run, told in the formats of other tools. Pure.

To add a format: one file here with a class that has the members of `Format`, and one line in `FORMATS`. It is given a
`Subject` (the run, its nodes and executions, and a view of the store's contents) and gives one `Document`, or a
`Folder` of files, of which those that the store has are only named by their digests. Whoever called writes them
(`runner.app.export`). The same record gives the same bytes: no time of day, no random ids.
"""

from collections.abc import Mapping
from typing import ClassVar, Protocol

from runner.export.cyclonedx import CycloneDX
from runner.export.document import Document, Folder
from runner.export.mlflow import MLflow
from runner.export.openlineage import OpenLineage
from runner.export.prov import Prov
from runner.export.rocrate import ROCrate
from runner.export.slsa import Slsa
from runner.export.subject import Subject


class Format(Protocol):
    """One format of documents. Objects of it hold nothing."""

    summary: ClassVar[str]
    """A few words for the help text."""

    def document(self, subject: Subject) -> Document | Folder:
        """What the record says, in this format. Raises MlrunError, also for what such a document cannot tell."""
        ...


FORMATS: Mapping[str, Format] = {
    "ro-crate": ROCrate(),
    "openlineage": OpenLineage(),
    "cyclonedx": CycloneDX(),
    "prov": Prov(),
    "mlflow": MLflow(),
    "slsa": Slsa(),
}
