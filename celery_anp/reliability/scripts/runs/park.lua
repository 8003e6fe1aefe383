-- A worker got a run whose task it does not know: it is parked, unless another node knows the task.
--
-- Keys:
--   run:<id>        hash    whether it waits in the queue
--   queued          zset    rung again soon, for who knows it
-- Arguments: id
-- Answer: its state

local id = ARGV[1]
if get(id, 'at') == 'queue' and get(id, 'state') == 'queued' then
  if known_since(id, 0) then
    redis.call('ZADD', P .. 'queued', NOW + 1000, id)      -- rung again soon, for who knows it
    set(id, 'rung', 0, 'rings', 0)
  else
    park(id, 'no living node knows the task ' .. get(id, 'task'))
  end
end
local state = get(id, 'state')
rung(id)
return state
