#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Model folders from elsewhere: what is cut goes on, what is wrong is refused, and no half of a folder is ever seen.

usage: models_pull.py CHIRON     (against the strict server of test/fakes; everything on loopback)
"""
import hashlib
import json
import os
import pty
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
import zipfile

HERE = os.path.dirname(os.path.abspath(__file__))
CHIRON = os.path.abspath(sys.argv[1])
WORK = tempfile.mkdtemp(prefix="chiron-pull-")
HUB, ROOT = os.path.join(WORK, "hub"), os.path.join(WORK, "models")
REAL = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "chiron", "models", "all-MiniLM-L6-v2")
passed = 0


def check(yes, words):
    global passed
    if not yes:
        sys.exit("FAIL: " + words)
    passed += 1


def file_sha(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def ask(path, value=None):
    data = None if value is None else json.dumps(value).encode()
    r = urllib.request.Request("http://127.0.0.1:%d%s" % (port, path), data=data, method="PUT" if data is not None else "GET")
    body = urllib.request.urlopen(r, timeout=10).read()
    return json.loads(body) if body else None


def chiron(*args, **more):
    env = dict(os.environ, ENCODER_MODEL_DIR=ROOT, MODELS_BASE_URL="http://127.0.0.1:%d" % port, LOG_LEVEL="error")
    return subprocess.run([CHIRON, "models", *args], env=env, capture_output=True, text=True, timeout=120, **more)


def says(r, code, *words):
    check(r.returncode == code, "exit %d, not %d: %s%s" % (r.returncode, code, r.stdout, r.stderr))
    for w in words:
        check(w in r.stdout + r.stderr, "%r is not in: %s%s" % (w, r.stdout, r.stderr))


def hidden():
    return sorted(n for n in os.listdir(ROOT) if n.startswith(".")) if os.path.isdir(ROOT) else []


def fresh():
    shutil.rmtree(ROOT, ignore_errors=True)
    ask("/control", {})
    ask("/log")


def is_model(name, like):
    for f in ("config.json", "model.safetensors"):
        check(file_sha(os.path.join(ROOT, name, f)) == file_sha(os.path.join(like, f)), "%s/%s is not what the server has" % (name, f))
    check(not hidden(), "left behind: %s" % hidden())
    check(chiron("verify", name).returncode == 0, "it does not verify")


def range_of(log, name):
    return [(r["range"], r["if_range"], r["status"]) for r in log["requests"] if r["path"].endswith(name)]


def tiny(seed, *more):
    folder = os.path.join(HUB, "me", "tiny%s" % seed)
    subprocess.run([os.path.join(HERE, "..", "..", "tools", "random_model.py"), "--kind", "embedder", "--shape", "tiny", "--pooling", "cls",
                    "--seed", str(seed), *more, folder], check=True)
    return folder, "http://127.0.0.1:%d/me/tiny%s/resolve/main" % (port, seed)


def by_url():
    """A folder that only its address is known of: the server names the hash of the weights."""
    fresh()
    folder, url = tiny(1)
    says(chiron("pull", url), 0, "verified", "not pinned by the catalogue", "cls")
    is_model("tiny1", folder)
    says(chiron("pull", url), 1, "is there already")
    listed = {m["name"]: m for m in json.loads(chiron("list", "-o", "json").stdout)["models"]}
    check(listed["tiny1"]["pooling"] == "cls" and listed["tiny1"]["dim"] == 64 and listed["tiny1"]["verified"], "the list says %s" % listed)
    with open(os.path.join(ROOT, "tiny1", "config.json"), "a") as f:
        f.write(" ")
    says(chiron("verify", "tiny1"), 1, "config.json has SHA-256")
    check("not verified" in chiron("list").stdout, "the list says it verifies")
    says(chiron("remove", "tiny1"), 0, "removed")
    check(os.listdir(ROOT) == [], "left behind: %s" % os.listdir(ROOT))
    says(chiron("remove", "tiny1"), 1, "no model")
    says(chiron("remove", "../hub"), 2)


def cut_and_gone_on():
    fresh()
    folder, url = os.path.join(HUB, "me", "tiny1"), "http://127.0.0.1:%d/me/tiny1/resolve/main" % port
    ask("/control", {"model.safetensors": {"cut_after": 300000, "etag": "opaque"}})
    sha = file_sha(folder + "/model.safetensors")
    says(chiron("pull", url, "--sha256", sha), 1, "model.safetensors", "is kept")
    check(not os.path.exists(ROOT + "/tiny1"), "half of a folder is seen")
    check(os.path.getsize(ROOT + "/.part-tiny1/.part-model.safetensors") == 300000, "the part has another size")
    ask("/log")
    ask("/control", {"model.safetensors": {"etag": "opaque"}})
    says(chiron("pull", url, "--sha256", sha), 0, "verified", "0.3 MB were there")
    log = ask("/log")
    check(range_of(log, "model.safetensors") == [("bytes=300000-", '"v%s"' % sha[:8], 206)], "asked %s" % log)
    check(not range_of(log, "main/config.json") and not log["faults"], "fetched again, or a fault: %s" % log)
    is_model("tiny1", folder)


def changed_between_parts():
    fresh()
    folder, url = tiny(2)
    ask("/control", {"model.safetensors": {"cut_after": 200000}})
    says(chiron("pull", url), 1)
    os.rename(folder + "/model.safetensors", folder + "/old")
    tiny("3")
    shutil.copy(HUB + "/me/tiny3/model.safetensors", folder + "/model.safetensors")
    ask("/control", {})
    ask("/log")
    says(chiron("pull", url), 0)
    check(range_of(ask("/log"), "model.safetensors")[0][2] == 200, "a changed file was gone on with")
    is_model("tiny2", folder)


def parts_that_cannot_be_gone_on_with():
    folder, url = os.path.join(HUB, "me", "tiny1"), "http://127.0.0.1:%d/me/tiny1/resolve/main" % port
    sha, size = file_sha(folder + "/model.safetensors"), os.path.getsize(folder + "/model.safetensors")
    for part, step, expect in ((b"y" * 5000, {}, [206, 200]), (b"y" * size, {}, [416, 200]), (b"y" * 5000, {"no_ranges": True}, [200])):
        fresh()
        os.makedirs(ROOT + "/.part-tiny1")
        with open(ROOT + "/.part-tiny1/.part-model.safetensors", "wb") as f:
            f.write(part)
        ask("/control", {"model.safetensors": step})
        says(chiron("pull", url, "--sha256", sha), 0, "verified")
        got = [s for _, _, s in range_of(ask("/log"), "model.safetensors")]
        check(got == expect, "%s, not %s" % (got, expect))
        is_model("tiny1", folder)
    fresh()
    ask("/control", {"model.safetensors": {"cut_after": 5000}})
    says(chiron("pull", url), 1)
    ask("/control", {"model.safetensors": {"astray": True}})
    says(chiron("pull", url), 1, "does not go on at byte 5000")
    ask("/control", {})
    says(chiron("pull", url), 0)
    # A weak tag, or none, holds the server to nothing: without a known hash the part is begun again.
    fresh()
    ask("/control", {"tokenizer_config.json": {"cut_after": 10, "etag": "weak"}})
    says(chiron("pull", url), 1)
    ask("/control", {})
    ask("/log")
    says(chiron("pull", url), 0)
    check(range_of(ask("/log"), "tokenizer_config.json") == [(None, None, 200)], "went on by a weak tag")


def wrong_and_missing():
    url = "http://127.0.0.1:%d/me/tiny1/resolve/main" % port
    for step, words, more in (
        ({}, ["has SHA-256", "refused and removed"], ["--sha256", "0" * 64]),
        ({"model.safetensors": {"etag": "opaque"}}, ["names no SHA-256", "--sha256"], []),
        ({"config.json": {"status": 404}}, ["config.json: the server does not have it (404)"], []),
        ({"config.json": {"status": 403}}, ["not give it to just anyone"], []),
        ({"config.json": {"status": 503}}, ["answers 503"], []),
        ({"vocab.txt": {"status": 404}}, ["neither vocab.txt nor tokenizer.json"], []),
        ({"config.json": {"redirect": "/me/tiny1/resolve/main/config.json"}}, ["over 5 redirects"], []),
        ({"config.json": {"redirect": "file:///etc/passwd"}}, ["does not say where to"], []),
        ({"config.json": {"redirect": "http://models.invalid/config.json"}}, ["over http only a file with a known SHA-256"], []),
        ({"model.safetensors": {"longer": 8}}, ["can be used here"], []),
    ):
        fresh()
        ask("/control", step)
        says(chiron("pull", url, *more), 4 if "just anyone" in words[0] else 1, *words)
        check(not os.path.exists(ROOT + "/tiny1"), "it is there all the same")
        check(not ask("/log")["faults"], "a fault")
    fresh()
    config = os.path.join(HUB, "me", "tiny1", "config.json")
    with open(config) as f:
        good = f.read()
    with open(config, "w") as f:
        f.write(good.replace('"model_type": "bert"', '"model_type": "xlm-roberta"'))
    says(chiron("pull", url), 1, "model_type is xlm-roberta; only bert is read")
    check(not os.listdir(ROOT), "left behind: %s" % os.listdir(ROOT))
    with open(config, "w") as f:
        f.write(good)
    says(chiron("pull", "http://models.invalid/a/b"), 1, "over http only")
    says(chiron("pull", "https://models.invalid/"), 1, "--name")
    for bad in (["pull"], ["pull", "../x"], ["pull", "ftp://x/y"], ["pull", url, "--sha256", "12"], ["pull", "bge-small-en-v1.5", "--sha256", "0" * 64],
                ["pull", url + "/x.zip"], ["list", "--name", "x"], ["remove"]):
        says(chiron(*bad), 2)


def linked():
    """The first server only says where and what; the second has the bytes and a tag of its own."""
    fresh()
    url = "http://127.0.0.1:%d/me/tiny1/resolve/main" % port
    other = os.path.join(HUB, "far", "model.safetensors")
    os.makedirs(os.path.dirname(other), exist_ok=True)
    shutil.copy(os.path.join(HUB, "me", "tiny1", "model.safetensors"), other)
    steps = {"main/model.safetensors": {"linked": "/far/model.safetensors"}, "far/model.safetensors": {"etag": "opaque"}}
    ask("/control", steps)
    says(chiron("pull", url), 0, "verified")
    fresh()
    with open(other, "r+b") as f:
        f.seek(100000)
        f.write(b"????")
    ask("/control", steps)
    says(chiron("pull", url), 1, "has SHA-256", "refused and removed")


def from_the_catalogue():
    """The default model by its name, from its own files, cut in the middle; and files that are not those of the catalogue."""
    fresh()
    files = os.path.join(HUB, "cross-encoder", "ms-marco-MiniLM-L-6-v2")
    os.makedirs(files)
    with open(files + "/config.json", "w") as f:
        f.write("{}")
    says(chiron("pull", "ms-marco-MiniLM-L-6-v2"), 1, "config.json: it has 2 bytes there, not 794")
    with open(files + "/config.json", "w") as f:
        f.write("{" + " " * 792 + "}")
    says(chiron("pull", "ms-marco-MiniLM-L-6-v2"), 1, "config.json: it has SHA-256", "380e02c9")
    with open(files + "/config.json", "w") as f:
        f.write(" " * 900)
    ask("/control", {"config.json": {"no_length": True}})
    says(chiron("pull", "ms-marco-MiniLM-L-6-v2"), 1, "over 794 bytes")
    if not os.path.exists(REAL + "/model.safetensors"):
        print("the default model is not installed: not fetched from its own files")
        return
    place = os.path.join(HUB, "sentence-transformers", "all-MiniLM-L6-v2")
    shutil.copytree(REAL, place)
    fresh()
    ask("/control", {"model.safetensors": {"cut_after": 40000000}})
    says(chiron("pull", "all-MiniLM-L6-v2"), 1, "is kept")
    ask("/control", {})
    ask("/log")
    r = chiron("pull", "all-MiniLM-L6-v2")
    says(r, 0, "verified", "40.0 MB were there")
    check("not pinned" not in r.stderr and "%" not in r.stderr, "it says " + r.stderr)
    check(range_of(ask("/log"), "model.safetensors")[0][::2] == ("bytes=40000000-", 206), "it was not gone on with")
    is_model("all-MiniLM-L6-v2", place)


def stopped_and_full():
    fresh()
    folder, url = os.path.join(HUB, "me", "tiny1"), "http://127.0.0.1:%d/me/tiny1/resolve/main" % port
    part = ROOT + "/.part-tiny1/.part-model.safetensors"
    env = dict(os.environ, ENCODER_MODEL_DIR=ROOT, LOG_LEVEL="error")
    ask("/control", {"model.safetensors": {"slow_ms": 200}})
    p = subprocess.Popen([CHIRON, "models", "pull", url], env=env, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    for _ in range(200):
        if os.path.exists(part) and os.path.getsize(part):
            break
        time.sleep(0.02)
    says(chiron("pull", url), 1, "being fetched by another process")
    p.send_signal(signal.SIGINT)
    out, err = p.communicate(timeout=10)
    check(p.returncode == 130 and "is kept" in err, "%d: %s" % (p.returncode, err))
    check(0 < os.path.getsize(part) < os.path.getsize(folder + "/model.safetensors"), "no part is kept")
    ask("/control", {})
    says(chiron("pull", url), 0, "were there from an earlier try")
    is_model("tiny1", folder)

    def small_disk():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (262144, 262144))

    fresh()
    says(chiron("pull", url, preexec_fn=small_disk), 1, "cannot write", "File too large")
    check(not os.path.exists(ROOT + "/tiny1"), "it is there all the same")
    says(chiron("pull", url), 0, "verified")


def on_a_terminal():
    fresh()
    url = "http://127.0.0.1:%d/me/tiny1/resolve/main" % port
    ask("/control", {"model.safetensors": {"slow_ms": 60}})
    ours, theirs = pty.openpty()
    p = subprocess.Popen([CHIRON, "models", "pull", url], env=dict(os.environ, ENCODER_MODEL_DIR=ROOT, LOG_LEVEL="error"), stderr=theirs,
                         stdout=subprocess.DEVNULL)
    os.close(theirs)
    shown = b""
    while True:
        try:
            piece = os.read(ours, 4096)
        except OSError:
            break
        if not piece:
            break
        shown += piece
    check(p.wait(30) == 0, "it failed: %r" % shown)
    check(b"model.safetensors" in shown and b"%" in shown and b"MB/s" in shown, "nothing is shown: %r" % shown)


def archive():
    fresh()
    folder = os.path.join(HUB, "me", "tiny1")
    path = os.path.join(HUB, "tiny.zip")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as z:
        for f in ("config.json", "vocab.txt", "tokenizer_config.json", "model.safetensors", "1_Pooling/config.json"):
            z.write(os.path.join(folder, f), "inside/" + f)
        z.writestr("inside/../../escaped", "no")
        z.writestr("outside", "no")
    url = "http://127.0.0.1:%d/tiny.zip" % port
    ask("/control", {"tiny.zip": {"cut_after": 1000}})
    says(chiron("pull", url, "--sha256", file_sha(path), "--name", "zipped"), 1)
    ask("/control", {})
    says(chiron("pull", url, "--sha256", file_sha(path), "--name", "zipped"), 0, "verified")
    is_model("zipped", folder)
    check(not os.path.exists(os.path.join(WORK, "escaped")), "a name led out of the folder")
    says(chiron("pull", url, "--sha256", "0" * 64, "--name", "other"), 1, "has SHA-256")


os.makedirs(HUB)
hub = subprocess.Popen([sys.executable, os.path.join(HERE, "..", "fakes", "model_hub.py"), HUB], stdout=subprocess.PIPE, text=True)
try:
    port = int(hub.stdout.readline())
    for test in (by_url, cut_and_gone_on, changed_between_parts, parts_that_cannot_be_gone_on_with, wrong_and_missing, linked, from_the_catalogue,
                 stopped_and_full, on_a_terminal, archive):
        begun = time.time()
        test()
        print("ok %s (%.1f s)" % (test.__name__, time.time() - begun), flush=True)
    print("%d checks" % passed)
finally:
    hub.terminate()
    hub.wait(10)
    shutil.rmtree(WORK, ignore_errors=True)
