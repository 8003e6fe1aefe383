-- Remove a batch of the keys that begin with something.
-- No key is named beforehand: it touches those that SCAN finds, below ARGV[2], which `sweep` has checked.
-- ARGV     cursor of SCAN · pattern: our root and a beginning, then * · about how many keys to look at
-- Answer   {the next cursor, keys removed}
local found = redis.call('SCAN', ARGV[1], 'MATCH', ARGV[2], 'COUNT', ARGV[3])
if #found[2] == 0 then return {found[1], 0} end
return {found[1], redis.call('UNLINK', unpack(found[2]))}
