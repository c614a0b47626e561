"""The job of an intervention: what is asked, and how far it is."""

from __future__ import annotations

from pydantic import BaseModel, ValidationError

from server.analyses.schema import url_of
from server.errors import Unreadable
from server.interventions.run import Step
from server.interventions.schema import InterventionRequest, PendingIntervention
from server.jobs.attached_job import AttachedJob
from server.jobs.progress import Progress
from server.store.database import Store
from server.store.tables import InterventionRow
from server.vectors.schema import UsedVector


class Inputs(BaseModel):
    """Everything that decides the answer: a normalised request, the unedited reading, and the positions whose readings
    it is compared with; and the name of the vector that the request may have.
    """

    request: InterventionRequest
    original: str | None
    others: list[int]
    vector: UsedVector | None = None

    @property
    def until(self) -> int:
        """The position after which the model goes on."""
        assert self.request.until is not None, "a normalised request has one"
        return self.request.until


def pending(row: InterventionRow, progress: Progress) -> PendingIntervention:
    """An edit that is being made, in the words of the API. Raises Unreadable."""
    inputs = inputs_of(row)
    return PendingIntervention(
        id=row.id,
        url=edit_url(row.analysis_id, row.position, row.id),
        analysis=row.analysis_id,
        created=row.created,
        request=inputs.request,
        vector=inputs.vector,
        pair=row.pair,
        progress=progress,
    )


def inputs_of(row: InterventionRow) -> Inputs:
    """The inputs of an edit. Raises Unreadable."""
    try:
        return Inputs.model_validate_json(row.inputs)
    except ValidationError as error:
        raise Unreadable(f"What is kept of the edit {row.id} is damaged. Ask for it again.") from error


def edit_url(analysis_id: str, position: int, id: str) -> str:
    """The permalink's path."""
    return f"{url_of(analysis_id)}?t={position}&edit={id}"


class InterventionJob(AttachedJob[InterventionRow]):
    """The live state of one intervention."""

    kind = "edit"

    def __init__(self, row: InterventionRow, store: Store) -> None:
        super().__init__(row, store)
        self.inputs = inputs_of(row)

    def take(self, step: Step) -> None:
        """Tell watchers of a step."""
        self.tell(Progress(stage=step.stage, done=step.done, total=step.total))
