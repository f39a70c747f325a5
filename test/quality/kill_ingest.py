#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""kill -9 during ingest, 20 times at random moments: ten times the command line, ten times the server. Afterwards every
acknowledged document is there, no chunk is missing or there twice, and text and chunks equal those of a run nobody killed.

usage: kill_ingest.py CHIRON [KILLS [SEED]]
"""
import glob
import http.client
import json
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time

WORDS = ("squat press row hinge carry plank walk sleep protein fibre water rest week set repetition load tempo pain knee shoulder "
         "breathe slowly heavier lighter every morning before after training with patience").split()
DEADLINE_S = 240


def prose(rng, words):
    out = []
    while words > 0:
        n = rng.randint(6, 16)
        out.append(" ".join(rng.choice(WORDS) for _ in range(n)).capitalize() + ".")
        words -= n
    return " ".join(out)


def pdf(pages):
    """A minimal PDF: each page a list of lines."""
    objects = [b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[%s]/Count %d>>" % (
        b" ".join(b"%d 0 R" % (4 + 2 * i) for i in range(len(pages))), len(pages)),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"]
    for i, lines in enumerate(pages):
        s = b"".join(b"BT /F1 %d Tf 60 %d Td (%s) Tj ET\n" % (11 if k else 18, 780 - 14 * k, line.encode()) for k, line in enumerate(lines))
        objects.append(b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Resources<</Font<</F1 3 0 R>>>>/Contents %d 0 R>>" % (5 + 2 * i))
        objects.append(b"<</Length %d>>stream\n%s\nendstream" % (len(s) + 1, s))
    out, at = b"%PDF-1.4\n", []
    for i, o in enumerate(objects):
        at.append(len(out))
        out += b"%d 0 obj%s endobj\n" % (i + 1, o)
    table = b"".join(b"%010d 00000 n \n" % a for a in at)
    return out + b"xref\n0 %d\n0000000000 65535 f \n%strailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (
        len(at) + 1, table, len(at) + 1, len(out))


def wrap(text, width=90):
    return re.findall(r".{1,%d}(?:\s|$)" % width, text)


def make_documents(folder):
    rng = random.Random(1)
    os.makedirs(folder)
    with open(folder + "/plan.pdf", "wb") as f:
        f.write(pdf([["Chapter %d" % (i + 1)] + wrap(prose(rng, 260)) for i in range(40)]))
    with open(folder + "/exercises.jsonl", "w") as f:
        for i in range(120):
            f.write(json.dumps({"title": "Exercise %d" % i, "text": prose(rng, 60)}) + "\n")
    with open(folder + "/notes.md", "w") as f:
        for i in range(30):
            f.write("## Part %d\n\n%s\n\n%s\n\n" % (i, prose(rng, 90), prose(rng, 70)))
    return sorted(glob.glob(folder + "/*"))


def contents(data, creator="kill"):
    """Everything that can be seen of the documents, by file name; and what must hold inside."""
    db = sqlite3.connect("%s/creators/%s/creator.db" % (data, creator))
    seen = {}
    for row in db.execute("SELECT id, filename, state, pages, chunks, text_bytes, title, version FROM document").fetchall():
        assert row[2] == "ready", "%s is %s" % (row[1], row[2])
        assert row[1] not in seen, "%s is there twice" % row[1]
        text = b"".join(r[0].encode() for r in db.execute("SELECT text FROM document_page WHERE document_id = ? ORDER BY page", (row[0],)))
        assert len(text) == row[5], "%s: the text has %d bytes, not %d" % (row[1], len(text), row[5])
        chunks = db.execute("SELECT idx, text, heading, page, start_byte, end_byte FROM chunk WHERE document_id = ? ORDER BY idx", (row[0],)).fetchall()
        assert [k[0] for k in chunks] == list(range(row[4])), "%s: chunk numbers have gaps" % row[1]
        for k in chunks:
            assert text[k[4]:k[5]].decode() == k[1], "%s: chunk %d is not its span" % (row[1], k[0])
        vectors = db.execute("SELECT count(*), count(DISTINCT v.chunk_id) FROM chunk_vector v JOIN chunk c ON c.id = v.chunk_id "
                             "WHERE c.document_id = ?", (row[0],)).fetchone()
        assert vectors == (row[4], row[4]), "%s: %s vectors for %d chunks" % (row[1], vectors, row[4])
        items = db.execute("SELECT count(*) FROM search_item WHERE source = ?", (row[0],)).fetchone()[0]
        assert items == row[4], "%s: %d index items for %d chunks" % (row[1], items, row[4])
        seen[row[1]] = (row[3:7], text, chunks)
    orphans = [db.execute(q).fetchone()[0] for q in (
        "SELECT count(*) FROM chunk WHERE document_id NOT IN (SELECT id FROM document)",
        "SELECT count(*) FROM chunk_vector WHERE chunk_id NOT IN (SELECT id FROM chunk)",
        "SELECT count(*) FROM staged_chunk", "SELECT count(*) FROM staged_page",
        "SELECT count(*) FROM job WHERE state NOT IN ('done', 'cancelled')")]
    jobs = db.execute("SELECT * FROM job WHERE state NOT IN ('done', 'cancelled')").fetchall()
    assert orphans == [0, 0, 0, 0, 0], "left over: %s, jobs %s" % (orphans, jobs)
    db.close()
    return seen


def ingest(binary, data, files):
    """What it says goes to DATA.log, one run after the other, so that a failure can be explained."""
    with open(data + ".log", "a") as log:
        return subprocess.Popen([binary, "ingest", "--data", data, "--creator", "kill"] + files, stdout=subprocess.DEVNULL,
                                stderr=log, start_new_session=True)


def last_words(data):
    with open(data + ".log") as log:
        return log.read()[-2000:]


def kill(process):
    """The process alone, as a crash would: its children must end by themselves."""
    process.send_signal(signal.SIGKILL)
    process.wait()


class Server:
    def __init__(self, binary, data):
        self.process = subprocess.Popen([binary, "serve", "--data", data, "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True, start_new_session=True)
        self.port, found = 0, threading.Event()

        def read():
            for line in self.process.stdout:
                m = re.search(r"http://127\.0\.0\.1:(\d+)", line)
                if m and not self.port:
                    self.port = int(m.group(1))
                    found.set()
            found.set()
        threading.Thread(target=read, daemon=True).start()
        if not found.wait(30) or not self.port:
            raise AssertionError("the server did not start")

    def request(self, method, path, token, body=None, kind=None):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        c.request(method, path, body, dict({"Authorization": "Bearer " + token}, **({"Content-Type": kind} if kind else {})))
        r = c.getresponse()
        text = r.read()
        c.close()
        return r.status, json.loads(text) if text else None

    def upload(self, token, path):
        with open(path, "rb") as f:
            body = (b'--b\r\nContent-Disposition: form-data; name="file"; filename="%s"\r\nContent-Type: application/octet-stream\r\n\r\n'
                    % os.path.basename(path).encode()) + f.read() + b"\r\n--b--\r\n"
        return self.request("POST", "/api/v1/hub/documents", token, body, "multipart/form-data; boundary=b")


def by_command_line(binary, work, files, want, kills, rng):
    done, round_no, longest = 0, 0, 3.0
    while done < kills:
        data = "%s/cli%d" % (work, round_no)
        round_no += 1
        for _ in range(4):
            if done == kills:
                break
            p = ingest(binary, data, files)
            began = time.time()
            try:
                p.wait(rng.uniform(0.1, longest))
                longest = max(0.4, (time.time() - began) * 0.8)
                break
            except subprocess.TimeoutExpired:
                kill(p)
                done += 1
        p = ingest(binary, data, files)
        assert p.wait(DEADLINE_S) == 0, "the run after the kills ended with %d, saying %s" % (p.returncode, last_words(data))
        assert contents(data) == want, "chunks differ from the run nobody killed"
        shutil.rmtree(data)
    return "%d kills of the command line in %d folders" % (done, round_no)


def by_server(binary, work, files, want, kills, rng):
    data = work + "/server"
    subprocess.run([binary, "token", "--data", data, "--creator", "kill"], capture_output=True)
    first = ingest(binary, data, [files[0]])
    assert first.wait(DEADLINE_S) == 0
    token = subprocess.run([binary, "token", "--data", data, "--creator", "kill"], capture_output=True, text=True, check=True).stdout.strip()
    acknowledged = set()
    for _ in range(kills):
        s = Server(binary, data)
        for path in files:
            if path not in acknowledged:
                status, reply = s.upload(token, path)
                assert status == 202, "upload: %d %s" % (status, reply)
                acknowledged.add(path)
                if rng.random() < 0.6:
                    break
        time.sleep(rng.uniform(0.02, 0.8))
        kill(s.process)
    s = Server(binary, data)
    until = time.time() + DEADLINE_S
    while time.time() < until:
        states = [d["state"] for d in s.request("GET", "/api/v1/hub/documents", token)[1]["documents"]]
        jobs = [j["state"] for j in s.request("GET", "/api/v1/jobs?limit=100", token)[1]["jobs"]]
        if "queued" not in states and not {"queued", "running"} & set(jobs):
            break
        time.sleep(0.2)
    s.process.terminate()
    assert s.process.wait(40) == 0, "the server did not stop cleanly"
    got = contents(data)
    for path in acknowledged:
        assert os.path.basename(path) in got, "%s was acknowledged and is gone" % path
    assert got == {name: want[name] for name in got}, "chunks differ from the run nobody killed"
    return "%d kills of the server, %d documents acknowledged, all there" % (kills, len(acknowledged))


def main():
    if len(sys.argv) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    binary, kills = os.path.abspath(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 20
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else random.randrange(1 << 30)
    rng = random.Random(seed)
    work = tempfile.mkdtemp(prefix="chiron-kill-")
    try:
        files = make_documents(work + "/documents")
        p = ingest(binary, work + "/whole", files)
        if p.wait(DEADLINE_S) != 0:
            check = subprocess.run([binary, "doctor", "--data", work + "/whole"], capture_output=True, text=True)
            if "model files" in check.stdout and "broken" in check.stdout:
                print("skipped: the model is not installed")
                return 77
            raise AssertionError("the undisturbed run ended with %d" % p.returncode)
        want = contents(work + "/whole")
        print("%d documents, %d chunks, seed %d" % (len(want), sum(len(v[2]) for v in want.values()), seed), flush=True)
        print(by_command_line(binary, work, files, want, kills - kills // 2, rng), flush=True)
        print(by_server(binary, work, files, want, kills // 2, rng), flush=True)
    except AssertionError as why:
        print("seed %d: %s" % (seed, why))
        return 1
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
