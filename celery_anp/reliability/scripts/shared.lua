local function leave(id)
  local at = get(id, 'at')
  if at == '' then return end
  if at == 'queue' then redis.call('ZREM', P .. 'queued', id)
  elseif at == 'time' then redis.call('ZREM', P .. 'delayed', id)
  elseif at == 'lock' then
    redis.call('ZREM', P .. 'blocked', id)
    redis.call('ZREM', P .. 'waiters:' .. get(id, 'lock'), id)
  elseif at == 'node' then redis.call('HDEL', P .. 'running:' .. get(id, 'node'), id)
  end
  set(id, 'at', '')
end

-- The run waits for a worker. `ring`: this script's caller rings it; otherwise upkeep does at once.
local function to_queue(id, ring)
  leave(id)
  redis.call('ZADD', P .. 'queued', ring and NOW + GRACE or NOW, id)
  set(id, 'at', 'queue', 'rings', 0, 'rung', ring and NOW or 0)
  if ring then RING[#RING + 1] = id end
end

local function to_time(id, due)
  leave(id)
  redis.call('ZADD', P .. 'delayed', int(due), id)
  set(id, 'at', 'time', 'due', int(due))
end

local function to_lock(id, lock)
  leave(id)
  redis.call('ZADD', P .. 'blocked', NOW, id)
  redis.call('ZADD', P .. 'waiters:' .. lock, redis.call('INCR', P .. 'arrivals'), id)
  set(id, 'at', 'lock')
end

local finish, ready

local function too_late(id)
  local deadline = number(id, 'deadline')
  return deadline > 0 and NOW > deadline and number(id, 'attempts') == 0 and get(id, 'state') ~= 'rolling_back'
end

-- Hand the lock of an ended run to the first waiter that is not too late.
local function release(id)
  local lock = get(id, 'lock')
  if lock == '' or redis.call('HGET', P .. 'locks', lock) ~= id then return end
  redis.call('HDEL', P .. 'locks', lock)
  while true do
    local head = redis.call('ZRANGE', P .. 'waiters:' .. lock, 0, 0)[1]
    if not head then return end
    if too_late(head) then
      finish(head, 'expired', 'its start deadline passed while it waited for ' .. lock)
    else
      redis.call('HSET', P .. 'locks', lock, head)
      if get(head, 'state') == 'blocked' then enter(head, 'queued', 'lock ' .. lock .. ' from ' .. id) end
      to_queue(head, true)
      return
    end
  end
end

-- Celery's own record of how a run ended, for .get() and chords.
local function publish(id, meta)
  local key = get(id, 'meta_key')
  if key == '' then return end
  local keep = number(id, 'keep')
  redis.call('SET', key, meta, 'PX', int(keep > 0 and keep or number(id, 'keep_long')))
  redis.call('PUBLISH', key, meta)
end

local function publish_end(id, state, reason)
  local status = CELERY_STATE[state]
  if not status then return end
  local failed = status == 'FAILURE'
  local why = {
    exc_type = failed and 'RunEnded' or 'TaskRevokedError',
    exc_module = failed and 'celery_anp.errors' or 'celery.exceptions',
    exc_message = { 'The run ' .. id .. ' ended as ' .. state .. ': ' .. reason },
  }
  publish(id, cjson.encode({
    status = status, traceback = cjson.null, children = {}, task_id = id, date_done = cjson.null,
    result = status == 'SUCCESS' and cjson.null or why,          -- a body that raised Ignore has no result
  }))
end

-- What lives as long as a row: the row, its undo entries, its steps, and Celery's record of it.
local function keys_of(id)
  local keys, meta_key = { row_key(id), P .. 'undo:' .. id, P .. 'steps:' .. id }, get(id, 'meta_key')
  if meta_key ~= '' then keys[4] = meta_key end
  return keys
end

local function forget(id)
  local schedule = get(id, 'schedule')
  redis.call('UNLINK', unpack(keys_of(id)))
  ROWS[id], MADE[id] = nil, nil
  redis.call('ZREM', P .. 'runs', id)
  redis.call('ZREM', P .. 'expiring', id)
  if schedule ~= '' then redis.call('ZREM', P .. 'schedule:' .. schedule, id) end
end

-- Whether a row that is in the way of newer ones may be forgotten. The run that the caller asks about (ARGV[1] of most
-- scripts) stays for now: a replay must find its answer. One whose next links nobody confirmed has them on its row.
local function may_go(id)
  return id ~= ARGV[1] and get(id, 'at') == '' and get(id, 'state') ~= 'rollback_failed'
    and not redis.call('ZSCORE', P .. 'links', id)
end

-- A schedule keeps at most `keep_rows` rows; the oldest finished ones go first. At the script's end only: a row that is
-- on its way from one index to the next stands in none, and would be taken for a finished one.
local function trim()
  for schedule, most in pairs(TRIM) do
    local index = P .. 'schedule:' .. schedule
    local over = math.min(redis.call('ZCARD', index) - most, TRIM_MOST)
    for _, old in ipairs(over > 0 and redis.call('ZRANGE', index, 0, over - 1) or {}) do
      if may_go(old) then
        forget(old)
        redis.call('ZREM', index, old)
      end
    end
  end
end

-- The run ends: out of its index, its lock goes on, its row gets its end. `meta`: Celery's record, made by the worker.
finish = function(id, state, reason, meta, node)
  leave(id)
  enter(id, state, reason, node)
  local keep = number(id, KEPT_SHORT[state] and 'keep_short' or 'keep_long')
  set(id, 'finished', NOW, 'keep', int(keep))
  redis.call('HINCRBY', P .. 'counts', get(id, 'task') .. '|' .. state, 1)
  if state ~= 'rollback_failed' then release(id) end
  if meta and meta ~= '' then publish(id, meta) elseif get(id, 'ended') == '' then publish_end(id, state, reason) end
  if CELERY_STATE[state] then
    if get(id, 'linked') == '1' and get(id, 'ended') == '' then redis.call('ZADD', P .. 'links', NOW + GRACE, id) end
    set(id, 'ended', '1')
  end
  tell_end(id, state, reason)
  if state ~= 'rollback_failed' then                 -- that one, and its lock, wait for a person
    write_down(id)
    for _, key in ipairs(keys_of(id)) do redis.call('PEXPIRE', key, int(keep)) end
    redis.call('ZADD', P .. 'expiring', int(NOW + keep), id)
  end
  if get(id, 'schedule') ~= '' and number(id, 'keep_rows') > 0 then
    TRIM[get(id, 'schedule')] = number(id, 'keep_rows')
  end
end

-- A final row goes on living: an operator asked for it.
local function revive(id)
  for _, key in ipairs(keys_of(id)) do redis.call('PERSIST', key) end
  redis.call('ZREM', P .. 'expiring', id)
  unset(id, 'finished', 'cancel')
end

-- A failed, cancelled or quarantined run ends, or goes on to its rollback hook, keeping why.
local function fail(id, state, reason, meta, node)
  set(id, 'failed_as', state)
  if state == 'quarantined' then alert('quarantined', { run = id, text = reason }) end
  if get(id, 'hook') ~= '1' or number(id, 'attempts') == 0 then return finish(id, state, reason, meta, node) end
  local keep = number(id, 'keep_long')
  set(id, 'keep', int(keep), 'failed_why', reason, 'rollback_losses', 0, 'rollback_failures', 0)
  enter(id, 'rolling_back', state .. ': ' .. reason, node)
  redis.call('HINCRBY', P .. 'counts', get(id, 'task') .. '|' .. state, 1)
  if meta and meta ~= '' then publish(id, meta) else publish_end(id, state, reason) end
  if get(id, 'linked') == '1' then redis.call('ZADD', P .. 'links', NOW + GRACE, id) end
  set(id, 'ended', '1')
  ready(id, true)                                    -- not straight to the queue: it may have waited for its lock
end

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

-- No living node can run it: it waits, without its lock, for a node that comes later.
local function park(id, reason, node)
  finish(id, 'parked', reason, nil, node)
  redis.call('ZADD', P .. 'parked', NOW, id)
end

-- Whether a living node, registered after a time (ms), knows the task of a run.
local function known_since(id, since)
  local name = '"' .. get(id, 'task') .. '"'
  for _, node in ipairs(redis.call('ZRANGEBYSCORE', P .. 'nodes', int(NOW), '+inf')) do
    local about = redis.call('HMGET', P .. 'node:' .. node, 'kind', 'tasks', 'since', 'dead')
    if about[1] == 'worker' and not about[4] and (tonumber(about[3]) or 0) > since
      and string.find(about[2] or '', name, 1, true) then return true end
  end
  return false
end

-- An attempt is gone without having settled. kind: child, node, idle, fenced, shutdown.
local function lose(id, kind, reason, ring)
  local rolling = get(id, 'state') == 'rolling_back'
  local field = rolling and 'rollback_losses' or 'loss_points'
  local points = number(id, field) + LOSS_WEIGHT[kind]
  local node = get(id, 'node')
  set(id, field, points, 'losses', number(id, 'losses') + 1)
  tally(id, 'losses', 1)
  leave(id)
  set(id, 'node', '', 'child', '', 'token', '')
  if not rolling and get(id, 'cancel') ~= '' then return fail(id, 'cancelled', get(id, 'cancel'), nil, node) end
  if points >= LOSS_LIMIT then
    if rolling then return finish(id, 'rollback_failed', 'its rollback took its worker down too often: ' .. reason) end
    return fail(id, 'quarantined', 'took its worker down too often: ' .. reason, nil, node)
  end
  if rolling then
    note(id, 'rolling_back', 'rolling_back', node, reason)
  else
    enter(id, 'queued', reason, node)
  end
  to_queue(id, ring)
end

-- After a silence of Redis nobody is reaped for a lease: it froze, restarted, or its clock moved.
local function pulse(lease)
  local last = tonumber(redis.call('GET', P .. 'pulse'))
  redis.call('SET', P .. 'pulse', NOW)
  if last and NOW >= last and NOW - last <= lease / 3 then return end
  for _, node in ipairs(redis.call('ZRANGE', P .. 'nodes', 0, -1)) do
    if redis.call('HEXISTS', P .. 'node:' .. node, 'dead') == 0 then
      redis.call('ZADD', P .. 'nodes', int(NOW + lease), node)
    end
  end
end

-- Put a message on the broker's list, with the time as its stamp. A task that is not guarded is done with it.
local function send(id, wire)
  local first, last = string.find(wire, '"anp_rung": 0', 1, true)
  wire = string.sub(wire, 1, last - 1) .. int(NOW) .. string.sub(wire, last + 1)
  redis.call('LPUSH', get(id, 'list'), wire)
  if get(id, 'unguarded') == '1' then finish(id, 'sent', 'its message is with the broker') end
end

-- The last words of a script: the time, then what its caller has to ring: id, message, id, message, …
local function rung()
  local out = { int(NOW) }
  for id in pairs(MADE) do write_down(id) end
  for _, id in ipairs(RING) do
    if get(id, 'at') == 'queue' then
      if WIRE[id] then
        send(id, WIRE[id])
      else
        out[#out + 1] = id
        out[#out + 1] = get(id, 'message')
      end
    end
  end
  trim()
  return out
end
