"""Every address of the HTML pages is built here."""

from __future__ import annotations

from urllib.parse import quote, urlencode


class Urls:
    """Builds the addresses that templates, redirects and the JSON API's `url` field point to."""

    home = "/"
    library_path = "/library"
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

    def analysis(self, id: str, position: int | None = None) -> str:
        """The permalink, with a token pinned when `position` is given."""
        return f"/a/{quote(id, safe='')}" + ("" if position is None else f"?t={position}")

    def panel(self, id: str, position: int) -> str:
        """The fragment beside the text: one position's readings, scores and curve."""
        return f"/a/{quote(id, safe='')}/panel?t={position}"

    def stream(self, id: str, position: int | None = None) -> str:
        """The stream that keeps an open page up to date; without a position it follows the focus."""
        return f"/a/{quote(id, safe='')}/stream" + ("" if position is None else f"?t={position}")

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

    def inside(self, position: int) -> str:
        """A token's panel within an exported file."""
        return f"#t{position}"

    def json(self, id: str) -> str:
        """The page's JSON twin."""
        return f"/api/analyses/{quote(id, safe='')}"


urls = Urls()
