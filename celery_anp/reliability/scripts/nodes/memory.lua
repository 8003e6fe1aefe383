-- How much of its memory Redis uses, and what upkeep does about it. An alert of each at most once an hour.
--
-- Keys:
--   full            string  planning is refused, for a minute unless it is said again
--   memory          hash    what was dropped for room, and when somebody was told
-- Arguments: bytes used, bytes of its limit (0 for none), 1 while planning is refused and 0 else, rows dropped just now
-- Answer: 1

local HOUR = 3600000         -- ms
local FOR = 60000            -- ms
local used, limit, full, dropped = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3] == '1', tonumber(ARGV[4])

local function tell(what, words)
  local told = tonumber(redis.call('HGET', P .. 'memory', what))
  if told and NOW - told < HOUR then return end
  redis.call('HSET', P .. 'memory', what, int(NOW))
  local share = limit > 0 and 'Redis uses ' .. int(100 * used / limit) .. ' % of its memory: ' or 'Redis is full: '
  alert('memory', { text = share .. words .. '; `anp status` tells what to do' })
end

if dropped > 0 then
  redis.call('HINCRBY', P .. 'memory', 'dropped', int(dropped))
  redis.call('HSET', P .. 'memory', 'dropped_at', int(NOW))
  tell('told_dropped', 'the oldest finished runs are dropped before their time')
end
if full then
  redis.call('SET', P .. 'full', '1', 'PX', FOR)
  tell('told_full', 'nothing new is planned')
else
  redis.call('UNLINK', P .. 'full')
end
return 1
