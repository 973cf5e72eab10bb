"""A stand-in for ``python -m sglang.launch_server``: it takes its flags and repeats what it reads.

The environment's LAUNCHES names a file that gets the process id and the flags of each launch.
"""

from __future__ import annotations

import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

FLAGS = dict(zip(sys.argv[1::2], sys.argv[2::2], strict=False))
BEGIN = time.monotonic()
LOADING = 0.5


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        served = {"id": FLAGS["--model-path"], "object": "model", "owned_by": "sglang"}
        if time.monotonic() - BEGIN < LOADING:
            self.send(503, {"error": {"message": "loading"}})
        elif self.path == "/v1/models":
            self.send(200, {"object": "list", "data": [served]})
        else:
            self.send(200, {})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not asked.get("messages"):
            self.send(400, {"object": "error", "message": "messages: Field required"})
            return
        content = asked["messages"][-1]["content"]
        text = content if isinstance(content, str) else content[-1]["text"]
        choice = {"index": 0, "message": {"role": "assistant", "content": text}}
        usage = {"prompt_tokens": len(text), "completion_tokens": 1}
        self.send(200, {"choices": [choice | {"finish_reason": "stop"}], "usage": usage})

    def send(self, status: int, body: Any) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Keep the log to what the tests look for."""


def main() -> None:
    with open(os.environ["LAUNCHES"], "a", encoding="utf-8") as file:
        file.write(json.dumps([os.getpid(), sys.argv[1:]]) + "\n")
    if FLAGS["--model-path"] == "broken":
        sys.stdout.write(f"started with {os.environ.get('OPENAI_API_KEY')}\n")
        sys.stdout.flush()
        raise SystemExit("ValueError: Unrecognized model in broken")
    ThreadingHTTPServer(("127.0.0.1", int(FLAGS["--port"])), Handler).serve_forever()


if __name__ == "__main__":
    main()
