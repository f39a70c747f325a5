# SPDX-License-Identifier: MIT
"""Talking to the peers: processes that take an order as a line of JSON and answer with one. Standard library only."""
import json
import os
import subprocess


class Peer:
    def __init__(self, python, script, *arguments):
        self.process = subprocess.Popen([python, os.path.join(os.path.dirname(__file__), script), *arguments], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, do, **order):
        self.process.stdin.write(json.dumps(dict(do=do, **order)) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the peer ended at {do} {order}")
        return json.loads(line)

    def stop(self):
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
