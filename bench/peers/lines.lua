-- wrk: many transfers a request, as lines; each request is a commit under a key of its own.
--   wrk OPTIONS -s lines.lua URL -- TOKEN ACCOUNTS LINES
dofile(debug.getinfo(1, "S").source:match("^@(.*/)") .. "../http/summary.lua")
local run, accounts, lines = "run", 1000, 1000
local thread_count = 0

function setup(thread)
   thread_count = thread_count + 1
   thread:set("number", thread_count)
end

function init(args)
   run, accounts, lines = args[1], tonumber(args[2]), tonumber(args[3])
   next_key = 0
   random = number * 7919
   -- The client must not be what is measured: the lines are made once, and used in another order each time.
   pieces = {}
   for i = 1, 20000 do
      random = random * 16807 % 2147483647
      local from = random % accounts
      local to = (from + 1 + math.floor(random / 1024) % (accounts - 1)) % accounts
      pieces[i] = '{"from":"bench:' .. from .. '","to":"bench:' .. to .. '","asset":"USD/2","amount":"1"}'
   end
   head = "POST /v1/transfers HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-ndjson\r\nIdempotency-Key: "
          .. run .. "-" .. number .. "-"
end

function request()
   next_key = next_key + 1
   random = random * 16807 % 2147483647
   local first = 1 + random % (#pieces - lines)
   local body = table.concat(pieces, "\n", first, first + lines - 1) .. "\n"
   return head .. next_key .. "\r\nContent-Length: " .. #body .. "\r\n\r\n" .. body
end
