-- The message of a queued run went down with a child: upkeep rings it at its next round.
--
-- Keys:
--   run:<id>        hash    whether it waits in the queue
--   queued          zset    it may be rung now
-- Arguments: id
-- Answer: its state

local id = ARGV[1]
if get(id, 'at') == 'queue' then
  redis.call('ZADD', P .. 'queued', NOW, id)
  set(id, 'rung', 0)
end
return get(id, 'state')
