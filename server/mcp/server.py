"""The server: its tools, and errors that say what to change."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import CallToolResult, InputRequiredResult, TextContent, ToolAnnotations
from pydantic import ValidationError

from server import __version__
from server.api.problems import field_errors
from server.errors import NlaError
from server.mcp.analysis_tools import AnalysisTools
from server.mcp.causal_tools import CausalTools
from server.mcp.compare_tools import CompareTools
from server.mcp.doubt_tools import DoubtTools
from server.mcp.edit_tools import EditTools
from server.mcp.instructions import INSTRUCTIONS
from server.mcp.lens_tools import LensTools
from server.mcp.notebook_tools import NotebookTools
from server.mcp.pair_tools import PairTools
from server.mcp.reading_tools import ReadingTools
from server.mcp.study_tools import StudyTools
from server.mcp.vector_tools import VectorTools
from server.services import Services

LOOKS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
KEEPS = ToolAnnotations(
    read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=False
)
"""It keeps what it has computed; asked again, nothing more happens."""
ADDS = ToolAnnotations(
    read_only_hint=False, destructive_hint=False, idempotent_hint=False, open_world_hint=False
)
"""It adds something; asked again, once more."""


class AgentServer(MCPServer[Any]):
    """Answers in compact JSON, and tells our own errors, and those of arguments, by the field and the cure."""

    on_first_call: Callable[[], None] | None = None
    """Called before the first tool is."""

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[Any, Any] | None = None
    ) -> CallToolResult | InputRequiredResult:
        """Call one tool. Raises ToolError."""
        begin, self.on_first_call = self.on_first_call, None
        if begin is not None:
            begin()
        await self._check_names(name, arguments)
        try:
            result = await super().call_tool(name, arguments, context)
        except ToolError as error:
            said = _said(error.__cause__)
            if said is None:
                raise
            raise ToolError(said) from error.__cause__
        if isinstance(result, CallToolResult) and result.structured_content is not None:
            text = json.dumps(result.structured_content, ensure_ascii=False, separators=(",", ":"))
            result.content = [TextContent(type="text", text=text)]
        return result

    async def _check_names(self, name: str, arguments: dict[str, Any]) -> None:
        """Raise ToolError for an argument that the tool does not have: it would be left out without a word."""
        for tool in await self.list_tools():
            known = tool.input_schema.get("properties", {})
            wrong = [argument for argument in arguments if argument not in known]
            if tool.name == name and wrong:
                raise ToolError(f"{wrong[0]}: {name} has no such argument. It has {', '.join(known)}.")


def create_server(services: Services, on_first_call: Callable[[], None] | None = None) -> AgentServer:
    """The server with all tools, on these services."""
    server = AgentServer(
        "nla-explorer",
        title="nla-explorer",
        description="What a language model's activations say in words, with scores and their nulls.",
        instructions=INSTRUCTIONS,
        version=__version__,
        subscriptions=False,
    )
    server.on_first_call = on_first_call
    analyses, readings = AnalysisTools(services), ReadingTools(services)
    doubts, vectors, studies = DoubtTools(services), VectorTools(services), StudyTools(services)
    notebooks = NotebookTools(services)
    tools = (
        (analyses.analyse, KEEPS),
        (analyses.list_analyses, LOOKS),
        (readings.find_in_readings, LOOKS),
        (readings.read_positions, LOOKS),
        (LensTools(services).lens_of_word, LOOKS),
        (EditTools(services).edit_and_patch, KEEPS),
        (CausalTools(services).causal_scores, KEEPS),
        (doubts.agreement, LOOKS),
        (doubts.form_test, KEEPS),
        (vectors.make_vector, KEEPS),
        (vectors.read_vector, KEEPS),
        (studies.start_study, KEEPS),
        (studies.study, LOOKS),
        (notebooks.keep_finding, ADDS),
        (notebooks.notebook, LOOKS),
        (CompareTools(services).compare, LOOKS),
        (PairTools(services).pairs, LOOKS),
    )
    for tool, hints in tools:
        server.add_tool(tool, annotations=hints)
    return server


def _said(cause: BaseException | None) -> str | None:
    """Fields at fault and what is wrong with them; None of what is no fault of the asker's and none that we know."""
    if isinstance(cause, NlaError):
        fields = [(error.field, error.detail) for error in cause.errors] or [(cause.title, cause.detail)]
    elif isinstance(cause, ValidationError):
        fields = [(error.field, error.detail) for error in field_errors(cause.errors())]
    else:
        return None
    return "; ".join(f"{field}: {detail}" if field else detail for field, detail in fields[:5])
