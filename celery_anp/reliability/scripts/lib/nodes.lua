-- Nodes, and attempts that are gone with them.
--
-- Keys:
--   run:<id>        hash    of the lost attempt
--   nodes           zset    living nodes, and the end of their leases; one leaves
--   node:<node>     hash    what tasks a node knows; whether it is marked dead; its host; dropped
--   host:<host>     hash    one that leaves is dropped
--   pulse           string  when somebody looked last
-- Uses: P, NOW, int, get, number, set, note, enter, tally, leave, to_queue, finish, fail
-- Provides: known_since, lose, forget_node, pulse

-- A child's death weighs 2; a node's 1: innocent neighbours; an idle child's silence 1: Redis was away when it spoke.
local LOSS_LIMIT = 6
local LOSS_WEIGHT = { child = 2, node = 1, idle = 1, fenced = 0, shutdown = 0 }

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
  set(id, 'node', '', 'token', '')
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

-- A node without rows leaves. host: where it may be listed though Redis has lost what it said of itself, or ''.
local function forget_node(node, host)
  redis.call('HDEL', P .. 'host:' .. (redis.call('HGET', P .. 'node:' .. node, 'host') or host), node)
  redis.call('ZREM', P .. 'nodes', node)
  redis.call('UNLINK', P .. 'node:' .. node)
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
