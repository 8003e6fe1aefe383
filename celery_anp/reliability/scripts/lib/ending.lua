-- How a run ends, or fails and goes on to its rollback. Who ends hands its lock on.
--
-- Keys:
--   run:<id>        hash    its end
--   counts          hash    one more that ended so
--   locks           hash    the next holder
--   waiters:<lock>  zset    who that is
--   links           zset    its next links are to be sent, or Celery's backend is to be told of it
--   expiring        zset    from when it goes away
--   ended:<task>    zset    it joins, unless a tick made it or it waits for somebody
--   parked          zset    it waits for a node that knows its task
-- Uses: P, NOW, GRACE, KEPT_SHORT, CELERY_STATE, TRIM, TRIM_TASKS, int, get, number, set, unset, note, enter,
--   write_down, alert, tell_end, leave, to_queue, publish, publish_end, keys_of
-- Provides: too_late, release, finish, stay, ready, fail, may_cancel, cancel, park

local function too_late(id)
  local deadline = number(id, 'deadline')
  return deadline > 0 and NOW > deadline and number(id, 'attempts') == 0 and get(id, 'state') ~= 'rolling_back'
end

-- Hand the lock of an ended run to the first waiter that is not too late. `end_it`: what ends the others, `finish`.
local function release(id, end_it)
  local lock = get(id, 'lock')
  if lock == '' or redis.call('HGET', P .. 'locks', lock) ~= id then return end
  redis.call('HDEL', P .. 'locks', lock)
  while true do
    local head = redis.call('ZRANGE', P .. 'waiters:' .. lock, 0, 0)[1]
    if not head then return end
    if too_late(head) then
      end_it(head, 'expired', 'its start deadline passed while it waited for ' .. lock)
    else
      redis.call('HSET', P .. 'locks', lock, head)
      if get(head, 'state') == 'blocked' then enter(head, 'queued', 'lock ' .. lock .. ' from ' .. id) end
      to_queue(head, true)
      return
    end
  end
end

-- A schedule and a task keep so many rows. A keyed run is kept for its time: as long its key keeps calls from a second.
local function keep_few(id, state, keep)
  local schedule, task, most = get(id, 'schedule'), get(id, 'task'), number(id, 'keep_rows')
  if most == 0 then return end
  if schedule ~= '' then
    TRIM[schedule] = most
  elseif state ~= 'parked' and get(id, 'digest') == '' then
    redis.call('ZADD', P .. 'ended:' .. task, int(NOW), id)
    redis.call('PEXPIRE', P .. 'ended:' .. task, int(math.max(keep, number(id, 'keep_long'))))
    TRIM_TASKS[task] = most
  end
end

-- Celery hears of an end once: by the record that the worker made, by a plain one, or from its backend, which upkeep
-- tells.
local function tell_celery(id, state, reason, meta)
  local made, first = meta and meta ~= '', get(id, 'ended') == ''
  if made then publish(id, meta) elseif first then publish_end(id, state, reason) end
  if not CELERY_STATE[state] then return end
  if first and get(id, 'by_backend') == '1' and not made then
    redis.call('ZADD', P .. 'links', NOW, id)
  elseif first and get(id, 'linked') == '1' then
    redis.call('ZADD', P .. 'links', NOW + GRACE, id)
  end
  set(id, 'ended', '1')
end

-- The run ends: out of its index, its lock goes on, its row gets its end. `meta`: Celery's record, made by the worker.
local function finish(id, state, reason, meta, node)
  local stays = get(id, 'state') == 'rolling_back' and state == get(id, 'failed_as')     -- it was counted then
  leave(id)
  enter(id, state, reason, node)
  local keep = number(id, KEPT_SHORT[state] and 'keep_short' or 'keep_long')
  set(id, 'finished', NOW, 'keep', int(keep))
  if not stays then redis.call('HINCRBY', P .. 'counts', get(id, 'task') .. '|' .. state, 1) end
  if state ~= 'rollback_failed' then release(id, finish) end
  tell_celery(id, state, reason, meta)
  tell_end(id, state, reason)
  if state ~= 'rollback_failed' then                 -- that one, and its lock, wait for a person
    write_down(id)
    for _, key in ipairs(keys_of(id)) do redis.call('PEXPIRE', key, int(keep)) end
    redis.call('ZADD', P .. 'expiring', int(NOW + keep), id)
    keep_few(id, state, keep)
  end
end

-- Its rollback found nothing to undo: it is what it was before.
local function stay(id, node)
  local why = get(id, 'failed_why')
  finish(id, get(id, 'failed_as'), (why ~= '' and why .. '; ' or '') .. 'there was nothing to undo', nil, node)
end

-- Said before it is written (lock.lua), because they call each other: who fails is made ready for its rollback, and who
-- becomes ready may fail the run that holds its lock.
local ready

-- A failed, cancelled or quarantined run ends, or goes on to its rollback hook, keeping why.
local function fail(id, state, reason, meta, node)
  set(id, 'failed_as', state)
  if state == 'quarantined' then alert('quarantined', { run = id, text = reason }) end
  if get(id, 'hook') ~= '1' or number(id, 'attempts') == 0 then return finish(id, state, reason, meta, node) end
  local keep = number(id, 'keep_long')
  set(id, 'keep', int(keep), 'failed_why', reason, 'rollback_losses', 0, 'rollback_failures', 0)
  unset(id, 'undone')
  leave(id)                                          -- before its links are due: with a replacement those go too
  enter(id, 'rolling_back', state .. ': ' .. reason, node)
  redis.call('HINCRBY', P .. 'counts', get(id, 'task') .. '|' .. state, 1)
  tell_celery(id, state, reason, meta)
  ready(id, true)                                    -- not straight to the queue: it may have waited for its lock
end

-- Who is not finished can be cancelled, but for a rollback.
local function may_cancel(id) return get(id, 'at') ~= '' and get(id, 'state') ~= 'rolling_back' end

-- A run is cancelled; one that is running is marked, and ends when its body does.
local function cancel(id, reason)
  local state = get(id, 'state')
  if state ~= 'running' then
    set(id, 'cancel', reason)
    if number(id, 'attempts') > 0 then fail(id, 'cancelled', reason) else finish(id, 'cancelled', reason) end
  elseif get(id, 'cancel') ~= reason then            -- each worker may ask for the same
    set(id, 'cancel', reason)
    note(id, state, state, '', reason)
  end
end

-- No living node can run it: it waits, without its lock, for a node that comes later.
local function park(id, reason, node)
  finish(id, 'parked', reason, nil, node)
  redis.call('ZADD', P .. 'parked', NOW, id)
end
