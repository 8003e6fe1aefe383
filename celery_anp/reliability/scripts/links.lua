-- The next links of ended runs. ARGV: 'done', id once they are sent; 'held', id while somebody sends them; or 'due',
-- most: answers the ids of those that nobody confirmed, and gives the caller a grace to send them.
if ARGV[1] == 'done' then return redis.call('ZREM', P .. 'links', ARGV[2]) end
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
