-- Who sends the message of a run through kombu has more headers for it than its row knew: signals added them.
--
-- Keys:
--   run:<id>        hash    its message, while it has not begun and nobody has changed it
-- Arguments: id, the seal of the message that is amended, the whole message anew, its seal
-- Answer: 1 if it was amended, else 0

local id = ARGV[1]
local waits = get(id, 'at') == 'queue' and number(id, 'attempts') == 0 and get(id, 'seal') == ARGV[2]
if waits then set(id, 'message', ARGV[3], 'seal', ARGV[4]) end
return waits and 1 or 0
