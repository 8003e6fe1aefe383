-- Who should have succeeded by now is late: told once, until it has succeeded.
--
-- Keys:
--   watch           zset    by when schedules must have succeeded
--   expected        hash    the same for their next ticks
--   late            hash    who is late
--   outbox:counts   hash    alerts of the last minutes that were only counted
-- Arguments: most schedules
-- Answer: how many became late

local found = redis.call('ZRANGEBYSCORE', P .. 'watch', '-inf', int(NOW), 'WITHSCORES', 'LIMIT', 0, tonumber(ARGV[1]))
local told = 0
for i = 1, #found, 2 do
  local schedule, by = found[i], tonumber(found[i + 1])
  local ends = hand_ends(schedule)
  if by == ends then by = tonumber(redis.call('HGET', P .. 'expected', schedule)) or by end   -- it was put off, below
  if ends == math.huge then
    redis.call('ZREM', P .. 'watch', schedule)       -- until an operator resumes it (hand.lua)
  elseif NOW < ends or NOW < by then
    redis.call('ZADD', P .. 'watch', int(math.max(ends, by)), schedule)
  else
    redis.call('ZREM', P .. 'watch', schedule)
    if redis.call('HSETNX', P .. 'late', schedule, int(by)) == 1 then
      alert('late', { schedule = schedule, by = by, text = schedule .. ' has not succeeded in its time' })
      told = told + 1
    end
  end
end
local counts = P .. 'outbox:counts'
local more = tonumber(redis.call('HGET', counts, 'more')) or 0
if more > 0 and redis.call('HGET', counts, 'minute') ~= int(math.floor(NOW / 60000)) then
  redis.call('HDEL', counts, 'more')
  alert('more', { text = int(more) .. ' more alerts were raised; `anp status` and `anp runs list` tell' })
end
return told
