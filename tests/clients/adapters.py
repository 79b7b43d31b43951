"""The clients that hold a session: each as a context manager that gives an object with these methods.

    tools() -> names            call(tool, arguments) -> the structured answer, or raises Refused
    prompts() -> names          prompt(name, arguments) -> its text
    read(uri) -> text           server: the name that the server gave

Each imports its package only when it is used, since not all packages can be installed together.
Where a library calls tools for a language model, a scripted model asks for the call, so that the
library converts the schemas, the arguments and the answers as it does for a real one.
"""

import json
from contextlib import asynccontextmanager
from importlib import metadata
from typing import NamedTuple


class Stdio(NamedTuple):
    """A server that the client starts."""

    command: str
    args: list
    env: dict


class Http(NamedTuple):
    """A running server."""

    url: str


class Refused(Exception):
    """A tool answered with an error; this is its text."""


class Sdk:
    """The Python SDK, version 2."""

    def __init__(self, client, server):
        self.client, self.server = client, server

    async def tools(self):
        return [tool.name for tool in (await self.client.list_tools()).tools]

    async def call(self, tool, arguments):
        result = await self.client.call_tool(tool, arguments)
        if result.is_error:
            raise Refused(result.content[0].text)
        return result.structured_content

    async def read(self, uri):
        return (await self.client.read_resource(uri)).contents[0].text

    async def prompts(self):
        return [prompt.name for prompt in (await self.client.list_prompts()).prompts]

    async def prompt(self, name, arguments):
        return (await self.client.get_prompt(name, arguments)).messages[0].content.text


def sdk(mode, revision):
    @asynccontextmanager
    async def connect(to):
        from mcp import Client, StdioServerParameters

        server = to.url if isinstance(to, Http) else StdioServerParameters(**to._asdict())
        async with Client(server, mode=mode) as client:
            assert client.protocol_version == revision, client.protocol_version
            yield Sdk(client, client.server_info.name)

    return connect


def fastmcp_transport(to):
    from fastmcp.client.transports import StdioTransport

    return to.url if isinstance(to, Http) else StdioTransport(*to, keep_alive=False)


class FastMcp(Sdk):
    async def tools(self):
        return [tool.name for tool in await self.client.list_tools()]

    async def call(self, tool, arguments):
        from fastmcp.exceptions import ToolError

        try:
            return (await self.client.call_tool(tool, arguments)).structured_content
        except ToolError as error:
            raise Refused(str(error)) from error

    async def read(self, uri):
        return (await self.client.read_resource(uri))[0].text

    async def prompts(self):
        return [prompt.name for prompt in await self.client.list_prompts()]


@asynccontextmanager
async def fastmcp(to):
    from fastmcp import Client

    async with Client(fastmcp_transport(to)) as client:
        yield FastMcp(client, client.server_info.name)


class PydanticAi(Sdk):
    async def tools(self):
        return [tool.name for tool in await self.client.list_tools()]

    async def call(self, tool, arguments):
        from pydantic_ai import Agent
        from pydantic_ai.messages import ModelResponse, TextPart, ToolCallPart, ToolReturnPart
        from pydantic_ai.models.function import FunctionModel

        def model(messages, _):
            last = messages[-1].parts[-1]
            if not isinstance(last, ToolReturnPart):
                return ModelResponse([ToolCallPart(tool, arguments)])
            if last.outcome != "success":
                raise Refused(last.content)
            return ModelResponse([TextPart(json.dumps(last.content))])

        return json.loads((await Agent(FunctionModel(model), toolsets=[self.client]).run("Go on.")).output)

    async def read(self, uri):
        return await self.client.read_resource(uri)

    async def prompts(self):
        return [prompt.name for prompt in await self.client.list_prompts()]

    async def prompt(self, name, arguments):
        return (await self.client.get_prompt(name, arguments)).messages[0].content.content


@asynccontextmanager
async def pydantic_ai(to):
    from pydantic_ai.mcp import MCPToolset

    async with MCPToolset(fastmcp_transport(to)) as toolset:
        yield PydanticAi(toolset, toolset.server_info.name)


class OpenAiAgents(Sdk):
    async def tools(self):
        return [tool.name for tool in await self.client.list_tools()]

    async def call(self, tool, arguments):
        from agents import Agent, Model, ModelResponse, RunConfig, Runner, Usage
        from openai.types.responses import ResponseFunctionToolCall

        class Scripted(Model):
            async def get_response(self, *_, **__):
                call = ResponseFunctionToolCall(
                    type="function_call", call_id="1", name=tool, arguments=json.dumps(arguments)
                )
                return ModelResponse(output=[call], usage=Usage(), response_id=None)

            def stream_response(self, *_, **__):
                raise NotImplementedError

        strict = {"convert_schemas_to_strict": True}
        agent = Agent(
            "caller", model=Scripted(), mcp_servers=[self.client], mcp_config=strict, tool_use_behavior="stop_on_first_tool"
        )
        done = await Runner.run(agent, "Go on.", run_config=RunConfig(tracing_disabled=True))
        # The library does not tell an error from an answer; only an answer is JSON.
        text = done.new_items[-1].output["text"]
        if not text.startswith("{"):
            raise Refused(text)
        return json.loads(text)


@asynccontextmanager
async def openai_agents(to):
    from agents.mcp import MCPServerStdio, MCPServerStreamableHttp

    kind = MCPServerStreamableHttp if isinstance(to, Http) else MCPServerStdio
    async with kind(to._asdict()) as server:
        yield OpenAiAgents(server, server.session.server_info.name)


class LangChain(Sdk):
    """Its adapter of the Python SDK, version 1."""

    async def call(self, tool, arguments):
        from langchain_mcp_adapters.tools import load_mcp_tools

        tools = {it.name: it for it in await load_mcp_tools(self.client)}
        message = await tools[tool].ainvoke({"type": "tool_call", "id": "1", "name": tool, "args": arguments})
        if message.status == "error":
            raise Refused(message.text)
        return message.artifact["structured_content"]

    async def read(self, uri):
        from langchain_mcp_adapters.resources import load_mcp_resources

        return (await load_mcp_resources(self.client, uris=uri))[0].as_string()

    async def prompt(self, name, arguments):
        from langchain_mcp_adapters.prompts import load_mcp_prompt

        return (await load_mcp_prompt(self.client, name, arguments=arguments))[0].content


@asynccontextmanager
async def langchain(to):
    from langchain_mcp_adapters.sessions import create_session

    transport = "streamable_http" if isinstance(to, Http) else "stdio"
    async with create_session({"transport": transport, **to._asdict()}) as session:
        yield LangChain(session, (await session.initialize()).serverInfo.name)


# The name of each client, the package whose version counts, and how to connect.
ADAPTERS = {
    "mcp": ("mcp", sdk("auto", "2026-07-28")),
    "mcp-legacy": ("mcp", sdk("legacy", "2025-11-25")),
    "fastmcp": ("fastmcp", fastmcp),
    "pydantic-ai": ("pydantic-ai-slim", pydantic_ai),
    "openai-agents": ("openai-agents", openai_agents),
    "langchain-mcp-adapters": ("langchain-mcp-adapters", langchain),
}
