"""A Weights & Biases server as far as runs, `wandb sync` and reports need one, and what it was sent."""

import gzip
import json
import os
import re
import sys
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

KEY = "0123456789" * 4
ENTITY = "someone"


class StandIn(ThreadingHTTPServer):
    daemon_threads = True
    """`asked`: GraphQL operations in order, with their variables. `lines`: of the files of each run.

    `files`: whole files, by run and name. `refuses`: operations that are answered with an error.
    `down`: what a gateway says of it.
    """

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked = []
        self.lines = {}
        self.files = {}
        self.projects = {"topfive"}
        self.refuses = set()
        self.down = False
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05})
        self.thread.start()

    def handle_error(self, request, client_address):
        """Silent where the client has gone without hearing the end."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    def leave(self):
        """Answers nothing from here on."""
        self.shutdown()
        self.server_close()
        self.thread.join()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"

    def variables(self, operation):
        return [variables for name, variables in self.asked if name == operation]

    def history(self, run):
        return [json.loads(line) for line in self.lines[run]["wandb-history.jsonl"]]

    def summary(self, run):
        return json.loads(self.files[run, "wandb-summary.json"])

    def config(self, run):
        """What the last message about the run said of its configuration."""
        sent = [v["config"] for v in self.variables("UpsertBucket") if v["name"] == run]
        return {key: one["value"] for key, one in json.loads(sent[-1]).items()}

    def answer(self, operation, variables):
        self.asked.append((operation, variables))
        if operation in self.refuses:
            return {"errors": [{"message": "permission denied"}]}
        make = getattr(self, operation, None)
        return {"data": make(**variables) if make else {}}

    # -- GraphQL operations, by their names -----------------------------------------------------------

    def Viewer(self):
        who = {"id": "1", "username": ENTITY, "entity": ENTITY, "flags": "{}"}
        return {"viewer": {**who, "teams": {"edges": []}}}

    def UpsertBucket(self, name, project, entity=ENTITY, displayName="", **rest):
        self.projects.add(project)
        of = {"id": "2", "name": project, "entity": {"id": "3", "name": entity}}
        run = {"id": "4", "name": name, "displayName": displayName, "project": of}
        return {"upsertBucket": {"bucket": {**run, "historyLineCount": 0}, "inserted": True}}

    def CreateRunFiles(self, run, files, **rest):
        urls = [{"name": name, "uploadUrl": f"{self.url}/upload/{run}/{name}"} for name in files]
        return {"createRunFiles": {"runID": "4", "uploadHeaders": [], "files": urls}}

    def ProjectInternalId(self, projectName, entityName):
        known = projectName in self.projects
        return {"project": {"id": "2", "internalId": "cHJvamVjdA=="} if known else None}

    def GetProjects(self, **rest):
        nodes = [
            {"id": "2", "name": name, "entityName": ENTITY, "createdAt": "2026-01-01T00:00:00Z"}
            | {"isBenchmark": False, "user": None}
            for name in self.projects
        ]
        page = {"endCursor": None, "hasNextPage": False}
        return {"models": {"edges": [{"node": n} for n in nodes], "pageInfo": page}}

    def upsertView(self, spec, entityName, projectName, displayName, **rest):
        project = {"id": "2", "name": projectName, "entityName": entityName}
        view = {"id": "Vmlldzox", "type": "runs", "name": "x", "displayName": displayName}
        view |= {"description": "", "spec": spec, "project": project}
        return {"upsertView": {"view": view, "inserted": True}}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        content = self._content()
        if (
            self.headers.get("Authorization")
            != "Basic " + b64encode(f"api:{KEY}".encode()).decode()
        ):
            self._reply(401, {"errors": [{"message": "user is not logged in"}]})
        elif self.path == "/graphql":
            asked = json.loads(content)
            operation = re.search(r"(?:query|mutation)\s+(\w+)", asked["query"])[1]
            self._reply(200, self.server.answer(operation, asked.get("variables", {})))
        elif self.path.endswith("/file_stream"):
            files = self.server.lines.setdefault(self.path.split("/")[-2], {})
            for name, part in json.loads(content).get("files", {}).items():
                files.setdefault(name, []).extend(part["content"])
            self._reply(200, {})
        else:
            self._reply(404, {})

    def do_PUT(self):
        _, _, run, name = self.path.split("/", 3)
        self.server.files[run, name] = self._content()
        self._reply(200, {})

    def do_GET(self):
        self._reply(404, {})

    def _content(self):
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        return gzip.decompress(content) if self.headers.get("Content-Encoding") else content

    def _reply(self, status, content):
        body = json.dumps(content).encode()
        self.send_response(502 if self.server.down else status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


@contextmanager
def stand_in(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Iterator[StandIn]:
    """A server that this process has a key for; afterwards no process of W&B is left."""
    import wandb

    server = StandIn()
    for name in ("WANDB_MODE", "WANDB_ENTITY", "WANDB_PROJECT"):
        # Set first: what the code under test sets is then taken back too.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("WANDB_BASE_URL", server.url)
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB_HTTP_TIMEOUT", "2")
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    monkeypatch.setenv("NETRC", str(folder / "netrc"))
    folder.mkdir(exist_ok=True)
    for name in ("WANDB_DIR", "WANDB_CONFIG_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(folder))
    try:
        yield server
    finally:
        with suppress(ConnectionError):  # where the test has ended the process
            wandb.teardown()
        server.leave()
    assert core_processes() == []


def core_processes() -> list[int]:
    """W&B's processes that this one has started."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            number, name, state, parent = stat.read_text().split()[:4]
            if name.startswith("(wandb") and int(parent) == os.getpid() and state != "Z":
                found.append(int(number))
    return found
