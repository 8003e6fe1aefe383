-- Where a row waits: it leaves its index and goes into another one.
--
-- Keys:
--   run:<id>        hash    `at` names its index
--   queued          zset    index `queue`
--   waiting         hash    how many of those each queue has
--   delayed         zset    index `time`
--   links           zset    a replacement is sent, or never will be
--   blocked         zset    index `lock`
--   waiters:<lock>  zset    its place among those that wait for the lock
--   arrivals        string  the number of that place
--   running:<node>  hash    index `node`
-- Uses: P, NOW, GRACE, RING, HELD, int, get, set, unset
-- Provides: leave, to_queue, to_time, to_lock

-- One more or one less waits on its queue.
local function count(id, by)
  local queue = get(id, 'queue')
  if queue ~= '' and redis.call('HINCRBY', P .. 'waiting', queue, by) <= 0 then
    redis.call('HDEL', P .. 'waiting', queue)
  end
end

local function leave(id)
  local at = get(id, 'at')
  if at == '' then return end
  if at == 'queue' then
    redis.call('ZREM', P .. 'queued', id)
    count(id, -1)
  elseif at == 'time' then
    redis.call('ZREM', P .. 'delayed', id)
    if get(id, 'replacement') ~= '' then
      unset(id, 'replacement')
      redis.call('ZREM', P .. 'links', id)
    end
  elseif at == 'lock' then
    redis.call('ZREM', P .. 'blocked', id)
    redis.call('ZREM', P .. 'waiters:' .. get(id, 'lock'), id)
  elseif at == 'node' then redis.call('HDEL', P .. 'running:' .. get(id, 'node'), id)
  end
  set(id, 'at', '')
end

-- The run waits for a worker. `ring`: this script sends its message; otherwise, or where only kombu can
-- send it, upkeep does at its next round.
local function to_queue(id, ring)
  leave(id)
  local rings = ring and (HELD[id] or get(id, 'by_kombu') == '')
  redis.call('ZADD', P .. 'queued', rings and NOW + GRACE or NOW, id)
  count(id, 1)
  set(id, 'at', 'queue', 'rings', 0, 'rung', rings and NOW or 0)
  if rings and not HELD[id] then RING[#RING + 1] = id end
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
