-- Settle an attempt.
--
-- Keys:
--   run:<id>        hash    its holder, its end, the answer it got
--   steps:<id>      hash    dropped once it is rolled back or replaced
--   links           zset    its replacement is to be sent; its child tells Celery's backend, nobody else for a grace
-- Arguments: id, node, fence, outcome (succeeded, failed, retry, requeue, replaced, cancelled, rolled_back,
--   rollback_retry, rollback_failed, parked), JSON { reason, result, partial, error, as_expected, delay, message, seal,
--   linked, child_tells, told, replacement, apart }, Celery's record as its backend encodes it, or ''
-- Answer: { state }, or { 'refused', state } to who does not own the run (any more); a replay gets the first answer

local id, node, fence, outcome = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local mine = fence .. '|' .. node
if get(id, 'settled') == mine then return { get(id, 'answer') } end
if not holds(id, node, fence) then
  return { 'refused', get(id, 'state') }
end
local data, meta = cjson.decode(ARGV[5]), ARGV[6]
local reason = data.reason or ''
if outcome == 'succeeded' then unset(id, 'error') end
if data.result then set(id, 'result', data.result) end
if data.partial then set(id, 'partial', data.partial) end
if data.error then set(id, 'error', data.error) end
if data.as_expected then set(id, 'as_expected', data.as_expected) end
if data.linked then set(id, 'linked', data.linked) end
if data.told then unset(id, 'by_backend') end
if data.message then set(id, 'message', data.message, 'seal', data.seal or '') end
local cancel = get(id, 'cancel')
local goes_on = outcome == 'retry' or outcome == 'requeue' or outcome == 'replaced'
if cancel ~= '' and (goes_on or outcome == 'failed') then
  outcome, reason, meta = 'cancelled', cancel, ''
end
leave(id)
if outcome == 'succeeded' then
  finish(id, 'succeeded', reason, meta, node)
elseif outcome == 'failed' or outcome == 'cancelled' then
  fail(id, outcome, reason, meta, node)
elseif outcome == 'retry' then
  set(id, 'failures', number(id, 'failures') + 1)
  tally(id, 'retries', 1)
  enter(id, 'delayed', reason, node)
  if meta ~= '' then publish(id, meta) end
  to_time(id, NOW + tonumber(data.delay))
elseif outcome == 'requeue' then
  set(id, 'requeues', number(id, 'requeues') + 1)
  if (tonumber(data.delay) or 0) > 0 then
    enter(id, 'delayed', reason, node)
    to_time(id, NOW + tonumber(data.delay))
  else
    enter(id, 'queued', reason, node)
    to_queue(id, true)
  end
elseif outcome == 'replaced' then
  redis.call('UNLINK', P .. 'steps:' .. id)
  unset(id, 'progress', 'error')
  set(id, 'replacement', data.replacement)
  enter(id, 'delayed', reason, node)
  if data.apart and get(id, 'lock') ~= get(id, 'schedule') then release(id, finish) end    -- its parts may want it
  to_time(id, NOW + number(id, 'keep_long'))
  redis.call('ZADD', P .. 'links', NOW + GRACE, id)
elseif outcome == 'parked' then
  park(id, reason, node)
elseif outcome == 'rolled_back' then
  redis.call('UNLINK', P .. 'steps:' .. id)
  if get(id, 'undone') == '1' then finish(id, 'rolled_back', reason, nil, node) else stay(id, node) end
elseif outcome == 'rollback_retry' then
  set(id, 'rollback_failures', number(id, 'rollback_failures') + 1)
  note(id, 'rolling_back', 'rolling_back', node, reason)
  to_time(id, NOW + tonumber(data.delay))
else
  finish(id, 'rollback_failed', reason, nil, node)
end
if data.child_tells and outcome ~= 'cancelled' then redis.call('ZADD', P .. 'links', 'XX', NOW + GRACE, id) end
set(id, 'node', '', 'token', '', 'settled', mine, 'answer', get(id, 'state'))
if get(id, 'finished') ~= '' and number(id, 'began') > 0 then
  local took = NOW - number(id, 'started')
  set(id, 'runtime', took)
  tally(id, 'ran', 1)
  tally(id, 'run_ms', took)
end
rung(id)
return { get(id, 'answer') }
