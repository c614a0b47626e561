"""The service of readings of vectors: what may be asked, and the id of what was asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlalchemy.orm import Session

from server.analyses.content_id import digest, settled, short
from server.analyses.limits import check_verbalise
from server.analyses.reconstruction import check_lengths
from server.analyses.schema import Verbalise
from server.jobs.attached import AttachedJobs
from server.jobs.progress import Progress
from server.jobs.scheduler import Scheduler
from server.metrics import Metrics
from server.pairs.model_pool import ModelPool
from server.settings import Settings
from server.store import repository
from server.store.database import Store
from server.store.tables import VectorReadingRow, VectorRow
from server.store.vectors import unpack
from server.vectors.kind import Inputs, VectorReadingKind, check_fits, inputs_of
from server.vectors.schema import PendingVectorReadings, VectorReadings, url_of_reading
from server.vectors.service import find, row_of

if TYPE_CHECKING:
    from server.nla.models.loaded_pair import LoadedPair
    from server.nla.scores import Score

FORMAT = 1


class VectorReader(AttachedJobs[VectorReadingRow, VectorReadings, PendingVectorReadings]):
    """Has vectors read, and keeps what was read."""

    noun = "reading"
    parent = "vector"
    table = VectorReadingRow

    def __init__(
        self, scheduler: Scheduler, store: Store, models: ModelPool, settings: Settings, metrics: Metrics
    ) -> None:
        super().__init__(scheduler, store, VectorReadingKind(store, settings, metrics))
        self._models = models
        self._settings = settings

    async def submit(self, vector_id: str, asked: Verbalise) -> tuple[str, bool]:
        """Have the AV write of a vector, unless it has in this way or does. Returns the id of the readings, and whether
        they are there: the same wish finds the same words.

        Raises NotFound, BadInput for more than this server writes at a time, NotReady while the pair is not resident,
        Conflict where it has other weights than the vector, and Busy when the queue is full.
        """
        row = await find(self._store, vector_id)
        check_verbalise(asked, self._settings)
        asked = settled(asked)
        with self._models.borrow(row.pair) as pair:
            check_fits(row, pair)
            fingerprint = pair.fingerprint
        id = short(digest([FORMAT, row.id, fingerprint, asked.model_dump(mode="json")]))
        if await self.is_made(row.id, id):
            return id, True
        made = await self._submit(
            VectorReadingRow(
                id=id,
                vector_id=row.id,
                pair=row.pair,
                status="queued",
                created=repository.now(),
                run_number=0,
                inputs=Inputs(request=asked, fingerprint=fingerprint).model_dump_json(),
                result="",
            )
        )
        return id, made

    async def read(self, vector_id: str, asked: Verbalise) -> tuple[VectorReadings, bool]:
        """The readings, once they are there, and whether they were. Raises as `submit` and `wait`."""
        id, existed = await self.submit(vector_id, asked)
        return await self.wait(id), existed

    async def score(self, vector_id: str, texts: Sequence[str]) -> tuple[list[Score], LoadedPair]:
        """Score how much of a vector each of some texts holds, by the pair that is returned. Raises as `submit` does,
        and BadInput for a text that the AR cannot take.
        """
        row = await find(self._store, vector_id)
        async with self._scheduler.call():
            return await self._score(row, texts)

    async def _score(self, row: VectorRow, texts: Sequence[str]) -> tuple[list[Score], LoadedPair]:
        from server.nla.scores import score

        with self._models.borrow(row.pair) as pair:
            check_fits(row, pair)
            await check_lengths(pair, "texts", texts, self._settings)
            vectors = await pair.reconstructor.reconstruct(list(texts))
            return [score(unpack(row.data)[0], vector, pair.variance) for vector in vectors], pair

    def _parent(self, parent_id: str, session: Session) -> str:
        return row_of(parent_id, session).id

    def _made(self, result: str) -> VectorReadings:
        return VectorReadings.model_validate_json(result)

    def _pending(self, row: VectorReadingRow, progress: Progress) -> PendingVectorReadings:
        return PendingVectorReadings(
            id=row.id,
            url=url_of_reading(row.vector_id, row.id),
            vector=row.vector_id,
            created=row.created,
            request=inputs_of(row).request,
            pair=row.pair,
            progress=progress,
        )
