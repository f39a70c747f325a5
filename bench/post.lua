-- wrk script: POSTs questions one after the other, each made different by a number so that no cache answers it.
-- Environment: TOKEN, SHAPE = rag | ask | search.
-- SPDX-License-Identifier: MIT
local words = {
  "how much protein do I need", "my knee hurts on stairs", "when should I add weight", "what is a deload week",
  "exercises for the back with dumbbells", "how do I sleep better", "barbell row for beginners", "stretch the hamstrings",
  "how many steps should I walk", "cable exercises for the shoulders", "can I train with a cold", "creatine dose",
  "kettlebell swing technique", "push-ups hurt my wrist", "how to squat deeper", "abdominal exercise on a ball",
  "lose weight slowly", "train while travelling", "calf raise machine", "what to eat before training",
}
local shape, token = os.getenv("SHAPE") or "rag", os.getenv("TOKEN")
local n = 0
local run = os.time() % 100000   -- so that a second run is not answered by the first one's cache
local thread_seed = 0
function setup(thread) thread_seed = thread_seed + 1; thread:set("seed", thread_seed) end
function request()
  n = n + 1
  local q = string.format("%s %d", words[(n * 7 + (seed or 0)) % #words + 1], run * 100000 + n)
  local path, body
  if shape == "rag" then
    path, body = "/api/v1/rag/query", string.format('{"query":"%s","user_id":"bench","max_context_items":5}', q)
  elseif shape == "search" then
    path, body = "/api/v1/coaching/search", string.format('{"query":"%s","k":5}', q)
  else
    path, body = "/api/v1/coaching/ask", string.format('{"question":"%s?"}', q)
  end
  return wrk.format("POST", path, { ["Authorization"] = "Bearer " .. token, ["Content-Type"] = "application/json" }, body)
end
local bad = 0
function response(status) if status ~= 200 then bad = bad + 1; if bad < 4 then io.stderr:write("status " .. status .. "\n") end end end
function done(summary, latency)
  local e = summary.errors
  io.write(string.format("%s: %.0f/s  p50 %.1f ms  p95 %.1f ms  p99 %.1f ms  max %.1f ms  errors %d\n", shape,
    summary.requests / summary.duration * 1e6, latency:percentile(50) / 1e3, latency:percentile(95) / 1e3,
    latency:percentile(99) / 1e3, latency.max / 1e3, e.status + e.read + e.write + e.connect + e.timeout))
end
