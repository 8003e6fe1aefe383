-- Queues on which runs wait and that no living worker serves: told once, after a lease, until a worker serves them.
--
-- Keys:
--   queued          zset    whether any run waits for a worker
--   waiting         hash    how many wait on each queue; dropped where none does
--   nodes           zset    living nodes
--   node:<node>     hash    which queues a node serves
--   unserved        hash    since when nobody serves a queue
-- Arguments: lease (ms)
-- Answer: how many queues

local lease = tonumber(ARGV[1])
if redis.call('ZCARD', P .. 'queued') == 0 then redis.call('UNLINK', P .. 'waiting') end
local served = {}
for _, node in ipairs(redis.call('ZRANGEBYSCORE', P .. 'nodes', int(NOW), '+inf')) do
  local about = redis.call('HMGET', P .. 'node:' .. node, 'kind', 'queues', 'dead')
  if about[1] == 'worker' and not about[3] then
    if not about[2] then return 0 end                -- one of an earlier release does not say
    for _, queue in ipairs(cjson.decode(about[2])) do served[queue] = true end
  end
end

local waiting, found = {}, 0
local flat = redis.call('HGETALL', P .. 'waiting')
for i = 1, #flat, 2 do
  if not served[flat[i]] then waiting[flat[i]] = flat[i + 1] end
end
local known = redis.call('HKEYS', P .. 'unserved')
for _, queue in ipairs(known) do
  if not waiting[queue] then redis.call('HDEL', P .. 'unserved', queue) end
end
for queue, count in pairs(waiting) do
  found = found + 1
  redis.call('HSETNX', P .. 'unserved', queue, int(NOW))
  local since = tonumber(redis.call('HGET', P .. 'unserved', queue))
  if since and NOW - since >= lease then
    redis.call('HSET', P .. 'unserved', queue, int(since) .. '|told')
    local words = count .. ' runs wait on the queue ' .. queue .. ', which no living worker serves'
    local mend = '; start a worker with -Q ' .. queue .. ', or `anp runs cancel --queue ' .. queue .. '`'
    alert('unserved', { text = words .. mend })
  end
end
return found
