-- Plan runs: one row each, planned once however often this is asked.
--
-- Keys: none
-- Arguments: one JSON object a run (`Ledger.plan` writes it)
-- Answer: JSON: for each run { id, 'planned', 'known' or 'conflict', state, reason, the stamp with which who asks sends
--   its message or 0 }

if no_room(bytes_from(1)) then return redis.error_reply('LEDGERFULL') end
local answers = {}
for i = 1, #ARGV do answers[i] = plan(cjson.decode(ARGV[i])) end
rung()
return cjson.encode(answers)
