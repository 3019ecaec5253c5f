-- Makes wrk follow a schedule: "schedule.txt" has one line a request, microseconds from the start and its body's number.
-- Sources: wrk, SCRIPTING (setup, init, delay, request, done). wrk waits whole milliseconds; its clock is read by FFI.
local ffi = require("ffi")
ffi.cdef("typedef struct { long s; long ns; } batchlab_time; int clock_gettime(int, batchlab_time *);")
local LEAD_US, IDLE_MS, MONOTONIC = 500000, 3600000, 1
local moment = ffi.new("batchlab_time")
local sender

sent_us, due_us = {}, {}
local body_of, bodies, taken, start_us, probed = {}, {}, 0, 0, false

local function now_us()
   ffi.C.clock_gettime(MONOTONIC, moment)
   return tonumber(moment.s) * 1e6 + tonumber(moment.ns) / 1e3
end

function setup(thread)
   sender = thread
end

function init()
   for line in io.lines("schedule.txt") do
      local due, body = line:match("(%d+) (%d+)")
      due_us[#due_us + 1], body_of[#body_of + 1] = tonumber(due), tonumber(body)
      if not bodies[tonumber(body)] then
         local file = io.open("body-" .. body, "rb")
         bodies[tonumber(body)] = wrk.format("POST", nil, nil, file:read("*a"))
         file:close()
      end
   end
   start_us = now_us() + LEAD_US
end

function delay()
   taken = taken + 1
   if not due_us[taken] then
      return IDLE_MS
   end
   return math.max(0, math.floor((start_us + due_us[taken] - now_us()) / 1000 + 0.5))
end

function request()
   -- wrk asks for one request before it starts, to see whether the script makes a whole one; it is not sent.
   if not probed then
      probed = true
      return bodies[body_of[1]]
   end
   sent_us[#sent_us + 1] = now_us() - start_us
   return bodies[body_of[#sent_us]]
end

function done(summary, latency, rates)
   local late, due = {}, sender:get("due_us")
   for i, sent in ipairs(sender:get("sent_us")) do
      late[i] = string.format("%.0f", sent - (due[i] or sent))
   end
   local e = summary.errors
   print(string.format('batchlab {"answered": %d, "status": %d, "timeout": %d, "socket": %d, "mean_us": %.1f, ' ..
      '"p50_us": %.0f, "p99_us": %.0f, "max_us": %.0f, "late_us": [%s]}',
      summary.requests, e.status, e.timeout, e.connect + e.read + e.write, latency.mean,
      latency:percentile(50), latency:percentile(99), latency.max, table.concat(late, ", ")))
end
