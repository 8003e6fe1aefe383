-- What a run was replaced by failed before the run could go on: it has failed too. Who asks tells Celery, and what
-- follows it.
--
-- Keys:
--   run:<id>        hash    its end
-- Arguments: id, reason, JSON: the error
-- Answer: 1 if it waited for its replacement, else 0

local id = ARGV[1]
local waits = get(id, 'replacement') ~= ''
if waits then
  set(id, 'error', ARGV[3], 'as_expected', 0, 'ended', '1')
  leave(id)
  fail(id, 'failed', ARGV[2])
end
rung(id)
return waits and 1 or 0
