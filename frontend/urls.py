"""Every address of the HTML pages is built here."""

from __future__ import annotations

from urllib.parse import quote, urlencode

from frontend.view_state import ViewState


class Urls:
    """Builds the addresses that templates, redirects and the JSON API's `url` field point to."""

    home = "/"
    library_path = "/library"
    compare_path = "/compare"
    login = "/login"
    models = "/models"
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

    def beside(self, id: str, position: int) -> str:
        """The fragment of what is read at other layers at a position."""
        return f"/a/{quote(id, safe='')}/beside?t={position}"

    def edit(self, id: str, view_state: ViewState) -> str:
        """POST: patch edited words in at the position of `look`, and come back to that."""
        return f"/a/{quote(id, safe='')}/edit{view_state.query(whole=True)}"

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

    def siblings_export(self, id: str, extension: str) -> str:
        """What other pairs read of the same text as a table: csv or parquet."""
        return f"{self.json(id)}/siblings.{extension}"

    def inside(self, position: int) -> str:
        """A token's panel within an exported file."""
        return f"#t{position}"

    def json(self, id: str) -> str:
        """The page's JSON twin."""
        return f"/api/analyses/{quote(id, safe='')}"


urls = Urls()
