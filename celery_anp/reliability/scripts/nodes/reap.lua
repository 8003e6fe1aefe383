-- Take the runs of dead nodes back: of those whose lease is over, and of one whose death is proved. A node that leaves
-- the index is dead for ever.
--
-- Keys:
--   nodes           zset    whose lease is over; a node without rows leaves
--   node:<node>     hash    it is marked dead; dropped
--   running:<node>  hash    its rows
--   host:<host>     hash    the nodes that live there
--   run:<id>        hash    whether it is there
-- Arguments: lease (ms), most rows, host or '', then for a death that is proved: node, reason, and of each row whose
--   child is gone too its id and '<fence>|<child>'
-- Answer: { node, where it lives, … } of that host

local left = tonumber(ARGV[2])

local function take(node, id, reason)
  if left <= 0 then return end
  left = left - 1
  if get(id, 'state') == '' then redis.call('HDEL', P .. 'running:' .. node, id)
  else lose(id, 'node', reason, true) end
end

local function drop_without_rows(node)
  if redis.call('EXISTS', P .. 'running:' .. node) == 0 then forget_node(node, ARGV[3]) end
end

pulse(tonumber(ARGV[1]))
if ARGV[4] then                                      -- not marked: a child that lives on keeps its run, and its lease
  for i = 6, #ARGV, 2 do
    if redis.call('HGET', P .. 'running:' .. ARGV[4], ARGV[i]) == ARGV[i + 1] then take(ARGV[4], ARGV[i], ARGV[5]) end
  end
  drop_without_rows(ARGV[4])
end
for _, node in ipairs(redis.call('ZRANGEBYSCORE', P .. 'nodes', '-inf', int(NOW))) do
  redis.call('HSET', P .. 'node:' .. node, 'dead', '1')
  for _, id in ipairs(redis.call('HKEYS', P .. 'running:' .. node)) do
    take(node, id, 'its node ' .. node .. ' died')
  end
  drop_without_rows(node)
end
rung()
return ARGV[3] == '' and {} or redis.call('HGETALL', P .. 'host:' .. ARGV[3])
