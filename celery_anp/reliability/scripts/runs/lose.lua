-- A node tells that one of its attempts is gone.
--
-- Keys:
--   run:<id>        hash    whether the attempt still holds it
-- Arguments: id, node, fence, kind (child, idle, fenced, shutdown), reason
-- Answer: its state, or 'refused'

local id, node, fence, kind, reason = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
if not holds(id, node, fence) then
  return 'refused'
end
lose(id, kind, reason, true)
local state = get(id, 'state')
rung(id)
return state
