"""The external catalogue's stand-in: `python -m internal.testutils.catalogue PORT` answers /catalogue."""

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    """Serves `/catalogue`."""

    def do_GET(self) -> None:
        """Respond with the catalogue, or 404."""
        body = b'{"albums": 3, "labels": ["Veza"]}\n' if self.path == "/catalogue" else b""
        self.send_response(200 if body else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


if __name__ == "__main__":
    ThreadingHTTPServer(("", int(sys.argv[1])), Handler).serve_forever()
