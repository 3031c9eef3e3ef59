-- wrk: one transfer a request, each under a key of its own.
--   wrk … -s transfers.lua URL -- TOKEN ACCOUNTS hot|uniform
dofile(debug.getinfo(1, "S").source:match("^@(.*/)") .. "summary.lua")
local run, accounts, hot = "run", 1000, false
local thread_count = 0

function setup(thread)
   thread_count = thread_count + 1
   thread:set("number", thread_count)
end

function init(args)
   run, accounts, hot = args[1], tonumber(args[2]), args[3] == "hot"
   next_key = 0
   random = number * 7919
   wrk.method = "POST"
   wrk.path = "/v1/transfers"
   head = "POST /v1/transfers HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nIdempotency-Key: "
          .. run .. "-" .. number .. "-"
end

function request()
   next_key = next_key + 1
   random = random * 16807 % 2147483647
   local from = hot and 0 or random % accounts
   local to = (from + 1 + math.floor(random / 1024) % (accounts - 1)) % accounts
   local body = '{"from":"bench:' .. from .. '","to":"bench:' .. to .. '","asset":"USD/2","amount":"1"}'
   return head .. next_key .. "\r\nContent-Length: " .. #body .. "\r\n\r\n" .. body
end
