-- Put between base.lua and shared.lua: what somebody outside is told. It is written by the script that makes it true,
-- and sent by whichever node claims it.
local OUTBOX = 1000          -- what may wait to be sent; beyond it the newest is dropped
local A_MINUTE = 30          -- alerts; further ones are only counted, and told as one

local function outbox(item)
  if redis.call('ZCARD', P .. 'outbox') >= OUTBOX then
    redis.call('HINCRBY', P .. 'outbox:counts', 'dropped', 1)
    return
  end
  local id = redis.call('HINCRBY', P .. 'outbox:counts', 'last', 1)
  item.at, item.attempts = NOW, 0
  redis.call('HSET', P .. 'outbox:items', id, cjson.encode(item))
  redis.call('ZADD', P .. 'outbox', NOW, id)
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

-- Whether an operator's hand (hand.lua) is on a schedule now.
local function in_hand(schedule)
  local hand = redis.call('HGET', P .. 'hands', schedule)
  if not hand then return false end
  local ends = tonumber(cjson.decode(hand)['until'])
  return not ends or NOW < ends
end

-- A schedule has succeeded: it is not late, and must succeed again for its next tick.
local function on_time(schedule)
  redis.call('HDEL', P .. 'failing', schedule)
  if redis.call('HDEL', P .. 'late', schedule) == 1 then
    alert('late_over', { schedule = schedule, text = schedule .. ' has succeeded again' })
  end
  local expected = redis.call('HGET', P .. 'expected', schedule)
  if expected then redis.call('ZADD', P .. 'watch', expected, schedule) end
end

-- One more failure in a row; too many pause the schedule.
local function count_failure(id, schedule)
  local most, failed = number(id, 'pause_after'), redis.call('HINCRBY', P .. 'failing', schedule, 1)
  if most == 0 or failed < most or in_hand(schedule) then return end
  local words = int(failed) .. ' failures in a row, the last ' .. id
  local hand = { kind = 'paused', by = 'anp', note = words, since = NOW, ['until'] = cjson.null }
  redis.call('HSET', P .. 'hands', schedule, cjson.encode(hand))
  remember(schedule, { at = NOW, what = 'pause', by = 'anp', note = words, ['until'] = cjson.null })
  redis.call('HDEL', P .. 'failing', schedule)
  alert('paused', { run = id, text = schedule .. ' is paused: ' .. words })
end

local FAILED = { failed = true, quarantined = true, rolled_back = true, rollback_failed = true }

-- A run has ended. What makes up for the past tells nothing about the present.
local function tell_end(id, state, reason)
  if state == 'rollback_failed' then alert('rollback_failed', { run = id, text = reason }) end
  local schedule = get(id, 'schedule')
  if schedule == '' or get(id, 'backfill') == '1' then return end
  if state == 'succeeded' or state == 'sent' then
    if get(id, 'as_expected') ~= '0' then on_time(schedule) end
    ping(id, 'success', reason)
  elseif FAILED[state] and get(id, 'counted') == '' and get(id, 'failed_as') ~= 'succeeded' then
    set(id, 'counted', '1')
    count_failure(id, schedule)
    ping(id, 'fail', state .. ': ' .. reason)
  elseif state == 'expired' then
    ping(id, 'fail', state .. ': ' .. reason)
  end
end
