"""Every address of the HTML pages is built here."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote, urlencode

from frontend.view_state import ViewState


class Urls:
    """Builds the addresses that templates, redirects and the JSON API's `url` field point to."""

    home = "/"
    library_path = "/library"
    studies_path = "/studies"
    prompts_study = "/studies/prompts"
    built_in_study = "/studies/built-in"
    compare_path = "/compare"
    vectors_path = "/vectors"
    upload_vector = "/vectors/upload"
    pairs_path = "/pairs"
    notebooks_path = "/notebooks"
    add_to_notebook = "/notebooks/add"
    login = "/login"
    logout = "/logout"
    models = "/models"
    forecast = "/forecast"
    api_docs = "/docs"

    def composer(self, source: str) -> str:
        """The form on the home page, filled in from an earlier analysis."""
        return "/?" + urlencode({"from": source})

    def library(self, **narrowed: str) -> str:
        """The list of analyses; q, pair, status, before and deleted as in the query, empty ones left out."""
        query = urlencode({name: value for name, value in narrowed.items() if value})
        return self.library_path + ("?" + query if query else "")

    def analysis(self, id: str, view_state: ViewState | None = None) -> str:
        """The permalink, with what the viewer looks at."""
        return f"/a/{quote(id, safe='')}" + (view_state.query() if view_state else "")

    def panel(self, id: str, view_state: ViewState | None = None, *, whole: bool = False) -> str:
        """The fragment beside the text: one position's readings, scores and layers.

        It keeps what the page's address says of everything but the position, unless `look` is the `whole` of it.
        """
        where = f"/a/{quote(id, safe='')}/panel"
        if view_state is None:
            return where
        return where + (view_state.query(whole=True) if whole else f"?t={view_state.t}")

    def other_layers(self, id: str, position: int) -> str:
        """The fragment of what is read at other layers at a position."""
        return f"/a/{quote(id, safe='')}/beside?t={position}"

    def edit(self, id: str, view_state: ViewState) -> str:
        """POST: patch edited words in at the position of `look`, and come back to that."""
        return f"/a/{quote(id, safe='')}/edit{view_state.query(whole=True)}"

    def quick_edit(self, id: str, view_state: ViewState) -> str:
        """POST: change the words in the form of an edit, and show it again."""
        return f"/a/{quote(id, safe='')}/quick-edit{view_state.query(whole=True)}"

    def pending_edit(self, id: str, edit: str, view_state: ViewState) -> str:
        """The fragment of an edit that is being made: its progress, or the edit once it is made."""
        return f"/a/{quote(id, safe='')}/edits/{quote(edit, safe='')}{view_state.query(whole=True)}"

    def cancel_edit(self, id: str, edit: str, view_state: ViewState) -> str:
        """POST: end the making of an edit, and come back to the position of `view_state`."""
        return f"/a/{quote(id, safe='')}/edits/{quote(edit, safe='')}/cancel{view_state.query(whole=True)}"

    def pair(self, name: str) -> str:
        """The page of a pair."""
        return f"{self.pairs_path}/{quote(name, safe='')}"

    def pair_json(self, name: str) -> str:
        """A pair as JSON."""
        return f"/api/pairs/{quote(name, safe='')}"

    def notebooks(self, before: str = "") -> str:
        """The list of notebooks; those that follow the one of the id `before`."""
        return self.notebooks_path + _given({"before": before})

    def notebook(self, id: str, entry: str = "") -> str:
        """The permalink of a notebook, or of an entry of it."""
        return f"/n/{quote(id, safe='')}" + (f"#{quote(entry, safe='')}" if entry else "")

    def put_into_notebook(self, **what: object) -> str:
        """The form that puts something into a notebook: `analysis` with position, edit or measurement, or `study`."""
        return self.add_to_notebook + "?" + urlencode(what)

    def rename_notebook(self, id: str) -> str:
        """POST: give a notebook another title."""
        return f"{self.notebook(id)}/title"

    def delete_notebook(self, id: str) -> str:
        """POST: remove a notebook for good."""
        return f"{self.notebook(id)}/delete"

    def entries(self, id: str) -> str:
        """POST: add a note to a notebook."""
        return f"{self.notebook(id)}/entries"

    def entry(self, id: str, entry: str) -> str:
        """POST: change an entry's name and note."""
        return f"{self.entries(id)}/{quote(entry, safe='')}"

    def move_entry(self, id: str, entry: str, place: int) -> str:
        """POST: put an entry at another place."""
        return f"{self.entry(id, entry)}/move?place={place}"

    def remove_entry(self, id: str, entry: str) -> str:
        """POST: remove an entry for good."""
        return f"{self.entry(id, entry)}/delete"

    def notebook_html(self, id: str) -> str:
        """A notebook as one HTML file."""
        return f"/api/notebooks/{quote(id, safe='')}/export.html"

    def notebook_json(self, id: str) -> str:
        """A notebook as JSON, with the numbers behind it."""
        return f"/api/notebooks/{quote(id, safe='')}/export.json"

    def intervention(self, id: str, intervention: str) -> str:
        """An intervention as JSON."""
        return f"{self.json(id)}/interventions/{quote(intervention, safe='')}"

    def map(self, id: str, metric: str) -> str:
        """The fragment of the lens map, by another metric."""
        return f"/a/{quote(id, safe='')}/map?metric={metric}"

    def cells(self, id: str, metric: str, lens: str = "plain") -> str:
        """The numbers that the lens map is drawn from."""
        return f"/a/{quote(id, safe='')}/cells?metric={metric}" + ("&lens=tuned" if lens == "tuned" else "")

    def cell(self, id: str, lens: str) -> str:
        """The fragment of one layer at one position; wants `&t=` and `layer=`."""
        return f"/a/{quote(id, safe='')}/cell?lens={lens}"

    def map_table(self, id: str, view_state: ViewState) -> str:
        """The lens map as a table."""
        return f"/a/{quote(id, safe='')}/lens{view_state.query()}"

    def word(self, id: str, **asked: str) -> str:
        """A word along the text; word, lens, variant and metric as in the query, empty ones left out."""
        return f"/a/{quote(id, safe='')}/word" + _given(asked)

    def word_cells(self, id: str, **asked: str) -> str:
        """The numbers of a word's map."""
        return f"/a/{quote(id, safe='')}/word/cells" + _given(asked)

    def word_cell(self, id: str, **asked: str) -> str:
        """The fragment of one cell of a word's map, less its `t` and `layer`."""
        return f"/a/{quote(id, safe='')}/word/cell" + _given(asked)

    def word_svg(self, id: str, **asked: str) -> str:
        """A word's map as a drawing."""
        return f"/a/{quote(id, safe='')}/word.svg" + _given(asked)

    def cancel_word(self, id: str, measurement_id: str) -> str:
        """POST: stop a word that is being measured."""
        return f"/a/{quote(id, safe='')}/word/{quote(measurement_id, safe='')}/cancel"

    def ribbon(self, id: str, show: str) -> str:
        """The fragment of the ribbon, `on` or `off`."""
        return f"/a/{quote(id, safe='')}/ribbon?show={show}"

    def readings(self, id: str, **narrowed: str) -> str:
        """The table of all readings; sort, q, role and template as in the query, empty ones left out."""
        query = urlencode({name: value for name, value in narrowed.items() if value})
        return f"/a/{quote(id, safe='')}/readings" + (f"?{query}" if query else "")

    def stream(self, id: str, view_state: ViewState | None = None) -> str:
        """The stream that keeps an open page up to date; without a position it follows the focus."""
        return f"/a/{quote(id, safe='')}/stream" + (view_state.query() if view_state else "")

    def compare(
        self,
        a: str,
        b: str = "",
        sample_a: int = 0,
        sample_b: int = 0,
        t: int | None = None,
        u: int | None = None,
    ) -> str:
        """Two analyses beside each other; samples count from 1 in the address. `t` pins a position of a, `u`
        one of b.
        """
        fields = {"a": a, "b": b, "sa": sample_a + 1, "sb": sample_b + 1, "t": t, "u": u}
        return self.compare_path + "?" + urlencode({k: v for k, v in fields.items() if v not in (None, "")})

    def cancel(self, id: str) -> str:
        """POST: stop the work, keep what is there."""
        return f"/a/{quote(id, safe='')}/cancel"

    def resume(self, id: str) -> str:
        """POST: take up a failed or cancelled analysis where it stopped."""
        return f"/a/{quote(id, safe='')}/continue"

    def delete(self, id: str) -> str:
        """POST: forget the analysis."""
        return f"/a/{quote(id, safe='')}/delete"

    def restore(self, id: str) -> str:
        """POST: undo that."""
        return f"/a/{quote(id, safe='')}/restore"

    def export(self, id: str, extension: str) -> str:
        """The analysis as a file: json, csv, parquet or html."""
        return f"{self.json(id)}/export.{extension}"

    def edits_export(self, id: str, extension: str) -> str:
        """The edits of an analysis as a table: csv or parquet."""
        return f"{self.json(id)}/interventions.{extension}"

    def read_patched(self, id: str, edit: str) -> str:
        """POST: analyse the text with the patched reply, and compare both."""
        return f"/a/{quote(id, safe='')}/edits/{quote(edit, safe='')}/read"

    def causal(self, id: str) -> str:
        """POST: have the causal scores measured; GET: the fragment of how far they are."""
        return f"/a/{quote(id, safe='')}/causal"

    def causal_stream(self, id: str, view_state: ViewState) -> str:
        """The event stream of the causal scores that are being measured."""
        return f"{self.causal(id)}/stream{view_state.query()}"

    def cancel_causal(self, id: str) -> str:
        """POST: stop that."""
        return f"/a/{quote(id, safe='')}/causal/cancel"

    def form(self, id: str) -> str:
        """POST: measure how much of the scores is form; GET: the fragment of that."""
        return f"/a/{quote(id, safe='')}/form"

    def parts(self, id: str, position: int, sample: int) -> str:
        """POST: find out what carries a reading; GET: the fragment of that."""
        return f"/a/{quote(id, safe='')}/parts?t={position}&sample={sample}"

    def agreement(self, id: str, position: int) -> str:
        """The agreement of a token's readings, as a page; with scripts, the fragment of it."""
        return f"/a/{quote(id, safe='')}/agreement?t={position}"

    def samples(self, id: str, position: int, last: int | None = None) -> str:
        """POST: have a token, or those from it to the `last` one, read several times."""
        where = f"/a/{quote(id, safe='')}/samples?t={position}"
        return where if last is None else f"{where}&last={last}"

    def range(self, id: str) -> str:
        """The fragment of a range of tokens, less its `first` and `last`."""
        return f"/a/{quote(id, safe='')}/range"

    def measurements_export(self, id: str, extension: str) -> str:
        """The causal scores of an analysis as a table: csv or parquet."""
        return f"{self.json(id)}/measurements.{extension}"

    def siblings_export(self, id: str, extension: str) -> str:
        """Return the address of the siblings' readings as a table: csv or parquet."""
        return f"{self.json(id)}/siblings.{extension}"

    def vectors(self, before: str = "") -> str:
        """The list of vectors, from the newest or from the one after `before` on."""
        return self.vectors_path + (f"?before={quote(before, safe='')}" if before else "")

    def vector(self, id: str) -> str:
        """The page of a vector."""
        return f"/v/{quote(id, safe='')}"

    def read_vector(self, id: str) -> str:
        """POST: have a vector read."""
        return f"{self.vector(id)}/read"

    def vector_reading(self, id: str, reading_id: str) -> str:
        """Readings of a vector that are being made, asked again by the page until they are."""
        return f"{self.vector(id)}/readings/{quote(reading_id, safe='')}"

    def cancel_vector_reading(self, id: str, reading_id: str) -> str:
        """POST: stop readings of a vector that are being made."""
        return f"{self.vector_reading(id, reading_id)}/cancel"

    def delete_vector(self, id: str) -> str:
        """POST: remove a vector."""
        return f"{self.vector(id)}/delete"

    def vector_json(self, id: str) -> str:
        """A vector with its values as JSON."""
        return f"/api/vectors/{quote(id, safe='')}"

    def keep_vector(self, id: str, position: int) -> str:
        """POST: keep the activation at a position as a vector."""
        return f"/a/{quote(id, safe='')}/vector?t={position}"

    def studies(self, before: str = "") -> str:
        """The list of studies, or those older than one."""
        return self.studies_path + (f"?{urlencode({'before': before})}" if before else "")

    def study(self, id: str, show: str = "all", start: int = 0) -> str:
        """A study's permalink; which cases are in its table, and from which on."""
        return f"/s/{quote(id, safe='')}" + _looked_at(show, start)

    def study_stream(self, id: str, show: str = "all", start: int = 0) -> str:
        """The stream that keeps an open page of a study up to date."""
        return f"/s/{quote(id, safe='')}/stream" + _looked_at(show, start)

    def cancel_study(self, id: str) -> str:
        """POST: stop a study, keep what is there."""
        return f"/s/{quote(id, safe='')}/cancel"

    def resume_study(self, id: str) -> str:
        """POST: take up a failed or cancelled study where it stopped."""
        return f"/s/{quote(id, safe='')}/continue"

    def delete_study(self, id: str) -> str:
        """POST: remove a study for good."""
        return f"/s/{quote(id, safe='')}/delete"

    def study_json(self, id: str) -> str:
        """A study as JSON."""
        return f"/api/studies/{quote(id, safe='')}"

    def study_export(self, id: str, extension: str) -> str:
        """The readings of a study as a table: csv or parquet."""
        return f"{self.study_json(id)}/results.{extension}"

    def study_html(self, id: str) -> str:
        """A study as one HTML file."""
        return f"{self.study_json(id)}/export.html"

    def inside(self, position: int) -> str:
        """A token's panel within an exported file."""
        return f"#t{position}"

    def json(self, id: str) -> str:
        """The page's JSON twin."""
        return f"/api/analyses/{quote(id, safe='')}"


def _given(fields: Mapping[str, str]) -> str:
    query = urlencode({name: value for name, value in fields.items() if value})
    return f"?{query}" if query else ""


def _looked_at(show: str, start: int) -> str:
    query = urlencode(
        {name: value for name, value in (("show", show), ("start", start)) if value not in ("all", 0)}
    )
    return f"?{query}" if query else ""


urls = Urls()
