-- One row from its spec (`records.spec_of` writes it). A row that exists is never changed, but for a backfill.
--
-- Keys:
--   full                    string  whether planning is refused
--   run:<id>                hash    made
--   unique:<task>:<digest>  string  the run that this input has already
--   runs                    zset    it joins
--   schedule:<name>         zset    it joins
--   expiring                zset    an earlier row of its id leaves
--   results                 zset    Celery's record of an earlier row of its id leaves, and is dropped
-- Uses: FULL_AT (keyspace.py gives it), P, NOW, HELD, int, get, set, unset, exists, make, enter, forget_end, leave,
--   to_time, revive, release, finish, ready
-- Provides: bytes_from, no_room, plan, held, plan_again

local LARGE = 32768          -- bytes of inputs of which many would fill the memory before upkeep's next look at it

-- Bytes of this script's arguments, from one on.
local function bytes_from(first)
  local bytes = 0
  for i = first, #ARGV do bytes = bytes + #ARGV[i] end
  return bytes
end

-- Whether Redis is near its memory limit.
local function no_room(bytes)
  if redis.call('EXISTS', P .. 'full') == 1 then return true end
  local said = bytes >= LARGE and redis.pcall('INFO', 'memory')
  if type(said) ~= 'string' then return false end
  local used, limit = string.match(said, 'used_memory:(%d+)'), string.match(said, 'maxmemory:(%d+)')
  return used and limit and tonumber(limit) > 0 and tonumber(used) > FULL_AT * tonumber(limit)
end

-- What became of a plan; the last: the stamp with which whoever planned it sends its message, 0 where it need not.
local function answer(id, what)
  local stamp = what == 'planned' and HELD[id] and get(id, 'at') == 'queue' and NOW or 0
  return { id, what, get(id, 'state'), get(id, 'reason'), int(stamp) }
end

-- A run that was replaced goes on as its replacement: another task with an input of its own. The lock that its task
-- asked for goes with the task, the one on its schedule's name stays with the tick.
local function go_on(spec)
  local id, due, row = spec.id, tonumber(spec.due) or 0, { 'failures', 0, 'loss_points', 0 }
  if spec.row.unguarded then                         -- who asks sends its message, and then says so: it waits till then
    set(id, 'task', spec.row.task)
    return answer(id, 'known')
  end
  if not spec.row.lock and get(id, 'lock') == get(id, 'schedule') then
    spec.row.overlap, spec.row.limit = nil, nil
  elseif spec.row.lock ~= get(id, 'lock') then
    release(id, finish)
    unset(id, 'lock')
  end
  spec.row.deadline = nil                            -- it has begun
  for field, value in pairs(spec.row) do
    row[#row + 1] = field
    row[#row + 1] = value
  end
  leave(id)
  unset(id, 'hook', 'linked', 'by_kombu')
  set(id, unpack(row))
  if tonumber(spec.delay) then due = NOW + tonumber(spec.delay) end
  HELD[id] = spec.held
  if due > NOW then
    enter(id, 'delayed', 'goes on as ' .. spec.row.task .. ', due later')
    to_time(id, due)
  else
    enter(id, 'queued', 'goes on as ' .. spec.row.task)
    ready(id, true)
  end
  return answer(id, 'planned')
end

local function plan(spec)
  local id = spec.id
  if spec.unique then
    local first = redis.call('GET', P .. 'unique:' .. spec.unique)
    if first and get(first, 'state') ~= '' then return answer(first, 'known') end
  end
  if exists(id) then
    if get(id, 'replacement') ~= '' then return go_on(spec) end
    local same = not spec.digest or spec.digest == '' or get(id, 'digest') == spec.digest
    return answer(id, same and 'known' or 'conflict')
  end
  local due = tonumber(spec.due) or 0
  if tonumber(spec.delay) then due = NOW + tonumber(spec.delay) end
  local row = spec.row
  row.created, row.wanted, row.attempts, row.at = int(NOW), int(due > 0 and due or NOW), '0', ''
  row.digest = spec.digest or ''
  make(id, row)
  if spec.unique then redis.call('SET', P .. 'unique:' .. spec.unique, id, 'PX', spec.unique_for) end
  redis.call('ZADD', P .. 'runs', NOW, id)
  redis.call('ZREM', P .. 'expiring', id)            -- an earlier row of this id that prune has not seen yet
  if row.meta_key and redis.call('ZREM', P .. 'results', row.meta_key) == 1 then forget_end(id) end
  if row.schedule then redis.call('ZADD', P .. 'schedule:' .. row.schedule, row.tick, id) end
  if spec.told then redis.call('PUBLISH', spec.channel, spec.told) end
  if spec.ends then
    finish(id, spec.ends, spec.reason)
  elseif due > NOW then
    enter(id, 'delayed', 'due later')
    to_time(id, due)
  else
    HELD[id] = spec.held
    ready(id, true)
  end
  return answer(id, 'planned')
end

-- Why a tick (ms) does not run, or nil: an operator's hand (hand.lua) is on its schedule now, or was at its due time.
local function held(hand, tick)
  local on = cjson.decode(hand)
  local ends = tonumber(on['until'])
  if ends and NOW >= ends and not (tick >= on.since and tick < ends) then return nil end
  return on.kind .. ': by ' .. on.by .. (on.note ~= '' and ', ' .. on.note or '')
end

-- A row that was skipped or expired before it began is planned anew, under its id.
local function plan_again(spec, reason)
  local id, row = spec.id, { 'created', NOW, 'wanted', NOW, 'settled', '' }
  revive(id)
  forget_end(id)
  unset(id, 'deadline', 'error', 'as_expected', 'failed_as', 'ended')
  for field, value in pairs(spec.row) do
    row[#row + 1] = field
    row[#row + 1] = value
  end
  set(id, unpack(row))
  redis.call('ZADD', P .. 'runs', NOW, id)
  HELD[id] = spec.held
  enter(id, 'queued', reason)
  ready(id, true)
  return answer(id, 'planned')
end
