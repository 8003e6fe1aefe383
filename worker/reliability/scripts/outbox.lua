-- Send what waits. ARGV: 'claim', most, ms for which a claim holds: answers { id, JSON, … }, which nobody else gets until
-- then. 'sent', id: it is out. 'again', id, ms until the next try. 'drop', id: it is given up.
local what, id = ARGV[1], ARGV[2]
local items = P .. 'outbox:items'
if what == 'claim' then
  local out = {}
  for _, due in ipairs(redis.call('ZRANGEBYSCORE', P .. 'outbox', '-inf', int(NOW), 'LIMIT', 0, tonumber(ARGV[2]))) do
    local held = redis.call('HGET', items, due)
    if held then
      local item = cjson.decode(held)
      item.attempts = item.attempts + 1
      redis.call('HSET', items, due, cjson.encode(item))
      redis.call('ZADD', P .. 'outbox', int(NOW + tonumber(ARGV[3])), due)
      out[#out + 1] = due
      out[#out + 1] = cjson.encode(item)
    else
      redis.call('ZREM', P .. 'outbox', due)
    end
  end
  return out
end
if what == 'again' then
  if redis.call('HEXISTS', items, id) == 1 then redis.call('ZADD', P .. 'outbox', int(NOW + tonumber(ARGV[3])), id) end
  return 1
end
if what == 'drop' then redis.call('HINCRBY', P .. 'outbox:counts', 'dropped', 1) end
redis.call('HDEL', items, id)
redis.call('ZREM', P .. 'outbox', id)
return 1
