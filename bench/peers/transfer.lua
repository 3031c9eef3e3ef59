-- Redis: a transfer under a key of its own: once, above the floor, both sides, kept in a stream.
--   EVALSHA hash 0 NUMBER NUMBER NUMBER NUMBER hot|uniform
local source = tonumber(ARGV[1]) % 1000
local target = (source + 1 + tonumber(ARGV[2]) % 999) % 1000
if ARGV[5] == 'hot' then
   source = 0
   target = 1 + tonumber(ARGV[2]) % 999
end
if not redis.call('SET', 'transfer:' .. ARGV[3] .. '-' .. ARGV[4], 1, 'NX') then
   return 0
end
if tonumber(redis.call('GET', 'account:' .. source)) < 1 then
   return redis.error_reply('insufficient funds')
end
redis.call('DECRBY', 'account:' .. source, 1)
redis.call('INCRBY', 'account:' .. target, 1)
redis.call('XADD', 'transfers', '*', 'from', source, 'to', target, 'amount', 1)
return 1
