"""MCP over streamable HTTP, without sessions: any server can answer any request."""

from __future__ import annotations

from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings

from server.mcp.server import create_server
from server.services import Services


def create_manager(services: Services) -> StreamableHTTPSessionManager:
    """The handler of requests, to be run once. Host, origin and token are checked before it (`server.api.guard`)."""
    server = create_server(services)
    server.streamable_http_app(
        stateless_http=True,
        transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
        max_request_body_size=services.settings.max_body_bytes,
    )
    return server.session_manager
