-- What somebody outside is told. It is written by the script that makes it true, and sent by whichever node claims
-- it.
--
-- Keys:
--   outbox:<lane>   zset    what is to be sent joins its lane
--   outbox:items    hash    and stands here
--   outbox:runs     hash    how much waits of its run
--   outbox:counts   hash    its number; how many alerts this minute had
--   hands           hash    whether a hand holds a schedule; too many failures lay one
--   expected        hash    by when its next tick promises success
--   watch           zset    from now on it must have succeeded by then
--   late            hash    it is not late any more
--   failing         hash    one more failure, or none
--   run:<id>        hash    what is told of it; `counted`
-- Uses: P, NOW, MICROS, int, get, number, set, remember
-- Provides: alert, ping, hand_ends, watch_next, tell_end

local OUTBOX = 1000          -- alerts that may wait to be sent, and pings; beyond it the newest is dropped
local A_MINUTE = 30          -- alerts; further ones are only counted, and told as one

local function outbox(item)
  local lane, counts = P .. 'outbox:' .. item.what, P .. 'outbox:counts'
  if redis.call('ZCARD', lane) >= OUTBOX then
    redis.call('HINCRBY', counts, 'dropped', 1)
    return
  end
  local last = tonumber(redis.call('HGET', counts, 'last')) or 0
  local id = int(math.max(last + 1, MICROS))         -- as a fence: not given again after Redis lost its data
  item.at, item.attempts = NOW, 0
  redis.call('HSET', counts, 'last', id)
  redis.call('HSET', P .. 'outbox:items', id, cjson.encode(item))
  redis.call('ZADD', lane, int(NOW), id)
  if item.run then redis.call('HINCRBY', P .. 'outbox:runs', item.run, 1) end
end

local function alert(kind, about)
  local counts, minute = P .. 'outbox:counts', int(math.floor(NOW / 60000))
  if redis.call('HGET', counts, 'minute') ~= minute then redis.call('HSET', counts, 'minute', minute, 'raised', 0) end
  if redis.call('HINCRBY', counts, 'raised', 1) > A_MINUTE then
    redis.call('HINCRBY', counts, 'more', 1)
    return
  end
  about.what, about.kind = 'alert', kind
  if about.run then
    about.task = get(about.run, 'task')
    if get(about.run, 'schedule') ~= '' then about.schedule = get(about.run, 'schedule') end
  end
  outbox(about)
end

local function ping(id, word, text)
  local url = get(id, 'ping')
  if url ~= '' then outbox({ what = 'ping', kind = word, run = id, url = url, text = text }) end
end

-- When the hand (hand.lua) on a schedule ends or ended: 0 for none, math.huge for one without an end.
local function hand_ends(schedule)
  local hand = redis.call('HGET', P .. 'hands', schedule)
  return hand and (tonumber(cjson.decode(hand)['until']) or math.huge) or 0
end

-- From now on a schedule must have succeeded by when its next tick promises it.
local function watch_next(schedule)
  local expected = redis.call('HGET', P .. 'expected', schedule)
  if expected and redis.call('HEXISTS', P .. 'late', schedule) == 0 then
    redis.call('ZADD', P .. 'watch', expected, schedule)
  end
end

-- A schedule has succeeded: it is not late, and must succeed again for its next tick.
local function on_time(schedule)
  redis.call('HDEL', P .. 'failing', schedule)
  if redis.call('HDEL', P .. 'late', schedule) == 1 then
    alert('late_over', { schedule = schedule, text = schedule .. ' has succeeded again' })
  end
  watch_next(schedule)
end

-- One more failure in a row; too many pause the schedule.
local function count_failure(id, schedule, why)
  local most, failed = number(id, 'pause_after'), redis.call('HINCRBY', P .. 'failing', schedule, 1)
  if most == 0 or failed < most or NOW < hand_ends(schedule) then return end
  local words = int(failed) .. ' failures in a row, the last ' .. id
  local hand = { kind = 'paused', by = 'anp', note = words, since = NOW, ['until'] = cjson.null }
  redis.call('HSET', P .. 'hands', schedule, cjson.encode(hand))
  remember(schedule, { at = NOW, what = 'pause', by = 'anp', note = words, ['until'] = cjson.null })
  redis.call('HDEL', P .. 'failing', schedule)
  alert('paused', { run = id, text = schedule .. ' is paused: ' .. words .. '; ' .. why })
end

local FAILED = { failed = true, quarantined = true, rolled_back = true, rollback_failed = true }

-- A run has ended. What makes up for the past tells nothing about the present, and a cancelled run nothing at all.
local function tell_end(id, state, reason)
  if state == 'succeeded' and get(id, 'failed_as') == 'succeeded' then return end          -- it was told then
  if state == 'rollback_failed' then alert('rollback_failed', { run = id, text = reason }) end
  local schedule = get(id, 'schedule')
  if schedule == '' and state == 'succeeded' and get(id, 'stands_for') ~= '' and get(id, 'as_expected') ~= '0' then
    on_time(get(id, 'stands_for'))                   -- an operator ran the schedule by hand
  end
  if schedule == '' or get(id, 'backfill') == '1' then return end
  local why = get(id, 'failed_as')
  if state == 'succeeded' and get(id, 'as_expected') == '0' then
    ping(id, 'fail', 'it ended without its expected result')
  elseif state == 'succeeded' or state == 'sent' then
    on_time(schedule)
    ping(id, 'success', reason)
  elseif FAILED[state] and get(id, 'counted') == '' and why ~= 'succeeded' and why ~= 'cancelled' then
    set(id, 'counted', '1')
    local first = get(id, 'failed_why')              -- a rollback's own words do not say why it was needed
    local said = (first == '' or state == why) and state .. ': ' .. reason or why .. ': ' .. first .. '; ' .. state
    count_failure(id, schedule, said)
    ping(id, 'fail', said)
  elseif state == 'expired' then
    ping(id, 'fail', state .. ': ' .. reason)
  end
end
