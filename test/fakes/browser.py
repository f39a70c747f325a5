#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""As much of a browser as a sign-in needs: cookies and redirects, and nothing that a page could run."""
import http.client
import http.cookies
import re
import socket
import urllib.parse


class Browser:
    """Cookies per host and path as a browser keeps them, redirects one by one."""

    def __init__(self):
        self.jar = {}

    def request(self, method, url, body=None, headers=None):
        u = urllib.parse.urlsplit(url)
        connection = http.client.HTTPConnection(u.hostname, u.port, timeout=30)
        path = (u.path or "/") + ("?" + u.query if u.query else "")
        sent = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0"}
        mine = ["%s=%s" % (n, v) for (host, n), (p, v) in self.jar.items() if host == u.netloc and (u.path == p or u.path.startswith(p.rstrip("/") + "/"))]
        if mine:
            sent["Cookie"] = "; ".join(mine)
        sent.update(headers or {})
        connection.request(method, path, body, sent)
        reply = connection.getresponse()
        text = reply.read().decode()
        for line in reply.headers.get_all("Set-Cookie") or []:
            for name, c in http.cookies.SimpleCookie(line).items():
                if c["max-age"] == "0" or "1970" in c["expires"]:
                    self.jar.pop((u.netloc, name), None)
                else:
                    self.jar[(u.netloc, name)] = (c["path"] or "/", c.value)
        connection.close()
        return reply.status, reply.headers, text

    def follow(self, method, url, body=None, headers=None, until=None):
        """Goes along redirects; ends at a page, or at an address that `until` matches without opening it."""
        for _ in range(20):
            status, head, text = self.request(method, url, body, headers)
            if status not in (301, 302, 303, 307, 308):
                return url, status, text
            url, method, body, headers = urllib.parse.urljoin(url, head["Location"]), "GET", None, None
            if until and re.search(until, url):
                return url, status, text
        raise AssertionError("it goes round in circles at " + url)


def free_ports(n):
    sockets = [socket.socket() for _ in range(n)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports
