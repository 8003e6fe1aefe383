-- Who should have succeeded by now is late: told once, until it has succeeded. ARGV: most schedules. Answers how many.
local found = redis.call('ZRANGEBYSCORE', P .. 'watch', '-inf', int(NOW), 'WITHSCORES', 'LIMIT', 0, tonumber(ARGV[1]))
local told = 0
for i = 1, #found, 2 do
  local schedule, by = found[i], found[i + 1]
  redis.call('ZREM', P .. 'watch', schedule)
  if not in_hand(schedule) and redis.call('HSETNX', P .. 'late', schedule, by) == 1 then
    alert('late', { schedule = schedule, by = tonumber(by), text = schedule .. ' has not succeeded in its time' })
    told = told + 1
  end
end
local counts = P .. 'outbox:counts'
local more = tonumber(redis.call('HGET', counts, 'more')) or 0
if more > 0 and redis.call('HGET', counts, 'minute') ~= int(math.floor(NOW / 60000)) then
  redis.call('HDEL', counts, 'more')
  alert('more', { text = int(more) .. ' more alerts were raised; `anp status` and `anp runs list` tell' })
end
return told
