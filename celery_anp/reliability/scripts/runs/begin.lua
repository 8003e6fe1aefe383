-- Begin an attempt.
--
-- Keys:
--   run:<id>        hash    its attempt, fence and holder
--   nodes           zset    whether its node's lease is alive
--   node:<node>     hash    whether that node is marked dead
--   locks           hash    whether it still holds its lock
--   fence           string  the next one
--   running:<node>  hash    the attempt
-- Arguments: id, node, child, token (one per delivery of the message)
-- Answer: { 'go', fence, attempt, failures, kind, message or '' } or { 'no', why }; a replay gets the first
--   answer

local id, node, child, token = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local state, at = get(id, 'state'), get(id, 'at')

local function go()
  local kind = get(id, 'state') == 'rolling_back' and 'rollback' or 'run'
  local message = get(id, 'edited') == '1' and get(id, 'message') or ''
  local failures = get(id, kind == 'rollback' and 'rollback_failures' or 'failures')
  return { 'go', get(id, 'fence'), get(id, 'attempts'), failures, kind, message }
end

if state == '' then return { 'no', 'gone' } end
if at == 'node' and get(id, 'token') == token then return go() end
if at ~= 'queue' then return { 'no', state } end
local lease = tonumber(redis.call('ZSCORE', P .. 'nodes', node))
if not lease or lease <= NOW or redis.call('HEXISTS', P .. 'node:' .. node, 'dead') == 1 then
  return { 'no', 'lease' }
end
if state == 'queued' and too_late(id) then
  finish(id, 'expired', 'its start deadline passed in the queue')
  rung(id)
  return { 'no', 'expired' }
end
if state == 'queued' and get(id, 'cancel') ~= '' then
  fail(id, 'cancelled', get(id, 'cancel'))
  rung(id)
  return { 'no', 'cancelled' }
end
local lock = get(id, 'lock')
if lock ~= '' and get(id, 'overlap') ~= 'allow_all' and redis.call('HGET', P .. 'locks', lock) ~= id then
  ready(id, false)                                   -- only after Redis lost writes: it lines up again
  if redis.call('HGET', P .. 'locks', lock) ~= id then
    rung(id)
    return { 'no', get(id, 'state') }
  end
end
local last = tonumber(redis.call('GET', P .. 'fence')) or 0
local fence = int(math.max(last + 1, MICROS))
redis.call('SET', P .. 'fence', fence)
leave(id)
set(id, 'fence', fence, 'node', node, 'token', token, 'at', 'node', 'started', NOW,
  'attempts', number(id, 'attempts') + 1, 'began', number(id, 'began') > 0 and get(id, 'began') or NOW)
redis.call('HSET', P .. 'running:' .. node, id, fence .. '|' .. child)
if get(id, 'attempts') ~= '1' then unset(id, 'undo_bytes') end        -- each attempt has the whole limit
if state == 'queued' and get(id, 'attempts') == '1' then
  tally_late(id, math.max(0, NOW - number(id, 'wanted')))
  ping(id, 'start', '')
end
if state == 'queued' then enter(id, 'running', 'attempt ' .. get(id, 'attempts'), node)
else note(id, state, state, node, 'rollback begins') end
return go()
