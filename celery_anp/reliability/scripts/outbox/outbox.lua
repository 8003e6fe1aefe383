-- Send what waits in one lane: 'alert' or 'ping'; 'due' asks for all lanes which of them have something to send.
--
-- Keys:
--   outbox:<lane>   zset    from when each may be tried
--   outbox:items    hash    what is to be sent, and how often it was tried
--   outbox:runs     hash    how much waits of each run
--   outbox:counts   hash    how many were given up
-- Arguments: 'due' and lanes; or what, lane, then for 'claim': most, ms for which a claim holds; for 'sent': id, it is
--   out; for 'again': id, ms until the next try; for 'drop': id, it is given up
-- Answer: to 'due' the lanes; to 'claim' { id, JSON, … }, which nobody else gets until then; else 1

if ARGV[1] == 'due' then
  local due = {}
  for i = 2, #ARGV do
    if redis.call('ZCOUNT', P .. 'outbox:' .. ARGV[i], '-inf', int(NOW)) > 0 then due[#due + 1] = ARGV[i] end
  end
  return due
end
local what, lane, id = ARGV[1], P .. 'outbox:' .. ARGV[2], ARGV[3]
local items = P .. 'outbox:items'
if what == 'claim' then
  local out = {}
  for _, due in ipairs(redis.call('ZRANGEBYSCORE', lane, '-inf', int(NOW), 'LIMIT', 0, tonumber(ARGV[3]))) do
    local held = redis.call('HGET', items, due)
    if held then
      local item = cjson.decode(held)
      item.attempts = item.attempts + 1
      redis.call('HSET', items, due, cjson.encode(item))
      redis.call('ZADD', lane, int(NOW + tonumber(ARGV[4])), due)
      out[#out + 1] = due
      out[#out + 1] = cjson.encode(item)
    else
      redis.call('ZREM', lane, due)
    end
  end
  return out
end
if what == 'again' then
  if redis.call('HEXISTS', items, id) == 1 then redis.call('ZADD', lane, int(NOW + tonumber(ARGV[4])), id) end
  return 1
end
if what == 'drop' then redis.call('HINCRBY', P .. 'outbox:counts', 'dropped', 1) end
local held = redis.call('HGET', items, id)
local run = held and cjson.decode(held).run
if run and redis.call('HINCRBY', P .. 'outbox:runs', run, -1) <= 0 then
  redis.call('HDEL', P .. 'outbox:runs', run)
end
redis.call('HDEL', items, id)
redis.call('ZREM', lane, id)
return 1
