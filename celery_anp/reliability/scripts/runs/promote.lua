-- What is due becomes ready; a lock without a holder goes to who waits for it; what was parked goes on when a node
-- that came later knows its task.
--
-- Keys:
--   delayed         zset    what is due
--   blocked         zset    what waits for a lock
--   locks           hash    who holds it
--   waiters:<lock>  zset    who is next
--   parked          zset    what waits for a node, and since when
--   run:<id>        hash    whether it is there, and still waits
-- Arguments: most rows
-- Answer: how many messages it sent

local most = tonumber(ARGV[1])
for _, id in ipairs(redis.call('ZRANGEBYSCORE', P .. 'delayed', '-inf', int(NOW), 'LIMIT', 0, most)) do
  if get(id, 'state') == '' then redis.call('ZREM', P .. 'delayed', id)
  elseif get(id, 'cancel') ~= '' and get(id, 'state') == 'delayed' then fail(id, 'cancelled', get(id, 'cancel'))
  elseif get(id, 'replacement') ~= '' then fail(id, 'failed', 'what it was replaced by never came to an end')
  else ready(id, true) end
end
for _, id in ipairs(redis.call('ZRANGE', P .. 'blocked', 0, most - 1)) do
  if get(id, 'state') == '' then
    redis.call('ZREM', P .. 'blocked', id)
  elseif too_late(id) then
    finish(id, 'expired', 'its start deadline passed while it waited for ' .. get(id, 'lock'))
  else
    local holder = redis.call('HGET', P .. 'locks', get(id, 'lock'))
    if holder and (get(holder, 'at') ~= '' or get(holder, 'state') == 'rollback_failed') then holder = true
    elseif redis.call('ZRANGE', P .. 'waiters:' .. get(id, 'lock'), 0, 0)[1] == id then
      redis.call('HDEL', P .. 'locks', get(id, 'lock'))
      ready(id, true)
    end
  end
end
for _, id in ipairs(redis.call('ZRANGE', P .. 'parked', 0, most - 1)) do
  local since = tonumber(redis.call('ZSCORE', P .. 'parked', id))
  if get(id, 'state') ~= 'parked' then
    redis.call('ZREM', P .. 'parked', id)
  elseif known_since(id, since) then
    redis.call('ZREM', P .. 'parked', id)
    revive(id)
    enter(id, 'queued', 'a node that came later knows its task')
    ready(id, true)
  end
end
return rung()
