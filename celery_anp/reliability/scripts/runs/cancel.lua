-- Cancel many runs at once, those that are still as they were when they were chosen. Their messages go with them where
-- they are the newest of their list, as they are when the newest runs are cancelled first: on a queue that nobody
-- serves nobody else would ever take them. What is left is refused when a worker begins it.
--
-- Keys:
--   run:<id>        hash    its state
--   row.list        list    its message
-- Arguments: who and why, as the history tells it; the states in which a run is cancelled, each with a comma before and
--   behind it; ids, the newest first
-- Answer: how many were cancelled

local reason, states, done = ARGV[1], ARGV[2], 0

-- Take back the message that was sent last.
local function unsend(id)
  local last = get(id, 'at') == 'queue' and place(id)
  if not last then return end
  local message = get(id, 'message')
  local text = string.sub(message, 1, last - 1) .. int(number(id, 'rung')) .. string.sub(message, last + 1)
  if redis.call('LINDEX', get(id, 'list'), 0) == text then redis.call('LPOP', get(id, 'list')) end
end

for i = 3, #ARGV do
  local id = ARGV[i]
  if string.find(states, ',' .. get(id, 'state') .. ',', 1, true) and may_cancel(id) then
    unsend(id)
    cancel(id, reason)
    done = done + 1
  end
end
rung()
return done
