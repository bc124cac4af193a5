"""Serves a request that has a context, for which it calls itself; prints the context of that call."""

import http.server
import threading
import urllib.request


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        told = str(self.headers.get("traceparent"))
        if self.path == "/first":
            told = urllib.request.urlopen(url).read().decode()
        self.wfile.write(told.encode())

    def log_message(self, *arguments):
        pass


with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}/"
    request = urllib.request.Request(url + "first", headers={"traceparent": "00-1-2-01"})
    print(urllib.request.urlopen(request).read().decode())
    server.shutdown()
