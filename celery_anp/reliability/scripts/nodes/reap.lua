-- Take the runs of dead nodes back.
--
-- Keys:
--   nodes           zset    whose lease is over; a node without rows leaves
--   node:<node>     hash    it is marked dead; dropped
--   running:<node>  hash    its rows
--   run:<id>        hash    whether it is there
-- Arguments: lease (ms), most rows
-- Answer: how many messages it sent

pulse(tonumber(ARGV[1]))
local left = tonumber(ARGV[2])
for _, node in ipairs(redis.call('ZRANGEBYSCORE', P .. 'nodes', '-inf', int(NOW))) do
  redis.call('HSET', P .. 'node:' .. node, 'dead', '1')
  for _, id in ipairs(redis.call('HKEYS', P .. 'running:' .. node)) do
    if left > 0 then
      left = left - 1
      if get(id, 'state') == '' then redis.call('HDEL', P .. 'running:' .. node, id)
      else lose(id, 'node', 'its node ' .. node .. ' died', true) end
    end
  end
  if redis.call('EXISTS', P .. 'running:' .. node) == 0 then
    redis.call('ZREM', P .. 'nodes', node)
    redis.call('UNLINK', P .. 'node:' .. node)
  end
end
return rung()
