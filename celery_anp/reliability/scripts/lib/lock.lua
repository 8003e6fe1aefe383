-- Whether a run that is due gets its lock, waits for it, or is skipped.
--
-- Keys:
--   run:<id>        hash    of the run, and of who is in its way
--   locks           hash    who holds its lock
--   waiters:<lock>  zset    who waits for it
-- Uses: P, get, number, set, enter, to_queue, to_lock, too_late, finish, fail, ready (its body is here)
-- Provides: none

-- A newer run takes over: who waits and has not begun is skipped, the holder ends as soon as it can.
local function supersede(id, lock, holder)
  local reason = 'superseded by ' .. id
  for _, other in ipairs(redis.call('ZRANGE', P .. 'waiters:' .. lock, 0, -1)) do
    if number(other, 'attempts') == 0 and get(other, 'state') == 'blocked' then finish(other, 'skipped', reason) end
  end
  if get(holder, 'state') == 'rolling_back' or get(holder, 'state') == 'rollback_failed' then return end
  if get(holder, 'at') == 'node' then
    if get(holder, 'cancel') == '' then set(holder, 'cancel', reason) end
  elseif number(holder, 'attempts') == 0 then
    finish(holder, 'skipped', reason)
  else
    fail(holder, 'cancelled', reason)
  end
end

-- The run is due: it gets its lock and a place in the queue, or what its overlap policy says.
ready = function(id, ring)
  if too_late(id) then return finish(id, 'expired', 'its start deadline passed before it could begin') end
  local lock, overlap = get(id, 'lock'), get(id, 'overlap')
  local rolling = get(id, 'state') == 'rolling_back'
  local holder = lock ~= '' and redis.call('HGET', P .. 'locks', lock)
  if holder and holder ~= id and get(holder, 'state') == '' then holder = false end     -- its row is gone
  if overlap == 'skip' and holder and get(holder, 'backfill') == '1' then overlap = 'buffer_one' end
  if lock == '' or overlap == 'allow_all' or not holder or holder == id then
    if lock ~= '' and overlap ~= 'allow_all' then redis.call('HSET', P .. 'locks', lock, id) end
    if not rolling then enter(id, 'queued', lock ~= '' and overlap ~= 'allow_all' and 'holds ' .. lock or 'due') end
    return to_queue(id, ring)
  end
  if overlap == 'cancel_other' and not rolling and number(id, 'attempts') == 0 then
    supersede(id, lock, holder)
    if not redis.call('HGET', P .. 'locks', lock) then return ready(id, ring) end
  end
  local waiting = redis.call('ZCARD', P .. 'waiters:' .. lock)
  local begun = rolling or number(id, 'attempts') > 0
  if begun or overlap == 'cancel_other' or (overlap == 'buffer_one' and waiting == 0)
    or (overlap == 'buffer_all' and waiting < number(id, 'limit')) then
    if not rolling then enter(id, 'blocked', 'waits for ' .. lock .. ', held by ' .. holder) end
    return to_lock(id, lock)
  end
  finish(id, 'skipped', 'overlap: ' .. lock .. ' is held by ' .. holder)
end
