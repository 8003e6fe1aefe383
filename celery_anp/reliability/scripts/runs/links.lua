-- The next links of ended runs: who sends them, and that they are sent.
--
-- Keys:
--   links           zset    when somebody else may send them
--   run:<id>        hash    whether it is still there
-- Arguments: 'done', id once they are sent; or 'placed', id once its replacement is; or 'held', id while somebody sends
--   them; or 'due', most
-- Answer: to 'due' the ids of those that nobody confirmed, and its caller has a grace to send them; else how many
--   changed

if ARGV[1] == 'done' then return redis.call('ZREM', P .. 'links', ARGV[2]) end
if ARGV[1] == 'placed' then                           -- if it waits no more, what is there is of what came after
  return get(ARGV[2], 'replacement') ~= '' and redis.call('ZREM', P .. 'links', ARGV[2]) or 0
end
if ARGV[1] == 'held' then return redis.call('ZADD', P .. 'links', 'XX', NOW + GRACE, ARGV[2]) end
local out = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', P .. 'links', '-inf', int(NOW), 'LIMIT', 0, tonumber(ARGV[2]))) do
  if get(id, 'state') == '' then
    redis.call('ZREM', P .. 'links', id)
  else
    redis.call('ZADD', P .. 'links', NOW + GRACE, id)
    out[#out + 1] = id
  end
end
return out
