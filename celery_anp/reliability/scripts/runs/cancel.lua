-- Cancel many runs at once, those that are still as they were when they were chosen.
--
-- Keys:
--   run:<id>        hash    its state
-- Arguments: who and why, as the history tells it; the states in which a run is cancelled, each with a comma before and
--   behind it; ids
-- Answer: how many were cancelled

local reason, states, done = ARGV[1], ARGV[2], 0
for i = 3, #ARGV do
  local id = ARGV[i]
  if string.find(states, ',' .. get(id, 'state') .. ',', 1, true) and may_cancel(id) then
    cancel(id, reason)
    done = done + 1
  end
end
rung()
return done
