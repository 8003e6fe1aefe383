-- Begin an attempt. What came with the message counts for nothing: the body gets what its row says.
--
-- Keys:
--   run:<id>        hash    its attempt, fence and holder
--   nodes           zset    whether its node's lease is alive
--   node:<node>     hash    whether that node is marked dead
--   locks           hash    whether it still holds its lock
--   fence           string  the next one
--   running:<node>  hash    the attempt
-- Arguments: id, node, child, token (one per delivery of the message), and of the message that came its seal and JSON
--   of what was used of it before the body: [ task, hard limit, soft limit, root, priority ]
-- Answer: { 'go', fence, attempt, failures, kind, the row's message to who came with another or '', when it was due,
--   its deadline } or { 'no', why }; a replay gets the first answer

local id, node, child, token, seal, used = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local state, at = get(id, 'state'), get(id, 'at')

local function is_own() return seal ~= '' and get(id, 'seal') == seal end

local function go()
  local kind = get(id, 'state') == 'rolling_back' and 'rollback' or 'run'
  local message = is_own() and '' or get(id, 'message')
  local failures = get(id, kind == 'rollback' and 'rollback_failures' or 'failures')
  return { 'go', get(id, 'fence'), get(id, 'attempts'), failures, kind, message, get(id, 'due'), get(id, 'deadline') }
end

-- Whether the row's own message says the same of what was used before the body: of that nothing can be taken back.
local function is_like_own()
  local came, own = cjson.decode(used), cjson.decode(get(id, 'message'))
  local limits = type(own.headers.timelimit) == 'table' and own.headers.timelimit or {}
  local kept = { own.headers.task, limits[1], limits[2], own.headers.root_id, own.properties.priority }
  for i = 1, 5 do
    if came[i] ~= (kept[i] or cjson.null) then return false end
  end
  return true
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
if not (is_own() or is_like_own()) then
  to_queue(id, true)                                 -- its own message is sent
  rung(id)
  return { 'no', 'other' }
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
