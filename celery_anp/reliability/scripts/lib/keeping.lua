-- How long a row is kept, and what goes with it.
--
-- Keys:
--   run:<id>        hash    dropped, or kept after all
--   undo:<id>       list    dropped with it
--   steps:<id>      hash    dropped with it
--   row.meta_key    string  dropped with it
--   runs            zset    it leaves
--   schedule:<name> zset    it leaves; the oldest go first
--   ended:<task>    zset    it leaves; the oldest go first
--   expiring        zset    it leaves
--   results         zset    Celery's record that stays without it
--   links           zset    whether its next links are confirmed
--   outbox:runs     hash    whether something of it is still to be told
-- Uses: P, NOW, ROWS, MADE, TRIM, TRIM_TASKS, int, row_key, get, unset
-- Provides: keys_of, forget, revive, may_go, trim

local TRIM_MOST = 100        -- rows that one script drops of a schedule

-- What lives as long as a row: the row, its undo entries, its steps, and Celery's record of it.
local function keys_of(id)
  local keys, meta_key = { row_key(id), P .. 'undo:' .. id, P .. 'steps:' .. id }, get(id, 'meta_key')
  if meta_key ~= '' then keys[4] = meta_key end
  return keys
end

-- `result`: Celery's record of it stays for its time, for who still asks for it.
local function forget(id, result)
  local schedule, task, keys = get(id, 'schedule'), get(id, 'task'), keys_of(id)
  local goes = result and keys[4] and redis.call('ZSCORE', P .. 'expiring', id)
  if goes then redis.call('ZADD', P .. 'results', goes, table.remove(keys)) end
  redis.call('UNLINK', unpack(keys))
  ROWS[id], MADE[id] = nil, nil
  redis.call('ZREM', P .. 'runs', id)
  redis.call('ZREM', P .. 'expiring', id)
  if schedule ~= '' then
    redis.call('ZREM', P .. 'schedule:' .. schedule, id)
  elseif task ~= '' then
    redis.call('ZREM', P .. 'ended:' .. task, id)
  end
end

-- A final row goes on living: an operator asked for it.
local function revive(id)
  for _, key in ipairs(keys_of(id)) do redis.call('PERSIST', key) end
  redis.call('ZREM', P .. 'expiring', id)
  redis.call('ZREM', P .. 'ended:' .. get(id, 'task'), id)
  unset(id, 'finished', 'cancel')
end

-- Whether a row that is in the way of newer ones may be forgotten. The run that the caller asks about stays for now:
-- a replay must find its answer. One whose next links nobody confirmed has them on its row; what waits in the outbox is
-- cleared of the secrets that its row names; a parked one is still to run.
local function may_go(id, asked)
  local state = get(id, 'state')
  return id ~= asked and get(id, 'at') == '' and state ~= 'rollback_failed' and state ~= 'parked'
    and not redis.call('ZSCORE', P .. 'links', id) and redis.call('HEXISTS', P .. 'outbox:runs', id) == 0
end

-- A schedule keeps at most `keep_rows` rows, a task so many ended ones by hand; the oldest finished ones go first. At
-- the script's end only: a row that is on its way from one index to the next stands in none, and would be taken for a
-- finished one.
local function trim(asked)
  for schedule, most in pairs(TRIM) do
    local index = P .. 'schedule:' .. schedule
    local over = math.min(redis.call('ZCARD', index) - most, TRIM_MOST)
    for _, old in ipairs(over > 0 and redis.call('ZRANGE', index, 0, over - 1) or {}) do
      if may_go(old, asked) then
        forget(old)
        redis.call('ZREM', index, old)
      end
    end
  end
  for task, most in pairs(TRIM_TASKS) do
    local index = P .. 'ended:' .. task
    local over = math.min(redis.call('ZCARD', index) - most, TRIM_MOST)
    for _, old in ipairs(over > 0 and redis.call('ZRANGE', index, 0, over - 1) or {}) do
      if may_go(old, asked) then
        forget(old, true)
        redis.call('ZREM', index, old)
      elseif old ~= asked then
        redis.call('ZADD', index, int(NOW), old)     -- behind the others, so that it stands in nobody's way
      end
    end
  end
end
