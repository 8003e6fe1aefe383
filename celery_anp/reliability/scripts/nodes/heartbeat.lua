-- Register a node, or renew its lease.
--
-- Keys:
--   nodes           zset    the end of its lease
--   node:<node>     hash    what it says of itself; whether it is marked dead
--   running:<node>  hash    its rows
--   host:<host>     hash    where it lives, where that is known
-- Arguments: node, lease (ms), 1 to register it, then field, value pairs of what it says of itself
-- Answer: { 1 or 0, { id, "<fence>|<child>", … } }: 0 once the node was marked dead or let its lease end

local node, lease = ARGV[1], tonumber(ARGV[2])
local known = redis.call('ZSCORE', P .. 'nodes', node)
if not known and ARGV[3] == '1' then
  redis.call('HSET', P .. 'node:' .. node, 'since', NOW)
  redis.call('ZADD', P .. 'nodes', int(NOW + lease), node)
  known = int(NOW + lease)
end
pulse(lease)
if not known or redis.call('HEXISTS', P .. 'node:' .. node, 'dead') == 1 then return { 0, {} } end
if tonumber(redis.call('ZSCORE', P .. 'nodes', node)) <= NOW then return { 0, {} } end
redis.call('ZADD', P .. 'nodes', int(NOW + lease), node)
if #ARGV > 3 then redis.call('HSET', P .. 'node:' .. node, unpack(ARGV, 4)) end
if ARGV[3] == '1' then
  local about = redis.call('HMGET', P .. 'node:' .. node, 'host', 'place')
  if about[1] and (about[2] or '') ~= '' then redis.call('HSET', P .. 'host:' .. about[1], node, about[2]) end
end
return { 1, redis.call('HGETALL', P .. 'running:' .. node) }
