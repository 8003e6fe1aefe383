-- Messages that cannot be read: one more, or those that an operator has seen are dropped.
--
-- Keys:
--   unreadable        zset    what is kept of them
--   unreadable:counts hash    how many there ever were, and when the last one came
-- Arguments: 'add', JSON { list, reason, bytes, text }; or 'drop', number of the last that is dropped
-- Answer: its number; or how many were dropped

local KEPT = 500             -- messages; the oldest go first
local QUIET = 3600000        -- ms after which the next one is told again

local kept, counts = P .. 'unreadable', P .. 'unreadable:counts'
if ARGV[1] == 'drop' then return redis.call('ZREMRANGEBYSCORE', kept, '-inf', ARGV[2]) end
local one = cjson.decode(ARGV[2])
local last = tonumber(redis.call('HGET', counts, 'last')) or 0
if NOW - last > QUIET or redis.call('ZCARD', kept) == 0 then
  alert('unreadable', { text = 'a message of ' .. one.list .. ' cannot be read and is set aside: ' .. one.reason
    .. '; `anp runs unreadable` shows what was kept' })
end
one.number, one.at = redis.call('HINCRBY', counts, 'ever', 1), NOW
redis.call('HSET', counts, 'last', NOW)
redis.call('ZADD', kept, one.number, cjson.encode(one))
redis.call('ZREMRANGEBYRANK', kept, 0, -KEPT - 1)
return one.number
