-- Put a cleared page back, unless something newer is known.
-- KEYS[1]  <root>page:<path>     hash    the page
-- KEYS[2]  <root>cleared:any     string  time (µs) of the last clearing that went by path
-- KEYS[3…] <root>cleared:<tag>   string  the same for each cache tag of the page
-- ARGV     time (µs) of the clearing that took the page · its end (ms since 1970) · its DUMP
-- Answer   'restored' · 'rendered' (there is a newer one) · 'ended' (its time is over) · 'cleared' (again, later)
if redis.call('EXISTS', KEYS[1]) == 1 then return 'rendered' end
local now = redis.call('TIME')
if tonumber(ARGV[2]) <= tonumber(now[1]) * 1000 then return 'ended' end
for i = 2, #KEYS do
  local mark = redis.call('GET', KEYS[i])
  if mark and tonumber(mark) > tonumber(ARGV[1]) then return 'cleared' end
end
redis.call('RESTORE', KEYS[1], ARGV[2], ARGV[3], 'ABSTTL')
return 'restored'
